//! Pi's `models.json`, judged here, because it may hold keys and the endpoint and so never travels.
//!
//! The judgment is stricter than Pi in one direction only: what Pi would drop, or would read in a
//! way that is not certain, is never taken for valid.

mod schema;
mod trap;

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use admit_policy::json::{self, Node, Value};
use admit_proto::v1::AdapterState;

use super::{FileRole, Ledger, Surroundings, case::ConfigFile};
use schema::{is_provider, items, members, text};

pub(super) use trap::refuse;

/// Reads the `models.json` that Pi would read.
pub(super) fn read_models(surroundings: &Surroundings, ledger: &mut Ledger) -> ConfigFile {
    if surroundings.is_set("PI_PACKAGE_DIR") {
        ledger.note(
            "PI_PACKAGE_DIR",
            "is set: Pi could read another models.json, so its state stays unstated",
        );
        return ConfigFile::Unread;
    }
    let Some((variable, folder)) = agent_dir(surroundings) else {
        ledger.note(
            "PI_CODING_AGENT_DIR",
            "is not set, and neither is HOME: nobody can tell which models.json Pi would read",
        );
        return ConfigFile::Unread;
    };
    match ledger.read(&folder.join("models.json"), FileRole::Models) {
        Ok(Some(bytes)) => ConfigFile::Read(bytes),
        Ok(None) => ConfigFile::Absent,
        Err(fault) => {
            ledger.note(
                variable,
                format!("leads to a models.json that {}", fault.describe()),
            );
            ConfigFile::Unread
        }
    }
}

/// Pi's agent folder, and the variable that says so.
pub(super) fn agent_dir(surroundings: &Surroundings) -> Option<(&'static str, PathBuf)> {
    const VARIABLE: &str = "PI_CODING_AGENT_DIR";
    let home = || surroundings.path("HOME");
    let Some(stated) = surroundings.value(VARIABLE) else {
        return home().map(|home| ("HOME", home.join(".pi/agent")));
    };
    // Pi itself resolves a leading `~`.
    match stated.as_bytes() {
        b"~" => home().map(|home| (VARIABLE, home)),
        [b'~', b'/', rest @ ..] => {
            home().map(|home| (VARIABLE, home.join(OsStr::from_bytes(rest))))
        }
        _ => surroundings.path(VARIABLE).map(|folder| (VARIABLE, folder)),
    }
}

/// What `models` means for the pair and the base URL.
pub(super) fn judge(
    models: &ConfigFile,
    provider: &str,
    model: &str,
    base_url: Option<&OsStr>,
) -> AdapterState {
    let bytes = match models {
        ConfigFile::Absent => return AdapterState::Absent,
        ConfigFile::Unread => return AdapterState::Unspecified,
        ConfigFile::Read(bytes) => bytes,
    };
    // A byte order mark and a repeated key are errors here: the one stops `JSON.parse`, of the other
    // it takes the last in silence.
    let Some(root) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| json::parse(text).ok())
    else {
        return AdapterState::Malformed;
    };
    let Some(providers) = root.get("providers").and_then(members) else {
        return AdapterState::Malformed;
    };
    if !providers.iter().all(|member| is_provider(&member.value)) {
        return AdapterState::Malformed;
    }
    if runs_command(&root, false) {
        return AdapterState::ShellCommand;
    }
    judge_pair(&root, provider, model, base_url)
}

fn judge_pair(root: &Node, provider: &str, model: &str, base_url: Option<&OsStr>) -> AdapterState {
    let entry = root
        .get("providers")
        .and_then(|providers| providers.get(provider));
    let Some(entry) = entry.filter(|entry| definitions(entry, model).next().is_some()) else {
        return AdapterState::PairAbsent;
    };
    if endpoints(entry, model).all(|url| is_endpoint(url, base_url)) {
        AdapterState::Valid
    } else {
        AdapterState::OtherEndpoint
    }
}

/// The models of the entry with this id; Pi keeps all of them.
fn definitions<'a>(entry: &'a Node, model: &'a str) -> impl Iterator<Item = &'a Node> {
    entry
        .get("models")
        .and_then(items)
        .unwrap_or_default()
        .iter()
        .filter(move |definition| text(definition, "id") == Some(model))
}

