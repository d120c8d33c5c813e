//! What in Pi's files makes the wrapper refuse by itself.
//!
//! The gates of the adapter hold while the policy wants a local provider. Pi reads its files whatever
//! the policy wants: for an external provider too they could send the requests elsewhere or run a
//! command.

use std::ffi::OsStr;

use admit_policy::json::{self, Node, Value};
use admit_proto::v1::AdapterState;

use super::{agent_dir, definitions, endpoints, is_endpoint, judge, runs_command, text};
use crate::facts::{
    FileRole, Ledger, RefusalCode, Surroundings,
    case::{self, ConfigFile},
};

/// The name and the configuration folder that Pi has by itself.
const PI_NAME: &str = "pi";
const PI_CONFIG_DIR: &str = ".pi";

/// Refuses for what Pi's files hold.
pub(in crate::facts) fn refuse(
    surroundings: &Surroundings,
    models: &ConfigFile,
    pair: (&str, &str),
    base_url: Option<&OsStr>,
    ledger: &mut Ledger,
) {
    refuse_package(surroundings, ledger);
    refuse_auth(surroundings, ledger);
    let (provider, model) = pair;
    let code = match judge(models, provider, model, base_url) {
        AdapterState::Malformed => RefusalCode::AdapterNotJudged,
        AdapterState::ShellCommand => RefusalCode::AdapterRunsCommand,
        // Where Pi's files are not even known to be, that is said already.
        AdapterState::Unspecified if surroundings.is_set("PI_PACKAGE_DIR") => return,
        AdapterState::Unspecified => RefusalCode::AdapterNotJudged,
        AdapterState::Absent => return,
        AdapterState::Valid | AdapterState::PairAbsent | AdapterState::OtherEndpoint => {
            if !redirects(models, pair, base_url) {
                return;
            }
            RefusalCode::AdapterRedirectsModel
        }
    };
    ledger.refuse(code, "models.json");
}

/// Whether a well-formed `models` names an endpoint for the pair, and not the base URL. An entry of the
/// provider without the model redirects the models that Pi knows by itself.
fn redirects(
    models: &ConfigFile,
    (provider, model): (&str, &str),
    base_url: Option<&OsStr>,
) -> bool {
    let root = models
        .bytes()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| json::parse(text).ok());
    let Some(entry) = root
        .as_ref()
        .and_then(|root| root.get("providers")?.get(provider))
    else {
        return false;
    };
    let leads_elsewhere = |url: Option<&str>| url.is_some() && !is_endpoint(url, base_url);
    let is_built_in = definitions(entry, model).next().is_none();
    (is_built_in && leads_elsewhere(text(entry, "baseUrl")))
        || endpoints(entry, model).any(leads_elsewhere)
}

/// Pi takes its name and the name of its configuration folder from a manifest. The compiled Case makes
/// that manifest in its data folder, unless there is one.
fn refuse_package(surroundings: &Surroundings, ledger: &mut Ledger) {
    if surroundings.is_set("PI_PACKAGE_DIR") {
        ledger.refuse(RefusalCode::PiPackageRedirected, "PI_PACKAGE_DIR");
    }
    let Some((_, data_dir)) = case::data_dir(surroundings) else {
        return;
    };
    let path = data_dir.join("pi-package/package.json");
    let is_pis_own = match ledger.read(&path, FileRole::PiPackage) {
        Ok(None) => true,
        Ok(Some(bytes)) => names_pis_own_folders(&bytes),
        Err(_) => false,
    };
    if !is_pis_own {
        ledger.refuse(
            RefusalCode::PiPackageRedirected,
            FileRole::PiPackage.describe(),
        );
    }
}

fn names_pis_own_folders(manifest: &[u8]) -> bool {
    let Some(root) = parsed(manifest) else {
        return false;
    };
    let is_pis_own = |key: &str, own: &str| {
        root.get("piConfig")
            .and_then(|config| config.get(key))
            .is_none_or(|value| value.as_str() == Some(own))
    };
    is_pis_own("name", PI_NAME) && is_pis_own("configDir", PI_CONFIG_DIR)
}

fn refuse_auth(surroundings: &Surroundings, ledger: &mut Ledger) {
    let Some((_, folder)) = agent_dir(surroundings) else {
        return;
    };
    let code = match ledger.read(&folder.join("auth.json"), FileRole::PiAuth) {
        Ok(None) => return,
        Ok(Some(bytes)) => match parsed(&bytes) {
            None => RefusalCode::AdapterNotJudged,
            Some(root) if key_runs_command(&root) => RefusalCode::AdapterRunsCommand,
            Some(_) => return,
        },
        Err(_) => RefusalCode::AdapterNotJudged,
    };
    ledger.refuse(code, FileRole::PiAuth.describe());
}

fn parsed(bytes: &[u8]) -> Option<Node> {
    json::parse(std::str::from_utf8(bytes).ok()?).ok()
}

