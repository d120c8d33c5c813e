//! Canaries: texts planted wherever a launch has texts, and searched for in every byte that the
//! wrapper and the daemon leave.
//!
//! Deliberately absent: what the command itself writes to standard output, which is its own.

use std::{fs, path::Path};

use libtest_mimic::Trial;

use crate::{
    policy::{MODEL, PROVIDER},
    trial,
    world::{BASE_URL, BASE_URL_VARIABLE, Ran, World, models},
};

/// A base URL of its own, so that nothing else has it.
const URL: &str = "http://127.0.0.1:18199/zq7canaryurl/v1";

/// What looks like a key and has `name` in it.
fn key(name: &str) -> String {
    format!("sk-ant-zq7canary{name}0123456789")
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("canary: a launch that is denied", denied),
        trial("canary: a launch that is refused", refused),
        trial("canary: facts that cannot be gathered", no_facts),
        trial("canary: a secret in the place of the model", secret_model),
        trial("canary: a launch that nobody answers", unanswered),
        trial("canary: a run that is accepted", accepted),
        trial("canary: a run that prints all that it has", printed),
        trial("canary: the search finds what is there", search_finds),
    ]
}

/// A world with a canary in each place where none of them denies.
fn planted() -> World {
    let mut world = World::new();
    world.set(BASE_URL_VARIABLE, URL);
    let adapter = models(PROVIDER, r#","name":"zq7canarymodel""#, "");
    world.write("agent/models.json", adapter.replace(BASE_URL, URL));
    let auth = format!(
        r#"{{"openai":{{"type":"api_key","key":"{}"}}}}"#,
        key("auth")
    );
    world.write("agent/auth.json", auth);
    world.write("fixture/t1.md", "Say zq7canarytask.\n");
    world.write(
        "data/config.json",
        crate::world::case_config(PROVIDER, MODEL).replace("./projects", "./zq7canaryconfig"),
    );
    world.add_words("zq7canaryargument");
    world.set("OPENAI_API_KEY", key("own"));
    world.set("ANTHROPIC_API_KEY", key("foreign"));
    world.set("SOME_VARIABLE", "zq7canaryvariable");
    world.set("SOME_TOKEN", "zq7canarytoken");
    world
}

/// The same with a secret in each place where secrets are looked for.
fn planted_secrets() -> World {
    let mut world = planted();
    world.write("fixture/t1.md", format!("Use {}.\n", key("task")));
    let config = fs::read_to_string(world.path("data/config.json")).unwrap();
    world.configure(config.replace("./", &key("config")));
    let adapter = fs::read_to_string(world.path("agent/models.json")).unwrap();
    world.write("agent/models.json", adapter.replace("none", &key("models")));
    world.add_words(&key("argument"));
    world
}

/// Nothing that was produced has a canary in it.
fn assert_clean(world: &World, ran: &Ran) {
    let mut haystack = vec![
        (
            "standard output".to_owned(),
            ran.stdout.clone().into_bytes(),
        ),
        ("standard error".to_owned(), ran.stderr.clone().into_bytes()),
    ];
    add_folder(&mut haystack, &ran.evidence);
    add_folder(&mut haystack, &world.path("audit"));
    let found = find(&haystack);
    assert!(found.is_empty(), "{found:?}");
}

fn add_folder(haystack: &mut Vec<(String, Vec<u8>)>, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        haystack.push((format!("the name {name}"), name.clone().into_bytes()));
        if path.is_dir() {
            add_folder(haystack, &path);
        } else {
            haystack.push((name, fs::read(&path).unwrap()));
        }
    }
}

/// Where a canary is, as it is, as hexadecimal digits, or in base64.
fn find(haystack: &[(String, Vec<u8>)]) -> Vec<&str> {
    // The second is the base URL's, as far as no other text has it; the others are base64 of
    // `zq7canary` behind 0, 1 and 2 bytes, without what mixes with the neighbors.
    let forms: [&[u8]; 6] = [
        b"zq7canary",
        b"127.0.0.1:18199",
        b"7a713763616e617279",
        b"enE3Y2FuYXJ5",
        b"pxN2NhbmFye",
        b"6cTdjYW5hcn",
    ];
    haystack
        .iter()
        .filter(|(_, content)| {
            let lowered = content.to_ascii_lowercase();
            forms.iter().any(|form| {
                [content, &lowered]
                    .into_iter()
                    .any(|text| text.windows(form.len()).any(|window| window == *form))
            })
        })
        .map(|(place, _)| place.as_str())
        .collect()
}