/// Every endpoint that the entry could lead the model to, `None` where it names none: that of each
/// definition, or else of the provider, and that of an override, which Pi is not known to take.
fn endpoints<'a>(entry: &'a Node, model: &'a str) -> impl Iterator<Item = Option<&'a str>> {
    let own = definitions(entry, model)
        .map(|definition| text(definition, "baseUrl").or_else(|| text(entry, "baseUrl")));
    let overriding = entry
        .get("modelOverrides")
        .and_then(|overrides| overrides.get(model)?.get("baseUrl"))
        .map(|url| url.as_str());
    own.chain(overriding)
}

fn is_endpoint(url: Option<&str>, base_url: Option<&OsStr>) -> bool {
    url.zip(base_url)
        .is_some_and(|(url, base_url)| trimmed(url.as_bytes()) == trimmed(base_url.as_bytes()))
}

fn trimmed(url: &[u8]) -> &[u8] {
    url.strip_suffix(b"/").unwrap_or(url)
}

/// Whether an `apiKey`, or a value of `headers`, would run a shell command.
fn runs_command(node: &Node, is_resolved: bool) -> bool {
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => is_resolved && text.starts_with('!'),
        Value::Array(items) => items.iter().any(|item| runs_command(item, is_resolved)),
        Value::Object(members) => members.iter().any(|member| {
            let is_resolved = is_resolved || matches!(member.key.as_str(), "apiKey" | "headers");
            runs_command(&member.value, is_resolved)
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BASE_URL: &str = "http://127.0.0.1:8000/v1";

    fn state_at(json: &str, base_url: Option<&str>) -> AdapterState {
        judge(
            &ConfigFile::Read(json.into()),
            "qwen-local",
            "qwen3",
            base_url.map(OsStr::new),
        )
    }

    fn state(json: &str) -> AdapterState {
        state_at(json, Some(BASE_URL))
    }

    /// A `models.json` with the pair; `provider`, `model` and `other` are added members.
    fn models(provider: &str, model: &str, other: &str) -> String {
        format!(
            r#"{{"providers":{{"qwen-local":{{"baseUrl":"{BASE_URL}","api":"openai-completions",
            "apiKey":"none","models":[{{"id":"qwen3"{model}}}]{provider}}}{other}}}}}"#
        )
    }

    #[test]
    fn a_file_with_the_pair_at_the_base_url_is_valid() {
        assert_eq!(state(&models("", "", "")), AdapterState::Valid);
        assert_eq!(
            state_at(&models("", "", ""), Some("http://127.0.0.1:8000/v1/")),
            AdapterState::Valid
        );
        let full = models(
            r#","headers":{"x":"y"},"authHeader":false,"compat":{},"new":1"#,
            r#","name":"Q","reasoning":true,"input":["text"],"contextWindow":1,"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0}"#,
            r#","openai":{"baseUrl":"https://example.com/v1"},"x":{"modelOverrides":{"m":{"cost":{"input":1}}}}"#,
        );
        assert_eq!(state(&full), AdapterState::Valid);
    }

    #[test]
    fn what_pi_would_drop_is_malformed() {
        for json in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"providers":[]}"#,
            "\u{feff}{\"providers\":{}}",
            &models("", "", "").replace("}]", "},]"),
            &models(r#","apiKey":"none""#, "", ""),
            &models(r#","authHeader":"yes""#, "", ""),
            &models(r#","headers":{"a":1}"#, "", ""),
            &models("", r#","baseUrl":"""#, ""),
            &models("", r#","contextWindow":0"#, ""),
            &models("", r#","maxTokens":"9""#, ""),
            &models("", r#","input":["sound"]"#, ""),
            &models("", r#","cost":{"input":1}"#, ""),
            &models("", "", r#","openai":{}"#),
            &models("", "", r#","openai":null"#),
            &models("", "", r#","openai":{"models":{}}"#),
            &models("", "", r#","openai":{"models":[{"id":"a"}]}"#),
            &models(
                "",
                "",
                r#","o":{"baseUrl":"u","apiKey":"k","models":[{"id":"a"}]}"#,
            ),
            &models(
                "",
                "",
                r#","o":{"baseUrl":"u","api":"a","models":[{"id":"a"}]}"#,
            ),
            &models(
                "",
                "",
                r#","o":{"apiKey":"k","api":"a","models":[{"id":"a"}]}"#,
            ),
            &models(
                "",
                "",
                r#","o":{"baseUrl":"u","apiKey":"k","api":"a","models":[{}]}"#,
            ),
        ] {
            assert_eq!(state(json), AdapterState::Malformed, "{json}");
        }
        let not_utf8 = ConfigFile::Read(b"{\"providers\":{\"\xff\":{\"baseUrl\":\"u\"}}}".into());
        assert_eq!(judge(&not_utf8, "p", "m", None), AdapterState::Malformed);
    }

    #[test]
    fn a_shell_command_is_found_wherever_pi_would_run_it() {
        for json in [
            models(r#","headers":{"a":"!id"}"#, "", ""),
            models("", r#","headers":{"a":"!id"}"#, ""),
            models("", "", r#","o":{"baseUrl":"u","apiKey":"\u0021id"}"#),
            models(
                "",
                "",
                r#","o":{"modelOverrides":{"m":{"headers":{"a":"!id"}}}}"#,
            ),
        ] {
            assert_eq!(state(&json), AdapterState::ShellCommand, "{json}");
        }
    }

    #[test]
    fn the_pair_is_compared_byte_for_byte() {
        for (provider, model) in [("qwen-local", "Qwen3"), ("Qwen-local", "qwen3"), ("", "")] {
            let file = ConfigFile::Read(models("", "", "").into());
            assert_eq!(
                judge(&file, provider, model, Some(OsStr::new(BASE_URL))),
                AdapterState::PairAbsent
            );
        }
    }

    #[test]
    fn an_entry_that_leads_elsewhere_is_found() {
        let elsewhere = models("", r#","baseUrl":"http://10.0.0.1/v1""#, "");
        assert_eq!(state(&elsewhere), AdapterState::OtherEndpoint);
        let twice = models("", r#"},{"id":"qwen3","baseUrl":"http://10.0.0.1/v1""#, "");
        assert_eq!(state(&twice), AdapterState::OtherEndpoint);
        // By its schema Pi takes no URL from there; nothing may hang on that.
        let overriding = |url: &str| {
            models(
                &format!(r#","modelOverrides":{{"qwen3":{{"baseUrl":{url}}}}}"#),
                "",
                "",
            )
        };
        for url in [r#""http://10.0.0.1/v1""#, "null", r#""""#] {
            assert_eq!(
                state(&overriding(url)),
                AdapterState::OtherEndpoint,
                "{url}"
            );
        }
        let own = format!("\"{BASE_URL}\"");
        assert_eq!(state(&overriding(&own)), AdapterState::Valid);
        for base_url in [
            None,
            Some(""),
            Some("http://127.0.0.1:8000/v1//"),
            Some("HTTP://127.0.0.1:8000/v1"),
            Some("http://127.0.0.1:8000"),
        ] {
            assert_eq!(
                state_at(&models("", "", ""), base_url),
                AdapterState::OtherEndpoint,
                "{base_url:?}"
            );
        }
    }

    #[test]
    fn the_url_of_the_model_wins() {
        let file = models("", &format!(r#","baseUrl":"{BASE_URL}""#), "").replacen(
            BASE_URL,
            "http://10.0.0.1/v1",
            1,
        );
        assert_eq!(state(&file), AdapterState::Valid);
    }

    #[test]
    fn the_file_is_looked_for_where_pi_looks() {
        let folder = tempfile::tempdir().unwrap();
        for (place, content) in [("agent", "1"), ("home/.pi/agent", "2"), ("home/x", "3")] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join("models.json"), content).unwrap();
        }
        for (stated, content) in [("agent", "1"), ("", "2"), ("~/x", "3")] {
            let surroundings = Surroundings {
                variables: [
                    ("PI_CODING_AGENT_DIR".into(), stated.into()),
                    ("HOME".into(), "home".into()),
                ]
                .into(),
                working_dir: folder.path().into(),
                argv: Vec::new(),
            };
            assert_eq!(
                read_models(&surroundings, &mut Ledger::default()),
                ConfigFile::Read(content.into())
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_unstated() {
        let folder = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".pi/agent/models.json")).unwrap();
        for (variables, due) in [
            (vec![("HOME", folder.path())], AdapterState::Absent),
            (vec![("HOME", home.path())], AdapterState::Unspecified),
            (vec![], AdapterState::Unspecified),
        ] {
            let surroundings = Surroundings {
                variables: variables
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                working_dir: folder.path().into(),
                argv: Vec::new(),
            };
            let mut ledger = Ledger::default();
            let file = read_models(&surroundings, &mut ledger);
            assert_eq!(judge(&file, "p", "m", None), due);
            assert_eq!(ledger.notes.is_empty(), due == AdapterState::Absent);
        }
    }
}
