//! Each documented way in which Case gets at another model: what the stand-in does by itself, and what
//! the wrapper says to the same host.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    policy::{self, MODEL, PROVIDER},
    trial,
    world::{Alone, BASE_URL, World, case_config, models},
};

const AGENTS: [&str; 5] = [
    "implementer",
    "verifier",
    "reviewer",
    "closer",
    "retrospective",
];
const SILENT: (&str, &str) = ("anthropic", "claude-sonnet-4-6");
const OTHER_URL: &str = "http://127.0.0.1:18124/v1";
const PROXY: &str = "http://127.0.0.1:18125";
/// What a `.env` file does worst.
const DOTENV: &str = "CASE_MODEL_OVERRIDE=claude-haiku-4-5\n";

/// What the stand-in does by itself.
#[derive(Clone, Copy)]
enum Shown {
    /// Every agent gets the admitted pair at its endpoint.
    Chosen,
    /// The first agent gets this pair, for which there is no key: nothing is sent, the pipeline fails,
    /// and the exit code is 0.
    Falls((&'static str, &'static str)),
    /// This agent does, the ones before it get the admitted pair.
    FallsAt(&'static str),
    /// Every agent sends its requests for this pair, with the key in this variable.
    Sends((&'static str, &'static str), &'static str),
    /// It ends with 1, saying this.
    Throws(&'static str),
    /// It ran other code first.
    Preloaded,
    /// It says nothing of what it uses.
    Silent,
    /// The requests for the admitted pair go to another endpoint.
    Endpoint(&'static str),
    /// The requests go over a proxy.
    Proxied,
    /// Pi's conversation sends requests for this pair.
    Converses((&'static str, &'static str)),
    /// Not tried: the documentation says what the real one does.
    Untried,
}

/// What the wrapper says.
#[derive(Clone, Copy)]
enum Due {
    Runs,
    Denied(&'static [&'static str]),
    Refused(&'static [&'static str]),
}

type Row = (&'static str, fn(&mut World), Shown, Due);

pub(crate) fn trials() -> Vec<Trial> {
    [
        CONFIGS,
        BROKEN_CONFIGS,
        PLACES,
        OVERRIDES,
        BUN,
        ADAPTERS,
        OTHERS,
    ]
    .into_iter()
    .flatten()
    .map(|&(name, set_up, shown, due)| {
        trial(&format!("trap: {name}"), move || {
            let mut world = World::new();
            set_up(&mut world);
            shown.check(&world);
            due.check(&world);
        })
    })
    .collect()
}

const MISSING: &[&str] = &["case-config-missing"];
const INVALID: &[&str] = &["case-config-invalid"];
const FALLBACK: &[&str] = &["case-config-mismatch", "external-fallback"];

const CONFIGS: &[Row] = &[
    ("nothing", |_| {}, Shown::Chosen, Due::Runs),
    (
        "config.json has a byte order mark",
        |world| world.configure(format!("\u{feff}{}", case_config(PROVIDER, MODEL))),
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "config.json is missing",
        |world| fs::remove_file(world.path("data/config.json")).unwrap(),
        Shown::Falls(SILENT),
        Due::Denied(MISSING),
    ),
    (
        "config.json is missing, with a key for the silent default in sight",
        |world| {
            fs::remove_file(world.path("data/config.json")).unwrap();
            world.set("ANTHROPIC_API_KEY", "dummy");
        },
        Shown::Sends(SILENT, "ANTHROPIC_API_KEY"),
        Due::Denied(MISSING),
    ),
    (
        "config.json cannot be read",
        |world| {
            fs::remove_file(world.path("data/config.json")).unwrap();
            fs::create_dir(world.path("data/config.json")).unwrap();
        },
        Shown::Falls(SILENT),
        Due::Denied(&["secret-scan-missing", "case-config-missing"]),
    ),
    (
        "config.json is as `init` writes it",
        |world| world.configure(r#"{"version":1,"defaultModel":"claude-sonnet-4-6"}"#),
        Shown::Falls(SILENT),
        Due::Denied(FALLBACK),
    ),
    (
        "models is null",
        |world| world.configure(r#"{"models":null}"#),
        Shown::Falls(SILENT),
        Due::Denied(FALLBACK),
    ),
    (
        "models is a list",
        |world| world.configure(r#"{"models":[]}"#),
        Shown::Falls(SILENT),
        Due::Denied(FALLBACK),
    ),
    (
        "default is null",
        |world| world.configure(r#"{"models":{"default":null}}"#),
        Shown::Falls(SILENT),
        Due::Denied(FALLBACK),
    ),
    (
        "default is misspelled",
        |world| world.configure(case_config(PROVIDER, MODEL).replace("default", "defualt")),
        Shown::Falls(SILENT),
        Due::Denied(FALLBACK),
    ),
    (
        "a role has a model of its own",
        |world| {
            world.configure(with_reviewer(
                r#"{"provider":"anthropic","model":"claude-sonnet-4-6"}"#,
            ));
        },
        Shown::FallsAt("reviewer"),
        Due::Denied(&["external-fallback"]),
    ),
    (
        "a role has an empty text, which counts as none",
        |world| world.configure(with_reviewer(r#""""#)),
        Shown::Chosen,
        Due::Runs,
    ),
];

fn with_reviewer(entry: &str) -> String {
    case_config(PROVIDER, MODEL).replace("null", entry)
}

const BROKEN_CONFIGS: &[Row] = &[
    (
        "config.json has a trailing comma",
        |world| world.configure(case_config(PROVIDER, MODEL).replace("json\"}", "json\",}")),
        Shown::Falls(SILENT),
        Due::Denied(INVALID),
    ),
    (
        "config.json is a list",
        |world| world.configure("[]"),
        Shown::Falls(SILENT),
        Due::Denied(INVALID),
    ),
    (
        "config.json is a text",
        |world| world.configure("\"models\""),
        Shown::Falls(SILENT),
        Due::Denied(INVALID),
    ),
    (
        "models stands twice, the last one good",
        |world| {
            let good = case_config(PROVIDER, MODEL);
            world.configure(good.replacen('{', r#"{"models":{},"#, 1));
        },
        Shown::Chosen,
        Due::Denied(INVALID),
    ),
    (
        "models stands twice, the last one empty",
        |world| {
            let good = case_config(PROVIDER, MODEL);
            world.configure(good.replace("\"projects\"", r#""models":{},"projects""#));
        },
        Shown::Falls(SILENT),
        Due::Denied(INVALID),
    ),
    (
        "default is a text",
        |world| world.configure(format!(r#"{{"models":{{"default":"{MODEL}"}}}}"#)),
        Shown::Throws("Model not found: undefined/undefined"),
        Due::Denied(&["case-config-invalid", "case-config-mismatch"]),
    ),
    (
        "default has no model",
        |world| world.configure(r#"{"models":{"default":{"provider":"openai"}}}"#),
        Shown::Throws("Model not found: openai/undefined"),
        Due::Denied(&["case-config-invalid", "case-config-mismatch"]),
    ),
    (
        "the provider is in another case",
        |world| world.configure(case_config("OpenAI", MODEL)),
        Shown::Throws("Model not found: OpenAI/qwen3.6-35b-a3b"),
        Due::Denied(FALLBACK),
    ),
    (
        "the model is in another case",
        |world| world.configure(case_config(PROVIDER, "qwen3.6-35B-a3b")),
        Shown::Throws("Model not found: openai/qwen3.6-35B-a3b"),
        Due::Denied(FALLBACK),
    ),
    (
        "the id is right and the provider another one",
        |world| world.configure(case_config("google-antigravity", "claude-sonnet-4-6")),
        Shown::Falls(("google-antigravity", "claude-sonnet-4-6")),
        Due::Denied(FALLBACK),
    ),
];

const PLACES: &[Row] = &[
    (
        "CASE_DATA_DIR leads elsewhere",
        |world| {
            let elsewhere = world.text("elsewhere");
            world.set("CASE_DATA_DIR", elsewhere);
        },
        Shown::Falls(SILENT),
        Due::Denied(MISSING),
    ),
    (
        "CASE_DATA_DIR is relative and right",
        |world| world.set("CASE_DATA_DIR", "../data"),
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "CASE_DATA_DIR is relative to another folder",
        |world| world.set("CASE_DATA_DIR", "data"),
        Shown::Falls(SILENT),
        Due::Denied(MISSING),
    ),
    (
        "XDG_CONFIG_HOME leads to the config",
        |world| {
            world.write("xdg/case/config.json", case_config(PROVIDER, MODEL));
            let xdg = world.text("xdg");
            world.set("CASE_DATA_DIR", "");
            world.set("XDG_CONFIG_HOME", xdg);
        },
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "XDG_CONFIG_HOME hides the config below HOME",
        |world| {
            world.write(
                "home/.config/case/config.json",
                case_config(PROVIDER, MODEL),
            );
            let xdg = world.text("xdg");
            world.unset("CASE_DATA_DIR");
            world.set("XDG_CONFIG_HOME", xdg);
        },
        Shown::Falls(SILENT),
        Due::Denied(MISSING),
    ),
    (
        "HOME leads to the config",
        |world| {
            world.write(
                "home/.config/case/config.json",
                case_config(PROVIDER, MODEL),
            );
            world.unset("CASE_DATA_DIR");
        },
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "HOME leads elsewhere",
        |world| {
            world.unset("CASE_DATA_DIR");
        },
        Shown::Falls(SILENT),
        Due::Denied(MISSING),
    ),
    (
        "PI_CODING_AGENT_DIR leads elsewhere",
        |world| {
            let elsewhere = world.text("elsewhere");
            world.set("PI_CODING_AGENT_DIR", elsewhere);
        },
        Shown::Throws(NOT_FOUND),
        Due::Denied(&["local-adapter-config-missing"]),
    ),
    (
        "PI_CODING_AGENT_DIR begins with a tilde",
        |world| {
            world.write("home/agent/models.json", models(PROVIDER, "", ""));
            world.set("PI_CODING_AGENT_DIR", "~/agent");
        },
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "HOME leads to models.json",
        |world| {
            world.write("home/.pi/agent/models.json", models(PROVIDER, "", ""));
            world.unset("PI_CODING_AGENT_DIR");
        },
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "PI_PACKAGE_DIR is set",
        |world| {
            let elsewhere = world.text("elsewhere");
            world.set("PI_PACKAGE_DIR", elsewhere);
        },
        Shown::Untried,
        Due::Refused(&["pi-package-redirected"]),
    ),
];

const NOT_FOUND: &str = "Model not found: openai/qwen3.6-35b-a3b";

const OVERRIDDEN: Due = Due::Denied(&["case-model-override"]);
const HAIKU: Shown = Shown::Falls(("anthropic", "claude-haiku-4-5"));

const OVERRIDES: &[Row] = &[
    (
        "CASE_MODEL_OVERRIDE is set",
        |world| world.set("CASE_MODEL_OVERRIDE", "claude-haiku-4-5"),
        HAIKU,
        OVERRIDDEN,
    ),
    (
        "CASE_MODEL_OVERRIDE has the admitted model, which is looked for at anthropic",
        |world| world.set("CASE_MODEL_OVERRIDE", MODEL),
        Shown::Throws("Model not found: anthropic/qwen3.6-35b-a3b"),
        OVERRIDDEN,
    ),
    (
        "CASE_MODEL_OVERRIDE is set and empty",
        |world| world.set("CASE_MODEL_OVERRIDE", ""),
        Shown::Chosen,
        OVERRIDDEN,
    ),
    (
        "--model with a value",
        |world| world.add_words("--model claude-haiku-4-5"),
        HAIKU,
        OVERRIDDEN,
    ),
    (
        "--model= with a value",
        |world| world.add_words("--model=claude-haiku-4-5"),
        HAIKU,
        OVERRIDDEN,
    ),
    (
        "--model without a value",
        |world| world.add_words("--model"),
        Shown::Throws("Model not found: anthropic/true"),
        OVERRIDDEN,
    ),
    (
        "an unknown flag, which is ignored",
        |world| world.add_words("--provider anthropic"),
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "--agent",
        |world| world.add_words("--agent"),
        Shown::Converses(SILENT),
        Due::Denied(&["case-agent-mode"]),
    ),
    (
        "--agent with a default in Pi's settings",
        |world| {
            world.write(
                "agent/settings.json",
                r#"{"defaultProvider":"openai","defaultModel":"gpt-5.4"}"#,
            );
            world.add_words("--agent");
        },
        Shown::Converses(("openai", "gpt-5.4")),
        Due::Denied(&["case-agent-mode"]),
    ),
];

const DOTENV_REFUSED: Due = Due::Refused(&["dotenv-in-working-directory"]);

const BUN: &[Row] = &[
    (
        ".env in the working directory",
        |world| {
            world.write("fixture/.env", DOTENV);
            world.command.retain(|word| word != "--no-env-file");
        },
        Shown::Falls(("anthropic", "claude-haiku-4-5")),
        DOTENV_REFUSED,
    ),
    (
        ".env in the working directory, and a variable that is set and empty",
        |world| {
            world.write("fixture/.env", "CASE_QUIET=1\n");
            world.set("CASE_QUIET", "");
            world.command.retain(|word| word != "--no-env-file");
        },
        Shown::Chosen,
        DOTENV_REFUSED,
    ),
    (
        ".env that Bun is told not to load",
        |world| world.write("fixture/.env", DOTENV),
        Shown::Chosen,
        Due::Runs,
    ),
    (
        "--no-env-file behind the script, where it is Case's",
        |world| {
            world.write("fixture/.env", DOTENV);
            world.command.retain(|word| word != "--no-env-file");
            world.add_words("--no-env-file");
        },
        Shown::Falls(("anthropic", "claude-haiku-4-5")),
        DOTENV_REFUSED,
    ),
    (
        ".env.production in the working directory",
        |world| {
            world.write("fixture/.env.production", DOTENV);
            world.command.retain(|word| word != "--no-env-file");
        },
        Shown::Untried,
        DOTENV_REFUSED,
    ),
    ("a compiled Case", World::compile, Shown::Chosen, Due::Runs),
    (
        ".env in the working directory of a compiled Case",
        |world| {
            world.write("fixture/.env", DOTENV);
            world.compile();
        },
        Shown::Falls(("anthropic", "claude-haiku-4-5")),
        DOTENV_REFUSED,
    ),
    (
        "another program in the place of Case",
        |world| world.command.insert(0, "env".to_owned()),
        Shown::Chosen,
        Due::Refused(&["command-not-case"]),
    ),
    (
        "bunfig.toml in the working directory",
        |world| world.write("fixture/bunfig.toml", "preload = [\"./x.ts\"]\n"),
        Shown::Preloaded,
        Due::Refused(&["bun-config-in-working-directory"]),
    ),
    (
        "BUN_OPTIONS is set",
        |world| world.set("BUN_OPTIONS", "--preload ./x.ts"),
        Shown::Preloaded,
        Due::Refused(&["bun-options-set"]),
    ),
    (
        "--preload before the script",
        |world| world.command.insert(1, "--preload=./x.ts".to_owned()),
        Shown::Preloaded,
        Due::Refused(&["command-not-case"]),
    ),
];

const NOT_JUDGED: Due = Due::Refused(&["adapter-not-judged"]);
const REDIRECTED: Due = Due::Refused(&["adapter-redirects-model"]);
const THROWS: Shown = Shown::Throws(NOT_FOUND);

const ADAPTERS: &[Row] = &[
    (
        "models.json is missing",
        |world| fs::remove_file(world.path("agent/models.json")).unwrap(),
        THROWS,
        Due::Denied(&["local-adapter-config-missing"]),
    ),
    (
        "models.json is malformed",
        |world| world.write("agent/models.json", "{"),
        THROWS,
        NOT_JUDGED,
    ),
    (
        "models.json has one invalid provider",
        |world| {
            let other = r#","x":{"models":[{"id":"y"}]}"#;
            world.write("agent/models.json", models(PROVIDER, "", other));
        },
        THROWS,
        NOT_JUDGED,
    ),
    (
        "models.json has no apiKey",
        |world| {
            let text = models(PROVIDER, "", "").replace(r#""apiKey":"none","#, "");
            world.write("agent/models.json", text);
        },
        THROWS,
        NOT_JUDGED,
    ),
    (
        "models.json lacks the pair",
        |world| world.write("agent/models.json", models("other", "", "")),
        THROWS,
        Due::Denied(&["local-adapter-config-invalid"]),
    ),
    (
        "the provider has another endpoint",
        |world| {
            let text = models(PROVIDER, "", "").replace(BASE_URL, OTHER_URL);
            world.write("agent/models.json", text);
        },
        Shown::Endpoint(OTHER_URL),
        REDIRECTED,
    ),
    (
        "the model has another endpoint, which wins",
        |world| {
            let of_model = format!(r#","baseUrl":"{OTHER_URL}""#);
            world.write("agent/models.json", models(PROVIDER, &of_model, ""));
        },
        Shown::Endpoint(OTHER_URL),
        REDIRECTED,
    ),
    (
        "an override has another endpoint",
        |world| {
            let overriding =
                format!(r#""modelOverrides":{{"{MODEL}":{{"baseUrl":"{OTHER_URL}"}}}},"models""#);
            let text = models(PROVIDER, "", "").replace("\"models\"", &overriding);
            world.write("agent/models.json", text);
        },
        Shown::Endpoint(OTHER_URL),
        REDIRECTED,
    ),
    (
        "models.json has a key that is a command",
        |world| {
            let text = models(PROVIDER, "", "").replace("none", "!echo none");
            world.write("agent/models.json", text);
        },
        Shown::Untried,
        Due::Refused(&["adapter-runs-command"]),
    ),
    (
        "auth.json has a key that is a command",
        |world| {
            let text = r#"{"openai":{"type":"api_key","key":"!echo none"}}"#;
            world.write("agent/auth.json", text);
        },
        Shown::Untried,
        Due::Refused(&["adapter-runs-command"]),
    ),
];

const OTHERS: &[Row] = &[
    (
        "HTTP_PROXY is set",
        |world| world.set("HTTP_PROXY", PROXY),
        Shown::Proxied,
        Due::Refused(&["proxy-configured"]),
    ),
    (
        "HTTPS_PROXY is set",
        |world| world.set("HTTPS_PROXY", PROXY),
        Shown::Untried,
        Due::Refused(&["proxy-configured"]),
    ),
    (
        "http_proxy is set",
        |world| world.set("http_proxy", PROXY),
        Shown::Untried,
        Due::Refused(&["proxy-configured"]),
    ),
    (
        "CASE_QUIET is set",
        |world| world.set("CASE_QUIET", "1"),
        Shown::Silent,
        Due::Refused(&["case-quiet-set"]),
    ),
    (
        "an issue in place of a task",
        |world| {
            let at = world.command.iter().position(|word| word == "run").unwrap();
            world.command.truncate(at);
            world.add_words("1234");
        },
        Shown::Silent,
        Due::Refused(&["task-not-explicit"]),
    ),
    (
        "the fallback, which Pi does not know and whose bridge is not proven",
        |world| {
            world.configure(case_config("openai-codex", "gpt-5.5"));
            world.write("admission.json", policy::fallback_admission());
            world.set("CTO_HARNESS_CASE_MODEL_PROVIDER", "openai-codex");
            world.set("CTO_HARNESS_CASE_MODEL", "gpt-5.5");
        },
        Shown::Throws("Model not found: openai-codex/gpt-5.5"),
        Due::Denied(&["auth-bridge-unproven"]),
    ),
    (
        "the fake lane, where no model runs",
        |world| {
            world.replace_flag("--lane", "fake");
            world.set("CTO_HARNESS_CASE_MODEL_PROVIDER", "fake");
            world.order("no-model");
        },
        Shown::Untried,
        Due::Runs,
    ),
];

impl Shown {
    fn check(self, world: &World) {
        if matches!(self, Self::Untried) {
            return;
        }
        let alone = world.alone();
        assert!(alone.folder.join("started").exists());
        let code = if matches!(self, Self::Throws(_)) {
            1
        } else {
            0
        };
        assert_eq!(alone.ran.code, Some(code), "{}", alone.ran.stderr);
        let is_preloaded = alone.folder.join("preloaded").exists();
        assert_eq!(is_preloaded, matches!(self, Self::Preloaded));
        match self {
            Self::Untried => {}
            Self::Chosen | Self::Preloaded => sends(&alone, (PROVIDER, MODEL), &|request| {
                assert_eq!(request["endpoint"], BASE_URL);
                assert_eq!(request["proxy"], serde_json::Value::Null);
            }),
            Self::Falls(pair) => falls(&alone, AGENTS[0], pair),
            Self::FallsAt(agent) => falls(&alone, agent, SILENT),
            Self::Sends(pair, variable) => sends(&alone, pair, &|request| {
                assert_eq!(request["keyVariable"], variable);
            }),
            Self::Throws(message) => {
                assert!(alone.spawned().is_empty() && alone.requests().is_empty());
                let stderr = &alone.ran.stderr;
                assert!(stderr.contains(&format!("\"{message}\"")), "{stderr}");
            }
            Self::Silent => {
                assert!(alone.spawned().is_empty());
                assert_eq!(alone.requests().len(), AGENTS.len());
            }
            Self::Endpoint(endpoint) => sends(&alone, (PROVIDER, MODEL), &|request| {
                assert_eq!(request["endpoint"], endpoint);
            }),
            Self::Proxied => sends(&alone, (PROVIDER, MODEL), &|request| {
                assert_eq!(request["endpoint"], BASE_URL);
                assert_eq!(request["proxy"], PROXY);
            }),
            Self::Converses(pair) => converses(&alone, pair),
        }
    }
}

/// Each agent is told of with this pair, and sends a request for it.
fn sends(alone: &Alone, (provider, model): (&str, &str), check: &dyn Fn(&serde_json::Value)) {
    let told = alone.spawned();
    let due = AGENTS.map(|agent| (agent.to_owned(), provider.to_owned(), model.to_owned()));
    assert_eq!(told, due);
    let requests = alone.requests();
    assert_eq!(requests.len(), AGENTS.len());
    for request in requests {
        assert_eq!(request["provider"], provider);
        assert_eq!(request["model"], model);
        check(&request);
    }
    assert_eq!(alone.outcome().as_deref(), Some("completed"));
}

/// The agents before `agent` send requests for the admitted pair; `agent` is told of with this one,
/// and nothing is sent for it.
fn falls(alone: &Alone, agent: &str, (provider, model): (&str, &str)) {
    let at = AGENTS.iter().position(|known| *known == agent).unwrap();
    let mut due: Vec<_> = AGENTS[..at]
        .iter()
        .map(|before| ((*before).to_owned(), PROVIDER.to_owned(), MODEL.to_owned()))
        .collect();
    due.push((agent.to_owned(), provider.to_owned(), model.to_owned()));
    assert_eq!(alone.spawned(), due);
    assert_eq!(alone.requests().len(), at);
    assert_eq!(alone.outcome().as_deref(), Some("failed"));
}

fn converses(alone: &Alone, (provider, model): (&str, &str)) {
    assert!(alone.spawned().is_empty());
    let requests = alone.requests();
    // Without a key for the pair nothing is sent; the host has one for `openai`.
    assert_eq!(requests.len(), usize::from(provider == PROVIDER));
    assert!(requests.iter().all(|request| request["model"] == model));
}

impl Due {
    fn check(self, world: &World) {
        let ran = world.run();
        match self {
            Self::Runs => world.assert_ran(&ran, 0),
            Self::Denied(codes) => world.assert_not_started(&ran, 80, codes),
            Self::Refused(codes) => world.assert_not_started(&ran, 82, codes),
        }
    }
}
