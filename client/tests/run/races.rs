//! Between ALLOW and the end: files that change, a pair that is revoked, servers that vanish.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::{
    policy::{MODEL, PROVIDER},
    relay::{Call, Relay, Twist},
    trial,
    world::{Running, World, case_config, copy, models, until_gone},
};

/// The shortest time after which contact may count as lost.
const LOST_AFTER: Duration = Duration::from_millis(100);
/// Every call that is made before the start.
const BEFORE_START: [Call; 3] = [Call::Admit, Call::Keys, Call::Watch];

type Change = (&'static str, fn(&World));

/// What somebody may do to the files between the answer and the start.
const CHANGES: [Change; 9] = [
    ("config.json selects another pair", |world| {
        world.configure(case_config("anthropic", "claude-sonnet-4-6"));
    }),
    ("config.json is replaced", |world| {
        world.write("data/new", case_config("anthropic", "claude-sonnet-4-6"));
        fs::rename(world.path("data/new"), world.path("data/config.json")).unwrap();
    }),
    ("config.json is gone", |world| {
        fs::remove_file(world.path("data/config.json")).unwrap();
    }),
    ("models.json leads elsewhere", |world| {
        let text = models(PROVIDER, "", "").replace("18123", "18124");
        world.write("agent/models.json", text);
    }),
    ("auth.json appears", |world| {
        world.write("agent/auth.json", "{}");
    }),
    ("the task is another one", |world| {
        world.write("fixture/t1.md", "Remove every greeting.\n");
    }),
    ("the working directory is another one", |world| {
        fs::rename(world.path("fixture"), world.path("moved")).unwrap();
        copy(&world.path("moved"), &world.path("fixture"));
    }),
    ("the admission file is another one", |world| {
        world.write("admission.json", "{}");
    }),
    ("bunfig.toml appears", |world| {
        world.write("fixture/bunfig.toml", "preload = [\"./x.ts\"]\n");
    }),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, change) in CHANGES {
        trials.push(trial(
            &format!("race: {name} before the start"),
            move || {
                changed(Call::Admit, change);
            },
        ));
    }
    for call in BEFORE_START {
        trials.push(trial(
            &format!("race: config.json changes during {call:?}"),
            move || {
                changed(call, CHANGES[0].1);
            },
        ));
        trials.push(trial(
            &format!("race: the pair is revoked during {call:?}"),
            move || {
                revoked_before(call);
            },
        ));
        trials.push(trial(
            &format!("race: the server vanishes during {call:?}"),
            move || {
                vanished(call);
            },
        ));
        trials.push(trial(
            &format!("race: the deadline passes during {call:?}"),
            move || {
                too_late(call);
            },
        ));
        trials.push(trial(
            &format!("race: the wrapper is killed during {call:?}"),
            move || killed(call),
        ));
        trials.push(trial(
            &format!("race: the wrapper is told to end during {call:?}"),
            move || told_to_end(call),
        ));
        trials.push(trial(
            &format!("race: nothing happens during {call:?}"),
            move || {
                undisturbed(call);
            },
        ));
    }
    trials.extend(single());
    trials
}

fn single() -> Vec<Trial> {
    vec![
        trial("race: nobody is there to be asked", nobody),
        trial(
            "race: the next server answers when one is gone",
            next_server,
        ),
        trial("race: the pair is revoked during the run", || {
            revoked("", 15);
        }),
        trial(
            "race: the pair is revoked, and the command ignores TERM",
            || {
                revoked("ignore-term", 9);
            },
        ),
        trial(
            "race: the pair is revoked, and the command has left its group",
            || revoked("ignore-term leave-group", 9),
        ),
        trial(
            "race: a change that keeps the pair ends nothing",
            other_change,
        ),
        trial(
            "race: the server vanishes during the run, which goes on",
            lost_and_on,
        ),
        trial(
            "race: the server vanishes during the run, which is ended",
            lost_and_ended,
        ),
        trial("race: the server is away for a moment", restored),
        trial(
            "race: the server vanishes before the evidence is handed in",
            unjudged,
        ),
    ]
}

/// A world with a relay that stops this call.
fn relayed(call: Call) -> (World, Relay) {
    let mut world = World::new();
    let relay = Relay::start(&world.daemon.endpoint(), Twist::stop_at(call));
    world.endpoint = relay.endpoint();
    (world, relay)
}

fn changed(call: Call, change: fn(&World)) {
    let (world, relay) = relayed(call);
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    change(&world);
    relay.go_on();
    world.assert_not_started(&running.wait(), 82, &["changed-before-start"]);
    assert!(!world.path("moved/started").exists());
}

fn undisturbed(call: Call) {
    let (world, relay) = relayed(call);
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    relay.go_on();
    world.assert_ran(&running.wait(), 0);
}

fn revoked_before(call: Call) {
    let (world, relay) = relayed(call);
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    world.revoke();
    relay.go_on();
    let codes = ["revoked-before-start", "admission-revoked"];
    world.assert_not_started(&running.wait(), 82, &codes);
}

fn vanished(call: Call) {
    let (world, mut relay) = relayed(call);
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    relay.kill();
    world.assert_not_started(&running.wait(), 81, &["no-answer"]);
}

