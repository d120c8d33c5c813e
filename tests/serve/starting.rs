//! How the daemon starts, or refuses to: with exit code 2, a line that says why, and nothing of anybody
//! else's touched.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::symlink,
        net::{UnixDatagram, UnixListener, UnixStream},
    },
};

use crate::{
    allows,
    daemon::{Daemon, Settings},
    policy,
};

/// Starts a daemon that has to refuse; what it said.
async fn refusal(mut daemon: Daemon) -> String {
    let status = daemon.exited().await;
    assert_eq!(status.code(), Some(2), "{status}: {}", daemon.log());
    daemon.log()
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone() {
    let policy = policy();
    let settings = Settings::new(policy.path());
    let first = Daemon::start(&settings).await;
    let socket = first.socket().to_owned();
    let settings = Settings {
        socket: Some(socket.clone()),
        ..settings
    };
    let said = refusal(Daemon::spawn(&settings)).await;
    assert!(
        said.contains(&format!(
            "another process listens on `{}`",
            socket.display()
        )),
        "{said}"
    );
    assert!(allows(&mut first.client().await).await);
}

#[tokio::test]
async fn a_datagram_socket_in_use_is_left_alone() {
    let policy = policy();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("log");
    let theirs = UnixDatagram::bind(&socket).unwrap();
    let settings = Settings {
        socket: Some(socket.clone()),
        ..Settings::new(policy.path())
    };
    let mut daemon = Daemon::spawn(&settings);
    let listens = daemon.listens().await;
    let ours = UnixDatagram::unbound().unwrap();
    ours.send_to(b"still there?", &socket).unwrap();
    let mut received = [0; 12];
    theirs.recv(&mut received).unwrap();
    assert!(!listens, "{}", daemon.log());
    let said = refusal(daemon).await;
    assert!(said.contains(&socket.display().to_string()), "{said}");
}

#[tokio::test]
async fn a_socket_of_a_process_that_hangs_is_left_alone() {
    let policy = policy();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admitd.sock");
    // Whoever listens there takes no connection, and the one that may wait is waiting.
    let theirs = UnixListener::bind(&socket).unwrap();
    rustix::net::listen(&theirs, 0).unwrap();
    let _waiting = UnixStream::connect(&socket).unwrap();
    let settings = Settings {
        socket: Some(socket.clone()),
        ..Settings::new(policy.path())
    };
    let said = refusal(Daemon::spawn(&settings)).await;
    assert!(said.contains("another process listens on"), "{said}");
    assert!(theirs.accept().is_ok());
}

#[tokio::test]
async fn what_is_no_socket_is_refused_and_left_alone() {
    let policy = policy();
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    let (empty, dangling) = (folder.path().join("folder"), folder.path().join("dangling"));
    fs::write(&file, "precious").unwrap();
    fs::create_dir(&empty).unwrap();
    symlink(&file, &link).unwrap();
    symlink("nowhere", &dangling).unwrap();
    for path in [&file, &link, &empty, &dangling] {
        let settings = Settings {
            socket: Some(path.clone()),
            ..Settings::new(policy.path())
        };
        let said = refusal(Daemon::spawn(&settings)).await;
        assert!(
            said.contains(&format!("`{}` is not a socket", path.display())),
            "{said}"
        );
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");
    assert!(empty.is_dir() && dangling.is_symlink());
}

#[tokio::test]
async fn an_address_that_is_not_to_be_had_is_refused() {
    let policy = policy();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("missing/admitd.sock");
    let settings = Settings {
        socket: Some(socket.clone()),
        ..Settings::new(policy.path())
    };
    let said = refusal(Daemon::spawn(&settings)).await;
    assert!(
        said.contains(&format!("cannot listen on `{}`: ", socket.display())),
        "{said}"
    );

    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = theirs.local_addr().unwrap();
    let config = format!(
        "policy_dir = {:?}\n[listen]\ntcp = \"{address}\"\n[audit]\ndir = {:?}\n",
        policy.path(),
        policy.path().join("audit"),
    );
    let said = refusal(Daemon::spawn_configured(&config)).await;
    assert!(
        said.contains(&format!("cannot listen on `{address}`: ")),
        "{said}"
    );
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_and_its_line_shown() {
    for (config, parts) in [
        (
            "policy_dir = \"/p\"\nallow_all = true\n",
            &["line 2", "allow_all", "unknown field"][..],
        ),
        ("[listen]\ntpc = \"127.0.0.1:0\"\n", &["line 2", "tpc"]),
        (
            "rescan_interval = \"soon\"\n",
            &["line 1", "rescan_interval = …", "is not a duration"],
        ),
        (
            "policy_dir = \"/p\"\npolicy_dir = \"/q\"\n",
            &["line 2", "duplicate key"],
        ),
        ("policy_dir = \n", &["line 1"]),
        (
            "rescan_interval = \"1ms\"\n",
            &["`rescan_interval` is 1ms", "100ms to 1h"],
        ),
        (
            "staleness_max = \"5s\"\n",
            &["`staleness_max` is 5s", "longer than `rescan_interval`"],
        ),
        (
            "[listen]\ntcp = \"\"\n",
            &["`listen.tcp`, `listen.unix` and `listen.tls` are all empty"],
        ),
        (
            "[listen]\ntcp = \"0.0.0.0:0\"\n",
            &["`listen.tcp` is 0.0.0.0:0", "loopback"],
        ),
        (
            "[listen]\ntcp = \"[::]:0\"\n",
            &["`listen.tcp` is [::]:0", "loopback"],
        ),
        (
            "[listen]\ntcp = \"192.0.2.1:7117\"\n",
            &["`listen.tcp` is 192.0.2.1:7117", "loopback"],
        ),
        (
            "[listen]\ntcp = \"localhost:7117\"\n",
            &["line 2", "is not an address"],
        ),
    ] {
        let said = refusal(Daemon::spawn_configured(config)).await;
        assert!(said.contains("admitd: "), "{said}");
        for part in parts {
            assert!(said.contains(part), "{config}: no `{part}` in: {said}");
        }
        assert!(!said.contains("listening"), "{said}");
    }
}
