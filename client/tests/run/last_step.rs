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
    vec![
        trial("last step: files as stated", move || {
            enters(
                own(),
                |_| {},
                |world| Some(world.text("data/config.json")),
                "",
            );
        }),
        trial("last step: a file that is absent as stated", move || {
            enters(own(), |_| {}, |_| None, "");
        }),
        trial("last step: a file of another content", move || {
            let change = |world: &World| world.configure("{}");
            enters(
                own(),
                change,
                |world| Some(world.text("data/config.json")),
                CHANGED,
            );
        }),
        trial("last step: a file that is gone", move || {
            let change = |world: &World| fs::remove_file(world.path("data/config.json")).unwrap();
            enters(
                own(),
                change,
                |world| Some(world.text("data/config.json")),
                CHANGED,
            );
        }),
        trial("last step: a file that has appeared", move || {
            let change = |world: &World| world.write("absent", "");
            enters(own(), change, |_| None, CHANGED);
        }),
        trial("last step: a keeper that is gone", || {
            let other = getppid().unwrap().as_raw_nonzero().get();
            enters(other, |_| {}, |_| None, NOT_STARTED);
        }),
    ]
}

const CHANGED: &str = "\"changed\"\n";
const NOT_STARTED: &str = "{\"not-started\":0}\n";

/// Takes the last step with this file stated as it was before the change, or with one stated absent.
/// `told` is what is told; with nothing told the command runs.
fn enters(
    keeper: i32,
    change: impl FnOnce(&World),
    stated: impl FnOnce(&World) -> Option<String>,
    told: &str,
) {
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
    assert_eq!(status.code(), Some(if told.is_empty() { 0 } else { 126 }));
    assert_eq!(world.path("fixture/started").exists(), told.is_empty());
}