fn killed(call: Call) {
    let (mut world, relay) = relayed(call);
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    running.signal(Signal::KILL);
    let ran = running.wait();
    relay.go_on();
    assert_eq!(ran.signal(), Some(9));
    assert!(!world.path("fixture/started").exists());
    assert!(!ran.evidence.join("case_process_started").exists());
    // What it held holds nobody up.
    world.endpoint = world.daemon.endpoint();
    world.assert_ran(&world.start("next").wait(), 0);
}

fn told_to_end(call: Call) {
    let (mut world, relay) = relayed(call);
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    running.signal(Signal::TERM);
    let ran = running.wait();
    relay.go_on();
    world.assert_not_started(&ran, 82, &["interrupted-before-start"]);
    world.endpoint = world.daemon.endpoint();
    world.assert_ran(&world.start("next").wait(), 0);
}

fn too_late(call: Call) {
    let (mut world, relay) = relayed(call);
    // Long enough to come so far on a busy machine.
    world.replace_flag("--deadline-ms", "2000");
    let running = world.start("evidence");
    assert_eq!(relay.until_stopped(), call);
    world.assert_not_started(&running.wait(), 81, &["no-answer"]);
}

fn nobody() {
    let mut world = World::new();
    world.daemon.kill();
    world.replace_flag("--deadline-ms", "2000");
    world.assert_not_started(&world.run(), 81, &["no-answer"]);
}

fn next_server() {
    let mut world = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    world.endpoint = format!("http://{address},{}", world.daemon.endpoint());
    world.assert_ran(&world.run(), 0);
}

/// A world with a waiting command.
fn waiting(words: &str, flags: &str) -> (World, Running) {
    let mut world = World::new();
    world.order(&format!("wait spawn-detached {words}"));
    world.add_flags(flags);
    let mut running = world.start("evidence");
    running.until_waiting();
    (world, running)
}

fn revoked(words: &str, signal: i32) {
    let (world, running) = waiting(words, "--grace-ms 300");
    let pids = [running.pids("started"), running.pids("detached")].concat();
    world.revoke();
    let ran = running.wait();
    until_gone(&pids);
    world.assert_ran(&ran, 85);
    let run = ran.json("run.json");
    assert_eq!(run["ended_by"], "revocation");
    assert_eq!(run["signal"], signal);
    let is_ignored = world.path("fixture/term-ignored").exists();
    assert_eq!(is_ignored, words.contains("ignore-term"));
}

fn other_change() {
    let (world, running) = waiting("", "");
    world.write("policy/sot/CTO-CASE-OTHER-ISSUES.md", "# Other\n");
    // The admission is written again, and says the same.
    world.write_admission("admitted");
    world.daemon.until_pair_is(PROVIDER, "admitted");
    running.go_on();
    let ran = running.wait();
    world.assert_ran(&ran, 0);
    assert_eq!(ran.json("run.json")["ended_by"], "itself");
}

const LOST_FLAGS: &str = "--lost-contact-after-ms 100 --on-lost-contact";

fn lost_and_on() {
    let (mut world, running) = waiting("", &format!("{LOST_FLAGS} continue"));
    world.daemon.kill();
    // Whoever looks for the server again has noticed that it is gone.
    let listener = TcpListener::bind(world.daemon.address()).unwrap();
    let mut first_look: Option<Instant> = None;
    while first_look.is_none_or(|look| look.elapsed() <= LOST_AFTER * 2) {
        drop(listener.accept().unwrap());
        first_look.get_or_insert_with(Instant::now);
    }
    drop(listener);
    running.go_on();
    let ran = running.wait();
    world.assert_ran(&ran, 0);
    let run = ran.json("run.json");
    assert_eq!(run["ended_by"], "itself");
    let lost_ms = run["lost_contact_ms"].as_u64().unwrap();
    assert!(u128::from(lost_ms) >= LOST_AFTER.as_millis(), "{lost_ms}");
}

fn lost_and_ended() {
    let (mut world, running) = waiting("", &format!("{LOST_FLAGS} stop"));
    let pids = [running.pids("started"), running.pids("detached")].concat();
    world.daemon.kill();
    let ran = running.wait();
    until_gone(&pids);
    world.assert_ran(&ran, 86);
    let run = ran.json("run.json");
    assert_eq!(run["ended_by"], "lost-contact");
    assert!(run["lost_contact_ms"].is_u64(), "{run}");
}

fn restored() {
    let (mut world, relay) = relayed(Call::Evidence);
    world.order("wait");
    world.add_flags("--lost-contact-after-ms 30000 --on-lost-contact stop");
    // A relay that vanishes, and another server that is left.
    let daemon = world.daemon.endpoint();
    world.endpoint = format!("{},{daemon}", relay.endpoint());
    let mut running = world.start("evidence");
    running.until_waiting();
    drop(relay);
    world.revoke();
    // The other server told of it.
    world.assert_ran(&running.wait(), 85);
}

fn unjudged() {
    let (mut world, running) = waiting("", "");
    world.daemon.kill();
    running.go_on();
    let ran = running.wait();
    // What the command did stands, and nothing says that its evidence was accepted.
    world.assert_ran(&ran, 0);
    let verdict = ran.json("verdict.json");
    assert_eq!(verdict["verdict"], "no-answer");
    assert_eq!(ran.json("launch.json")["model"], MODEL);
}
