//! The evidence of a run, from the start of the command to the server's judgment on it.

use std::fs;

use libtest_mimic::Trial;
use rustix::process::{Signal, kill_process};

use crate::{
    policy::{self, CUSTOM_PROVIDER, MODEL, PROVIDER},
    stand_in::SECRET,
    trial,
    world::{Ran, Running, World},
};

type Row = (&'static str, &'static str, &'static [&'static str], i32);

/// What the stand-in is ordered to do, why the evidence is rejected, and the exit code.
const ROWS: [Row; 13] = [
    ("a run in order", "", &[], 0),
    (
        "a role fell back to anthropic",
        "drop-models-before-reviewer",
        &[
            "observed-model-mismatch",
            "external-fallback-observed",
            "config-changed-during-run",
            "pipeline-failed",
        ],
        0,
    ),
    (
        "the config was changed during the run",
        "change-config",
        &["config-changed-during-run"],
        0,
    ),
    (
        "the config was changed and changed back",
        "touch-config",
        &["config-changed-during-run"],
        0,
    ),
    (
        "the folder of the config was away for one agent",
        "swap-folder-for-reviewer",
        &[
            "observed-model-mismatch",
            "external-fallback-observed",
            "config-changed-during-run",
            "pipeline-failed",
        ],
        0,
    ),
    (
        "models.json was changed during the run",
        "change-adapter",
        &["config-changed-during-run"],
        0,
    ),
    (
        "somebody wrote a second event log",
        "second-log",
        &["pipeline-incomplete"],
        0,
    ),
    (
        "the pipeline failed with the exit code 0",
        "fail-pipeline",
        &["pipeline-failed"],
        0,
    ),
    (
        "the pipeline has no end",
        "no-end",
        &["pipeline-incomplete"],
        0,
    ),
    (
        "the exit code is 7, which decides nothing",
        "exit-7",
        &[],
        7,
    ),
    (
        "the run planted a trace of its own",
        "plant-trace",
        &[
            "observed-model-missing",
            "pipeline-incomplete",
            "secret-scan-missing",
        ],
        0,
    ),
    (
        "the run put another log of standard error in place",
        "forge-log",
        &["observed-model-missing"],
        0,
    ),
    (
        "no agent said which model it uses",
        "no-model",
        &["observed-model-missing"],
        0,
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = ROWS
        .into_iter()
        .map(|(name, words, codes, exit)| {
            trial(&format!("evidence: {name}"), move || {
                let (world, ran) = judged(words);
                world.assert_ran(&ran, exit);
                assert_eq!(ran.rejections(), codes, "{}", ran.stderr);
                check_files(&ran, codes.is_empty());
            })
        })
        .collect();
    trials.extend([
        trial("evidence: a secret on standard error", secret),
        trial("evidence: the run changed launch.json", || {
            let (world, ran) = judged("forge-launch");
            world.assert_ran(&ran, 0);
            assert!(ran.stderr.contains("unjudged"), "{}", ran.stderr);
            assert!(!ran.evidence.join("verdict.json").exists());
        }),
        trial("evidence: no baseline", || {
            let mut world = World::new();
            let fixture = world.text("fixture");
            world.add_flags(&format!("--fixture-dir {fixture}"));
            let ran = world.run();
            world.assert_ran(&ran, 0);
            assert_eq!(ran.rejections(), ["baseline-missing"]);
        }),
        trial("evidence: the baseline of another run", || {
            let (world, ran) = after_baseline(|world| {
                world.replace_flag("--run-id", "run-8");
                world.replace_flag("--fake-baseline", "run-8");
            });
            world.assert_ran(&ran, 0);
            assert_eq!(ran.rejections(), ["baseline-not-same-run"]);
        }),
        trial("evidence: the baseline of another fixture", || {
            let (world, ran) = after_baseline(|world| {
                world.write("fixture/README.md", "Another fixture.\n");
            });
            world.assert_ran(&ran, 0);
            assert_eq!(ran.rejections(), ["baseline-fixture-mismatch"]);
        }),
        trial("evidence: a baseline that failed", || {
            let (world, ran) = after_baseline(|world| {
                let events = world.path("baseline/trace");
                for entry in fs::read_dir(events).unwrap() {
                    let path = entry.unwrap().path();
                    let text = fs::read_to_string(&path).unwrap();
                    fs::write(&path, text.replace("completed", "failed")).unwrap();
                }
            });
            world.assert_ran(&ran, 0);
            assert_eq!(ran.rejections(), ["baseline-failed"]);
        }),
        trial("evidence: how the command ended is not known", || {
            let (world, mut running) = start_after_baseline(|world| world.order("wait-at-end"));
            let (_, keeper) = running.until_waiting();
            kill_process(keeper, Signal::KILL).unwrap();
            let ran = running.wait();
            world.assert_ran(&ran, 137);
            assert_eq!(ran.rejections(), ["pipeline-incomplete"]);
        }),
        trial(
            "evidence: a custom provider, for which stock Case has no key",
            custom,
        ),
    ]);
    trials
}

/// A real run after its baseline, with the stand-in ordered so.
fn judged(words: &'static str) -> (World, Ran) {
    after_baseline(move |world| world.order(words))
}

fn after_baseline(change: impl FnOnce(&mut World)) -> (World, Ran) {
    let (world, running) = start_after_baseline(change);
    (world, running.wait())
}

fn start_after_baseline(change: impl FnOnce(&mut World)) -> (World, Running) {
    let mut world = World::new();
    let baseline = world.run_baseline();
    assert_eq!(baseline.code, Some(0), "{}", baseline.stderr);
    assert_eq!(baseline.json("launch.json")["lane"], "fake");
    assert!(world.path("fixture-fake/started").exists());
    assert!(!baseline.evidence.join("verdict.json").exists());
    change(&mut world);
    let running = world.start("evidence");
    (world, running)
}

/// The folder has every file, and they agree.
fn check_files(ran: &Ran, is_accepted: bool) {
    for name in [
        "launch.json",
        "permit.jwt",
        "case_process_started",
        "trace/trace.json",
        "run.json",
        "report.json",
        "summary.md",
        "verdict.json",
    ] {
        assert!(!ran.read(name).is_empty(), "{name}");
    }
    let launch = ran.json("launch.json");
    assert_eq!(launch["provider"], PROVIDER);
    assert_eq!(launch["model"], MODEL);
    let decision = &launch["answer"]["decision_id"];
    assert_eq!(ran.json("case_process_started")["decision_id"], *decision);
    let verdict = ran.json("verdict.json");
    if is_accepted {
        assert_eq!(verdict["decision_id"], *decision);
        assert!(verdict["seq"].as_u64() > launch["answer"]["seq"].as_u64());
        // Whoever reads the summary sees the verdict and the pair.
        let summary = ran.read("summary.md").to_lowercase();
        assert!(summary.contains("accepted") && summary.contains(MODEL));
        assert!(
            ran.stderr.contains("the evidence is accepted"),
            "{}",
            ran.stderr
        );
    } else {
        assert!(
            ran.stderr.contains("the evidence is rejected"),
            "{}",
            ran.stderr
        );
    }
}

fn secret() {
    let (world, ran) = judged("print-secret");
    world.assert_ran(&ran, 0);
    let codes = ran.rejections();
    assert!(
        codes.iter().any(|code| code == "secret-detected"),
        "{codes:?}"
    );
    assert_eq!(ran.json("run.json")["withheld_lines"], 1);
    assert!(!ran.stderr.contains(SECRET));
    assert!(!ran.read("backend/case.stderr.log").contains(SECRET));
}

fn custom() {
    let mut world = World::of(CUSTOM_PROVIDER);
    let alone = world.alone();
    assert_eq!(alone.ran.code, Some(0));
    assert!(alone.requests().is_empty());
    assert_eq!(alone.outcome().as_deref(), Some("failed"));
    let spawned = (
        "implementer".to_owned(),
        CUSTOM_PROVIDER.to_owned(),
        MODEL.to_owned(),
    );
    assert_eq!(alone.spawned(), [spawned]);
    assert!(policy::admission(CUSTOM_PROVIDER, "admitted").contains(CUSTOM_PROVIDER));
    let baseline = world.run_baseline();
    assert_eq!(baseline.code, Some(0), "{}", baseline.stderr);
    let ran = world.run();
    world.assert_ran(&ran, 0);
    assert_eq!(ran.rejections(), ["pipeline-failed"]);
}
