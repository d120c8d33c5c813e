//! The running command: what it is given, how it ends, and that nothing of it is left.

use std::{fs, path::Path};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    patience::until,
    stand_in::SPOKEN,
    trial,
    world::{BASE_URL_VARIABLE, Ran, Running, World, until_gone},
};

const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "run: the command is given what it needs and nothing else",
            given,
        ),
        trial(
            "run: the fake lane has no credential at all",
            given_in_the_fake_lane,
        ),
        trial("run: the command finds a place in a trace", traced),
        trial("run: the exit code 0 is passed on", || passes_on("", 0)),
        trial("run: the exit code 7 is passed on", || {
            passes_on("exit-7", 7);
        }),
        trial("run: the number of a signal is passed on", || {
            passes_on("kill-self", 137);
        }),
        trial("run: a TERM reaches the command", || signaled(Signal::TERM)),
        trial("run: an INT reaches the command", || signaled(Signal::INT)),
        trial("run: a command that ignores TERM goes on", term_ignored),
        trial(
            "run: the command ends and its children with it",
            children_end,
        ),
        trial("run: a killed wrapper leaves nothing", wrapper_killed),
        trial("run: a killed keeper leaves nothing", keeper_killed),
        trial(
            "run: a killed keeper takes the command with it by itself",
            keeper_killed_alone,
        ),
        trial(
            "run: a stopped keeper holds up no revocation",
            keeper_stopped,
        ),
        trial("run: what cannot be started is not started", not_executable),
        trial(
            "run: a folder of another run's evidence is not written to",
            evidence_taken,
        ),
        trial("run: two runs do not share a config", config_in_use),
        trial(
            "run: config.json is read-only during the run, and only then",
            config_sealed,
        ),
        trial(
            "run: a command line that cannot be used starts nothing",
            usage,
        ),
        trial("run: --json has the ending as the last line", as_json),
    ]
}

fn given() {
    let mut world = World::new();
    world.set("TRACEPARENT", TRACE_PARENT);
    world.set("ADMIT_SERVER", "http://127.0.0.1:1");
    world.set("ANTHROPIC_API_KEY", "dummy");
    world.set("GH_TOKEN", "dummy");
    world.set("HARMLESS", "sk-ant-0123456789abcdef");
    world.order("record-environment");
    let ran = world.run();
    world.assert_ran(&ran, 0);
    let environment = fs::read_to_string(world.path("fixture/environment")).unwrap();
    let lines: Vec<&str> = environment.lines().collect();
    let decision = ran.json("launch.json")["answer"]["decision_id"].clone();
    let decision = decision.as_str().unwrap();
    for due in [
        &format!("ADMIT_DECISION_ID={decision}"),
        &format!("TRACEPARENT={TRACE_PARENT}"),
        &format!("{BASE_URL_VARIABLE}="),
        "OPENAI_API_KEY=",
        "CASE_DATA_DIR=",
        "HOME=",
        "stdin 0",
    ] {
        assert!(lines.contains(&due), "{due}: {environment}");
    }
    for name in ["ADMIT_SERVER", "ANTHROPIC_API_KEY", "GH_TOKEN", "HARMLESS"] {
        assert!(!environment.contains(&format!("{name}=")), "{environment}");
    }
    assert_eq!(ran.stdout, format!("{SPOKEN}\n"));
    let started = ran.json("case_process_started");
    assert_eq!(started["decision_id"], decision);
}

fn given_in_the_fake_lane() {
    let mut world = World::new();
    world.replace_flag("--lane", "fake");
    world.set("CTO_HARNESS_CASE_MODEL_PROVIDER", "fake");
    world.set("ANTHROPIC_API_KEY", "dummy");
    world.order("no-model record-environment");
    let ran = world.run();
    world.assert_ran(&ran, 0);
    let environment = fs::read_to_string(world.path("fixture/environment")).unwrap();
    assert!(environment.contains("ADMIT_DECISION_ID="), "{environment}");
    assert!(!environment.contains("_API_KEY="), "{environment}");
}

fn traced() {
    let mut world = World::new();
    world.order("record-environment");
    let ran = world.run();
    world.assert_ran(&ran, 0);
    let environment = fs::read_to_string(world.path("fixture/environment")).unwrap();
    let place = environment
        .lines()
        .find_map(|line| line.strip_prefix("TRACEPARENT="))
        .unwrap();
    assert_eq!(place.len(), TRACE_PARENT.len(), "{place}");
}

fn passes_on(words: &str, code: i32) {
    let mut world = World::new();
    world.order(words);
    let ran = world.run();
    world.assert_ran(&ran, code);
    assert_eq!(ran.signal(), None);
    let run = ran.json("run.json");
    assert_eq!(run["ended_by"], "itself");
    if code > 128 {
        assert_eq!(run["signal"], code - 128);
    } else {
        assert_eq!(run["exit_code"], code);
    }
}

/// A world whose command waits, with these words besides, and its wrapper.
fn waiting(words: &str, flags: &str) -> (World, Running, Pid, Pid) {
    let mut world = World::new();
    world.order(&format!("wait {words}"));
    world.add_flags(flags);
    let mut running = world.start("evidence");
    let (command, keeper) = running.until_waiting();
    (world, running, command, keeper)
}

fn signaled(signal: Signal) {
    let (world, running, command, _) = waiting("spawn-detached", "");
    let detached = running.pids("detached");
    running.signal(signal);
    let ran = running.wait();
    world.assert_ran(&ran, 128 + signal.as_raw());
    until_gone(&detached);
    until_gone(&[command]);
    let run = ran.json("run.json");
    assert_eq!(run["ended_by"], "signal");
    assert_eq!(run["signal"], signal.as_raw());
}

