//! The process that becomes the command, by itself: between its last look at the files and the
//! command there is no call at which a test could change them.

use std::{
    fs,
    io::Read as _,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use admit_policy::Digest;
use libtest_mimic::Trial;
use rustix::process::{getpid, getppid};

use crate::{
    policy::{MODEL, PROVIDER},
    trial,
    world::{World, case_config},
};

pub(crate) fn trials() -> Vec<Trial> {
    let own = || getpid().as_raw_nonzero().get();
    let config = |world: &World| Some(world.text("data/config.json"));
    let row = |name: &str, change: fn(&World), stated: Stated, told| {
        trial(&format!("last step: {name}"), move || {
            enters(own(), change, stated, "fixture", told);
        })
    };
    vec![
        row("files as stated", |_| {}, config, ENTERS),
        row("a file that is absent as stated", |_| {}, |_| None, ENTERS),
        row(
            "a file of another content",
            |world| world.configure("{}"),
            config,
            CHANGED,
        ),
        row(
            "a file that is gone",
            |world| fs::remove_file(world.path("data/config.json")).unwrap(),
            config,
            CHANGED,
        ),
        row(
            "a file that has appeared",
            |world| world.write("absent", ""),
            |_| None,
            CHANGED,
        ),
        trial("last step: another working directory", move || {
            enters(own(), |_| {}, |_| None, "home", CHANGED);
        }),
        trial("last step: a keeper that is gone", || {
            let other = getppid().unwrap().as_raw_nonzero().get();
            enters(other, |_| {}, |_| None, "fixture", NOT_STARTED);
        }),
    ]
}

/// The file that is stated with its content; without one a file is stated absent.
type Stated = fn(&World) -> Option<String>;

const ENTERS: &str = "\"enters\"\n";
const CHANGED: &str = "\"changed\"\n";
const NOT_STARTED: &str = "{\"not-started\":0}\n";

/// Takes the last step with this file stated as it was before the change, or with one stated absent.
/// `directory` is stated as the working directory, which is `fixture`; `told` is what is told.
fn enters(keeper: i32, change: fn(&World), stated: Stated, directory: &str, told: &str) {
    let world = World::new();
    let file = match stated(&world) {
        Some(path) => {
            let digest = Digest::of(case_config(PROVIDER, MODEL).as_bytes());
            format!("{digest}:{path}")
        }
        None => format!("absent:{}", world.text("absent")),
    };
    change(&world);
    let (mut own, other) = UnixStream::pair().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_admit"))
        .arg("enter")
        .arg(format!("--keeper={keeper}"))
        .arg("--directory")
        .arg(world.path(directory))
        .args(["--file", &file, "--"])
        .args(&world.command)
        .env_clear()
        .envs(&world.variables)
        .current_dir(world.path("fixture"))
        .stdin(Stdio::from(OwnedFd::from(other)))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let mut heard = String::new();
    own.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, told);
    assert_eq!(status.code(), Some(if told == ENTERS { 0 } else { 126 }));
    assert_eq!(world.path("fixture/started").exists(), told == ENTERS);
}
