//! `admit run --permit`: a start under a permit that somebody else obtained.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    policy::{MODEL, PROVIDER},
    trial,
    world::{World, case_config},
};

type Row = (&'static str, fn(&mut World), &'static [&'static str]);

/// What is no launch of the permit.
const OTHER_LAUNCHES: [Row; 13] = [
    (
        "another run",
        |world| {
            world.replace_flag("--run-id", "run-8");
            world.replace_flag("--fake-baseline", "run-8");
        },
        &["permit-unfit"],
    ),
    (
        "another host",
        |world| world.replace_flag("--host", "spark-2"),
        &["permit-unfit"],
    ),
    (
        "another config",
        |world| world.configure(format!("{}\n", case_config(PROVIDER, MODEL))),
        &["permit-unfit"],
    ),
    (
        "another admission file",
        |world| world.write("admission.json", "{}"),
        &["permit-unfit"],
    ),
    (
        "another pair",
        |world| world.set("CTO_HARNESS_CASE_MODEL", "qwen3"),
        // Pi has no such model either, and that is seen first.
        &["local-adapter-config-invalid"],
    ),
    (
        "another policy than the expected one",
        |world| world.add_flags(&format!("--expect-policy {}", "0a".repeat(32))),
        &["expected-policy-mismatch"],
    ),
    (
        "a changed permit",
        |world| {
            let permit = fs::read_to_string(world.path("permit")).unwrap();
            let (signed, _) = permit.rsplit_once('.').unwrap();
            world.write("permit", format!("{signed}.{}", "A".repeat(86)));
        },
        &["permit-unfit"],
    ),
    (
        "an empty permit",
        |world| world.write("permit", ""),
        &["permit-unfit"],
    ),
    (
        "a permit that is too long",
        |world| world.write("permit", "a".repeat(100_000)),
        &["permit-unfit"],
    ),
    (
        "no keys",
        |world| world.write("keys", r#"{"keys":[]}"#),
        &["permit-unfit"],
    ),
    (
        "an override",
        |world| world.set("CASE_MODEL_OVERRIDE", "claude-haiku-4-5"),
        &["case-model-override"],
    ),
    (
        "the agent mode",
        |world| world.add_words("--agent"),
        &["case-agent-mode"],
    ),
    (
        "a secret in the task",
        |world| world.write("fixture/t1.md", "Use sk-ant-0123456789abcdef.\n"),
        &["secret-detected"],
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("permit: the launch that it is for", || {
            let world = with_permit(false);
            world.assert_ran(&world.run(), 0);
        }),
        trial(
            "permit: the launch that it is for, without a server",
            || {
                let mut world = with_permit(true);
                world.daemon.kill();
                let ran = world.run();
                world.assert_ran(&ran, 0);
                let first = fs::read_to_string(world.path("permit")).unwrap();
                assert_eq!(ran.read("permit.jwt").trim(), first.trim());
            },
        ),
        trial("permit: without keys and without a server", || {
            let mut world = with_permit(false);
            world.daemon.kill();
            world.replace_flag("--deadline-ms", "2000");
            world.assert_not_started(&world.run(), 81, &["no-answer"]);
        }),
        trial("permit: a pair that was revoked since", || {
            let world = with_permit(false);
            world.revoke();
            // The host has the file of before.
            let codes = ["admission-file-mismatch", "admission-revoked"];
            world.assert_not_started(&world.run(), 80, &codes);
        }),
        trial("permit: models.json leads elsewhere", || {
            let world = with_permit(true);
            let models = fs::read_to_string(world.path("agent/models.json")).unwrap();
            world.write("agent/models.json", models.replace("18123", "18124"));
            world.assert_not_started(&world.run(), 82, &["adapter-redirects-model"]);
        }),
    ];
    for (name, change, codes) in OTHER_LAUNCHES {
        trials.push(trial(&format!("permit: {name}"), move || {
            let mut world = with_permit(true);
            change(&mut world);
            world.assert_not_started(&world.run(), 82, codes);
        }));
    }
    trials
}

/// A world with a permit for its launch, and a file of keys if it is to be used.
fn with_permit(has_keys: bool) -> World {
    let mut world = World::new();
    let first = world.start("first").wait();
    world.assert_ran(&first, 0);
    fs::remove_file(world.path("fixture/started")).unwrap();
    world.write("permit", first.read("permit.jwt"));
    world.write("keys", world.daemon.jwks());
    let (permit, keys) = (world.text("permit"), world.text("keys"));
    world.add_flags(&format!("--permit {permit}"));
    if has_keys {
        world.add_flags(&format!("--jwks {keys}"));
    }
    world
}