fn term_ignored() {
    let (world, running, _, _) = waiting("ignore-term", "");
    running.signal(Signal::TERM);
    let ignored = world.path("fixture/term-ignored");
    until("the TERM at the command", || ignored.exists().then_some(()));
    running.go_on();
    world.assert_ran(&running.wait(), 0);
}

fn children_end() {
    let mut world = World::new();
    world.order("spawn-detached");
    let running = world.start("evidence");
    let folder = world.path("fixture");
    let ran = running.wait();
    world.assert_ran(&ran, 0);
    // The wrapper ends only when everything has ended.
    let detached = fs::read_to_string(folder.join("detached")).unwrap();
    assert!(!is_running(detached.trim()), "{detached} still runs");
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn wrapper_killed() {
    let (mut world, running, command, keeper) = waiting("spawn-detached ignore-term", "");
    let detached = running.pids("detached");
    assert_eq!(detached.len(), 1);
    running.signal(Signal::KILL);
    assert_eq!(running.wait().signal(), Some(9));
    until_gone(&[command, keeper]);
    until_gone(&detached);
    // What the killed one held holds nobody up.
    fs::remove_file(world.path("fixture/started")).unwrap();
    world.order("");
    world.assert_ran(&world.start("next").wait(), 0);
}

fn keeper_killed() {
    let (world, running, command, keeper) = waiting("spawn-detached ignore-term", "");
    let detached = running.pids("detached");
    assert_eq!(detached.len(), 1);
    kill_process(keeper, Signal::KILL).unwrap();
    let ran = running.wait();
    until_gone(&[command, keeper]);
    until_gone(&detached);
    world.assert_ran(&ran, 137);
}

/// The command ends with its keeper, whatever the wrapper is at.
fn keeper_killed_alone() {
    let (world, running, command, keeper) = waiting("spawn-detached ignore-term", "");
    let detached = running.pids("detached");
    running.signal(Signal::STOP);
    kill_process(keeper, Signal::KILL).unwrap();
    until_gone(&[command]);
    running.signal(Signal::CONT);
    let ran = running.wait();
    until_gone(&detached);
    world.assert_ran(&ran, 137);
}

/// A keeper that does not listen does not hold up a revocation.
fn keeper_stopped() {
    let (world, running, command, keeper) = waiting("spawn-detached", "--grace-ms 0");
    let detached = running.pids("detached");
    kill_process(keeper, Signal::STOP).unwrap();
    world.revoke();
    let ran = running.wait();
    until_gone(&[command, keeper]);
    until_gone(&detached);
    world.assert_ran(&ran, 85);
}

fn not_executable() {
    let mut world = World::new();
    world.write("bin/nothing/bun", "no program");
    world.command[0] = world.text("bin/nothing/bun");
    let ran = world.run();
    world.assert_not_started(&ran, 83, &["command-not-started"]);
    let mut world = World::new();
    world.command[0] = world.text("bin/missing/bun");
    let ran = world.run();
    world.assert_not_started(&ran, 83, &["command-not-started"]);
}

fn evidence_taken() {
    let world = World::new();
    world.write("evidence/other", "another run's");
    let ran = world.run();
    assert_eq!(ran.code, Some(84), "{}", ran.stderr);
    assert!(!world.path("fixture/started").exists());
    let left: Vec<_> = fs::read_dir(&ran.evidence).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let world = World::new();
    world.write("evidence", "a file and no folder");
    let ran = world.run();
    assert_eq!(ran.code, Some(84), "{}", ran.stderr);
    assert!(!world.path("fixture/started").exists());
}

fn config_in_use() {
    let (world, running, _, _) = waiting("", "");
    let second = world.start("second").wait();
    // The first one of them has started.
    fs::remove_file(world.path("fixture/started")).unwrap();
    world.assert_not_started(&second, 82, &["config-in-use"]);
    world.write("fixture/started", "");
    running.go_on();
    world.assert_ran(&running.wait(), 0);
}

fn config_sealed() {
    use std::os::unix::fs::PermissionsExt as _;

    let (world, running, _, _) = waiting("", "");
    let mode = || {
        let metadata = fs::metadata(world.path("data/config.json")).unwrap();
        metadata.permissions().mode() & 0o222
    };
    assert_eq!(mode(), 0);
    running.go_on();
    world.assert_ran(&running.wait(), 0);
    assert_ne!(mode(), 0);
}

fn usage() {
    for flags in [
        "--grace-ms x",
        "--lost-contact-after-ms 1",
        "--nonsense",
        "--jwks x",
    ] {
        let mut world = World::new();
        world.add_flags(flags);
        assert_unusable(&world);
    }
    let mut world = World::new();
    world.command.clear();
    assert_unusable(&world);
    let mut world = World::new();
    world.replace_flag("--run-id", "run_7 ");
    assert_unusable(&world);
}

fn assert_unusable(world: &World) {
    let ran = world.run();
    assert_eq!(ran.code, Some(89), "{}", ran.stderr);
    assert!(!world.path("fixture/started").exists());
}

fn as_json() {
    let mut world = World::new();
    world.add_flags("--json");
    let ran = world.run();
    world.assert_ran(&ran, 0);
    let shape = last_line(&ran);
    assert_eq!(shape["schema"], "admit.run/1");
    assert_eq!(shape["outcome"], "ran");
    assert_eq!(shape["exit_code"], 0);
    assert_eq!(shape["ended_by"], "itself");
    let mut world = World::new();
    world.add_flags("--json");
    world.configure("{}");
    let ran = world.run();
    let shape = last_line(&ran);
    assert_eq!(shape["outcome"], "not-started");
    assert_eq!(shape["exit_code"], 80);
    assert_eq!(shape["reasons"][0]["code"], "case-config-mismatch");
}

fn last_line(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap()
}
