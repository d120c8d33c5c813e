//! Sockets that were bound before the process started: this program once more, as the heir.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use admit_server::supervision::{INHERITED_MAX, Inherited};

use crate::daemon::PATIENCE;

/// What the heir is told to take: addresses with a blank between them.
const TAKE_VARIABLE: &str = "ADMIT_TEST_TAKE";
/// One descriptor of standard input becomes the inherited socket 3, for this very process.
const EXEC: &str = "LISTEN_PID=${HEIR-$$} exec \"$@\" 3<&0";

/// Runs `program` with `socket` inherited. Whoever does not end is ended, and fails the test by it.
fn heir(program: &Path, arguments: &[&str], socket: OwnedFd, env: &[(&str, &str)]) -> Output {
    let mut child = Command::new("sh")
        .args(["-c", EXEC, "sh"])
        .arg(program)
        .args(arguments)
        .env("LISTEN_FDS", "1")
        .envs(env.iter().copied())
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    // What it says fits into a pipe.
    child.wait_with_output().unwrap()
}

/// Runs this program as the heir of `socket`, to take `addresses`; what it says.
fn taken(socket: OwnedFd, addresses: &str, env: &[(&str, &str)]) -> String {
    let arguments = [
        "--exact",
        "inherited::the_heir",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ];
    let mut all = vec![(TAKE_VARIABLE, addresses)];
    all.extend(env);
    let output = heir(&env::current_exe().unwrap(), &arguments, socket, &all);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().find_map(|line| line.split_once("HEIR: "));
    let (_, said) = said.unwrap_or_else(|| panic!("{output:?}"));
    said.to_owned()
}

#[test]
#[ignore = "run by the other tests, as another process"]
fn the_heir() {
    let Ok(addresses) = env::var(TAKE_VARIABLE) else {
        return;
    };
    let mut inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(fault) => return println!("\nHEIR: {fault}"),
    };
    assert!(env::var_os("LISTEN_FDS").is_none());
    let mut count = 0;
    for address in addresses.split_whitespace() {
        if let Ok(address) = address.parse::<SocketAddr>() {
            let Some(listener) = inherited.take_tcp(address) else {
                continue;
            };
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap();
            assert!(inherited.take_tcp(address).is_none());
        } else {
            let Some(listener) = inherited.take_unix(Path::new(address)) else {
                continue;
            };
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap();
            assert!(inherited.take_unix(Path::new(address)).is_none());
        }
        count += 1;
    }
    match inherited.rest() {
        Ok(()) => println!("\nHEIR: {count} taken"),
        Err(fault) => println!("\nHEIR: {fault}"),
    }
}

#[test]
fn a_socket_is_taken_by_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admitd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap();
    // Who connects before the heir is there is answered by it.
    let _early = UnixStream::connect(path).unwrap();
    let again = OwnedFd::from(listener.try_clone().unwrap());
    assert_eq!(
        taken(listener.into(), &format!("127.0.0.1:1 {path}"), &[]),
        "1 taken"
    );
    let said = taken(again, "/elsewhere 127.0.0.1:1", &[]);
    assert_eq!(
        said,
        format!("an inherited socket listens on `{path}`, and the configuration does not")
    );

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _early = TcpStream::connect(address).unwrap();
    let again = OwnedFd::from(listener.try_clone().unwrap());
    assert_eq!(taken(listener.into(), &address.to_string(), &[]), "1 taken");
    let said = taken(again, "", &[]);
    assert_eq!(
        said,
        format!("an inherited socket listens on `{address}`, and the configuration does not")
    );
}

#[test]
fn what_is_no_listener_is_not_taken() {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(bound.local_addr().unwrap()).unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    for descriptor in [
        connected.into(),
        OwnedFd::from(pair),
        datagrams.into(),
        file.into(),
    ] {
        let said = taken(descriptor, "", &[]);
        assert_eq!(
            said,
            "inherited socket 1 is not a listening stream socket of a unix path or of TCP"
        );
    }
}

#[test]
fn sockets_for_nobody_or_too_many_are_refused() {
    let beyond = (INHERITED_MAX + 1).to_string();
    let refused = "`LISTEN_FDS` has to be a number up to 16 and `LISTEN_PID` a process id";
    for (variable, value, expected) in [
        ("LISTEN_FDS", beyond.as_str(), refused),
        ("LISTEN_FDS", "-1", refused),
        ("LISTEN_FDS", "one", refused),
        ("HEIR", "", refused),
        ("HEIR", "me", refused),
        ("LISTEN_FDS_FIRST_FD", "0", refused),
        // Somebody else's are left alone.
        ("HEIR", "1", "0 taken"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let said = taken(listener.into(), "", &[(variable, value)]);
        assert_eq!(said, expected, "{variable}={value}");
    }
}

#[test]
fn the_daemon_does_not_start_with_a_socket_that_is_not_configured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let config = folder.path().join("admitd.toml");
    let text = format!(
        "policy_dir = {0:?}\n[listen]\ntcp = \"127.0.0.1:0\"\n[audit]\ndir = {1:?}\n",
        folder.path(),
        folder.path().join("audit")
    );
    fs::write(&config, text).unwrap();
    let admitd = Path::new(env!("CARGO_BIN_EXE_admitd"));
    let arguments = ["serve", "--config", config.to_str().unwrap()];
    let output = heir(admitd, &arguments, listener.into(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("an inherited socket listens on `{}`", path.display());
    assert!(said.contains(&expected), "{said}");
}