/// Whether a `key` of a credential, or anything that `models.json` would run too, is a shell command.
fn key_runs_command(root: &Node) -> bool {
    let is_command = |key: &Node| key.as_str().is_some_and(|key| key.starts_with('!'));
    let has_command = match &root.value {
        Value::Object(credentials) => credentials
            .iter()
            .any(|credential| credential.value.get("key").is_some_and(is_command)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            false
        }
    };
    has_command || runs_command(root, false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BASE_URL: &str = "http://127.0.0.1:8000/v1";

    /// What is refused with these files below a home folder.
    fn refused(files: &[(&str, &str)], base_url: Option<&str>) -> Vec<(RefusalCode, String)> {
        let home = tempfile::tempdir().unwrap();
        for folder in [".pi/agent", ".config/case/pi-package"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        for (name, content) in files {
            fs::write(home.path().join(name), content).unwrap();
        }
        let surroundings = Surroundings {
            variables: [("HOME".into(), home.path().into())].into(),
            working_dir: "/".into(),
            argv: Vec::new(),
        };
        let mut ledger = Ledger::default();
        let models = super::super::read_models(&surroundings, &mut ledger);
        refuse(
            &surroundings,
            &models,
            ("anthropic", "claude"),
            base_url.map(OsStr::new),
            &mut ledger,
        );
        ledger
            .refusals
            .into_iter()
            .map(|refusal| (refusal.code, refusal.about))
            .collect()
    }

    fn models(json: &str, base_url: Option<&str>) -> Vec<(RefusalCode, String)> {
        refused(&[(".pi/agent/models.json", json)], base_url)
    }

    #[test]
    fn nothing_is_refused_without_files_or_with_harmless_ones() {
        assert_eq!(refused(&[], None), []);
        for json in [
            r#"{"providers":{}}"#,
            r#"{"providers":{"openai":{"baseUrl":"https://example.com"}}}"#,
            r#"{"providers":{"anthropic":{"modelOverrides":{"claude":{"name":"C"}}}}}"#,
        ] {
            assert_eq!(models(json, None), [], "{json}");
        }
        let auth = r#"{"openai":{"type":"api_key","key":"OPENAI_API_KEY"},"x":{"type":"oauth"}}"#;
        assert_eq!(refused(&[(".pi/agent/auth.json", auth)], None), []);
        for package in [
            r#"{"name":"x","piConfig":{"name":"pi","configDir":".pi"}}"#,
            r#"{"name":"x"}"#,
        ] {
            let file = (".config/case/pi-package/package.json", package);
            assert_eq!(refused(&[file], None), [], "{package}");
        }
    }

    #[test]
    fn an_entry_of_the_provider_that_leads_elsewhere_is_refused() {
        let due = [(RefusalCode::AdapterRedirectsModel, "models.json".to_owned())];
        let entry = |fields: &str| format!(r#"{{"providers":{{"anthropic":{{{fields}}}}}}}"#);
        let complete = r#""baseUrl":"http://10.0.0.1","api":"a","apiKey":"none""#;
        for fields in [
            r#""baseUrl":"http://10.0.0.1""#.to_owned(),
            format!(r#"{complete},"models":[{{"id":"claude"}}]"#),
            format!(r#"{complete},"models":[{{"id":"other"}}]"#),
            format!(
                r#""baseUrl":"{BASE_URL}","api":"a","apiKey":"none","models":[{{"id":"claude","baseUrl":"http://10.0.0.1"}}]"#
            ),
            r#""modelOverrides":{"claude":{"baseUrl":"http://10.0.0.1"}}"#.to_owned(),
        ] {
            assert_eq!(models(&entry(&fields), None), due, "{fields}");
            assert_eq!(models(&entry(&fields), Some(BASE_URL)), due, "{fields}");
        }
        let own = entry(&format!(r#""baseUrl":"{BASE_URL}/""#));
        assert_eq!(models(&own, Some(BASE_URL)), []);
        assert_eq!(models(&own, None), due);
    }

    #[test]
    fn files_that_pi_may_read_in_another_way_are_refused() {
        for json in ["", "{", "[]", r#"{"providers":{"x":{}}}"#] {
            let due = [(RefusalCode::AdapterNotJudged, "models.json".to_owned())];
            assert_eq!(models(json, None), due, "{json}");
        }
        let due = [(RefusalCode::AdapterNotJudged, "auth.json".to_owned())];
        for json in ["{", r#"{"a":{"key":"x"},"a":{"key":"y"}}"#] {
            assert_eq!(refused(&[(".pi/agent/auth.json", json)], None), due);
        }
    }

    #[test]
    fn a_shell_command_is_refused() {
        let json = r#"{"providers":{"x":{"baseUrl":"u","apiKey":"!id"}}}"#;
        let due = [(RefusalCode::AdapterRunsCommand, "models.json".to_owned())];
        assert_eq!(models(json, None), due);
        let due = [(RefusalCode::AdapterRunsCommand, "auth.json".to_owned())];
        for json in [
            r#"{"openai":{"type":"api_key","key":"\u0021id"}}"#,
            r#"{"openai":{"headers":{"a":"!id"}}}"#,
        ] {
            assert_eq!(refused(&[(".pi/agent/auth.json", json)], None), due);
        }
    }

    #[test]
    fn a_manifest_that_leads_pi_elsewhere_is_refused() {
        let due = [(
            RefusalCode::PiPackageRedirected,
            "pi-package/package.json".to_owned(),
        )];
        for package in [
            "{",
            r#"{"piConfig":{"name":"tau"}}"#,
            r#"{"piConfig":{"configDir":".tau"}}"#,
            r#"{"piConfig":{"configDir":null}}"#,
        ] {
            let file = (".config/case/pi-package/package.json", package);
            assert_eq!(refused(&[file], None), due, "{package}");
        }
    }
}