fn denied() {
    let world = planted_secrets();
    let ran = world.run();
    assert_eq!(ran.code, Some(80), "{}", ran.stderr);
    assert!(!world.path("fixture/started").exists());
    assert_eq!(ran.json("launch.json")["reasons"][0], "secret-detected");
    assert_clean(&world, &ran);
}

fn refused() {
    let mut world = planted_secrets();
    world.set("HTTP_PROXY", "http://jp:zq7canaryproxy@127.0.0.1:18199");
    world.set("BUN_OPTIONS", "--preload zq7canaryoptions");
    world.set("OPENAI_BASE_URL", URL);
    world.write(
        "fixture/.env",
        format!("CASE_MODEL_OVERRIDE={}\n", key("dotenv")),
    );
    world.command.retain(|word| word != "--no-env-file");
    let codes = [
        "dotenv-in-working-directory",
        "bun-options-set",
        "endpoint-variable-set",
    ];
    let ran = world.run();
    assert_eq!(ran.code, Some(82), "{}", ran.stderr);
    let launch = ran.json("launch.json");
    for code in codes {
        let reasons = launch["reasons"].as_array().unwrap();
        assert!(reasons.iter().any(|reason| reason == code), "{launch}");
    }
    assert_clean(&world, &ran);
}

fn no_facts() {
    let world = planted_secrets();
    let config = fs::read_to_string(world.path("data/config.json")).unwrap();
    world.configure(format!("{config}{}", " ".repeat(300 * 1024)));
    let ran = world.run();
    world.assert_not_started(&ran, 82, &["facts-not-gathered"]);
    assert_clean(&world, &ran);
}

fn secret_model() {
    let mut world = planted();
    world.set("CTO_HARNESS_CASE_MODEL", key("name"));
    let ran = world.run();
    assert_eq!(ran.code, Some(80), "{}", ran.stderr);
    assert!(!world.path("fixture/started").exists());
    assert_clean(&world, &ran);
}

fn unanswered() {
    let mut world = planted();
    world.daemon.kill();
    world.replace_flag("--deadline-ms", "1000");
    let ran = world.run();
    world.assert_not_started(&ran, 81, &["no-answer"]);
    assert_clean(&world, &ran);
}

fn accepted() {
    let mut world = planted();
    let baseline = world.run_baseline();
    assert_eq!(baseline.code, Some(0), "{}", baseline.stderr);
    assert_clean(&world, &baseline);
    let ran = world.run();
    world.assert_ran(&ran, 0);
    assert_eq!(ran.rejections(), [""; 0]);
    // Of all the canaries the command had these.
    let requests = fs::read_to_string(world.path("fixture/requests.jsonl")).unwrap();
    assert!(requests.contains(URL) && requests.contains("OPENAI_API_KEY"));
    assert_clean(&world, &ran);
}

fn printed() {
    let mut world = planted();
    // What looks like nothing is no secret to anybody.
    world.unset("SOME_VARIABLE");
    world.order("print-everything");
    let fixture = world.text("fixture");
    world.add_flags(&format!("--fixture-dir {fixture}"));
    let ran = world.run();
    world.assert_ran(&ran, 0);
    assert!(ran.json("run.json")["withheld_lines"].as_u64() >= Some(2));
    assert!(ran.stderr.contains("HOME is "), "{}", ran.stderr);
    assert_clean(&world, &ran);
    assert!(ran.rejections().contains(&"secret-detected".to_owned()));
}

fn search_finds() {
    let place = |content: &[u8]| vec![("there".to_owned(), content.to_vec())];
    for content in [
        &b"before zq7canary behind"[..],
        b"\xff\0ZQ7CANARY",
        b"7A713763616E617279",
        b"http://127.0.0.1:18199/",
        b"enE3Y2FuYXJ5dXJs",
        b"MXpxN2NhbmFyeXVybA",
        b"MTJ6cTdjYW5hcnl1cmw",
    ] {
        assert_eq!(find(&place(content)), ["there"], "{content:?}");
    }
    assert!(find(&place(b"zq7 canary, 127.0.0.1:18123")).is_empty());
}
