//! Descriptors that run out, and a process that stands still or has no memory.

use std::{os::unix::net::UnixStream, process::Command, time::Duration};

use admit_proto::v1::{AdmitRequest, admission_service_client::AdmissionServiceClient};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tonic::{Code, Request};

use crate::{
    Daemon, Scene, Settings, checked,
    daemon::{policy::A, within},
};

/// A limit of 64 connections needs 320 files.
const LIMITS: &str = "[limits]\nconnections = 64\nconnections_per_peer = 64\n";

/// Changes a limit of the running process.
fn limit(daemon: &Daemon, resource: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &daemon.id().to_string(), resource])
        .status();
    assert!(status.unwrap().success(), "NOT TESTED: prlimit {resource}");
}

fn value(daemon: &Daemon, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

#[tokio::test]
async fn connections_that_cannot_be_kept_refuse_the_start() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    let settings = |through| Settings {
        more_audit: LIMITS.into(),
        through,
        ..Settings::new(folder.path())
    };
    let mut refused = Daemon::spawn(&settings(&["prlimit", "--nofile=703:703"]));
    assert!(!refused.exited().await.success());
    let said = refused.log();
    assert!(said.contains("needs 704 open files"), "{said}");
    assert!(said.contains("allows 703"), "{said}");
    assert!(!said.contains("listening"), "{said}");
    // What counts is what it may raise its limit to.
    let enough = settings(&["prlimit", "--nofile=64:704"]);
    let daemon = Daemon::start(&enough).await;
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn descriptors_that_run_out_leave_those_who_are_there_their_answers() {
    let mut scene = Scene::start(tempfile::tempdir().unwrap(), |settings| {
        settings.more_audit = LIMITS.into();
    })
    .await;
    scene.is_answered().await;
    let open = std::fs::read_dir(format!("/proc/{}/fd", scene.daemon.id())).unwrap();
    let allowed = open.count() + 4;
    limit(&scene.daemon, &format!("--nofile={allowed}:{allowed}"));
    let held: Vec<_> = (0..16)
        .map(|_| UnixStream::connect(scene.daemon.socket()).unwrap())
        .collect();
    scene.daemon.logged("a connection could not be taken").await;
    for _ in 0..10 {
        scene.is_answered().await;
    }
    drop(held);
    scene.client = scene.daemon.client().await;
    scene.is_answered().await;
    scene.is_whole();
}

#[tokio::test]
async fn a_daemon_that_stands_still_answers_when_it_goes_on() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    scene.daemon.signal(Signal::STOP);
    let mut client = AdmissionServiceClient::new(scene.client.channel.clone());
    for _ in 0..3 {
        let mut request = Request::new(A.launch());
        request.set_timeout(Duration::from_millis(300));
        let status = within("a failure", client.admit(request))
            .await
            .unwrap_err();
        let in_time = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(in_time.contains(&status.code()), "{status:?}");
    }
    scene.daemon.signal(Signal::CONT);
    scene.is_answered().await;
    checked(&scene.audit, &scene.known);
}

/// Nearly as much as a request may have.
fn large() -> AdmitRequest {
    AdmitRequest {
        case_config: Some(vec![b' '; 900 * 1024].into()),
        ..A.launch()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_runs_out_loses_nothing_that_was_acknowledged() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    let allowed = (value(&scene.daemon, "VmSize:") + 4 * 1024) * 1024;
    limit(&scene.daemon, &format!("--as={allowed}:{allowed}"));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let client = scene.daemon.client().await;
        for _ in 0..12 {
            let mut client = client.clone();
            callers.spawn(async move { client.admit(large()).await.ok() });
        }
    }
    let answers = within("the end of every call", callers.join_all()).await;
    for answer in answers.into_iter().flatten() {
        scene.known.insert(answer.seq, answer.record_hash);
    }
    let Scene {
        mut daemon,
        audit,
        known,
        folder,
        ..
    } = scene;
    // It may have ended by itself: a daemon without memory is no daemon.
    daemon.signal(Signal::KILL);
    daemon.exited().await;
    let settings = Settings {
        audit_dir: Some(audit.clone()),
        ..Settings::new(folder.path().join("policy"))
    };
    assert_eq!(
        Daemon::start(&settings).await.terminate().await.code(),
        Some(0)
    );
    checked(&audit, &known);
}
