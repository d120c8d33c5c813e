//! Which model an agent gets: Case's configuration, Pi's registry, and where the requests would go.
//!
//! `serde_json` takes the last of repeated keys, as `JSON.parse` does.

use std::{env, fs, path::PathBuf};

use serde_json::Value;

use super::bun::Bun;

/// What Case falls back to in silence.
const SILENT_DEFAULT: Pair<'static> = Pair {
    provider: "anthropic",
    model: "claude-sonnet-4-6",
};
/// A part of the pairs that Pi has by itself.
const BUILT_IN: [Pair<'static>; 5] = [
    SILENT_DEFAULT,
    Pair {
        provider: "anthropic",
        model: "claude-haiku-4-5",
    },
    Pair {
        provider: "google-antigravity",
        model: "claude-sonnet-4-6",
    },
    Pair {
        provider: "opencode",
        model: "claude-sonnet-4-6",
    },
    Pair {
        provider: "openai",
        model: "gpt-5.4",
    },
];
/// The variables in which Case's pipeline finds keys; a provider that is not here has none.
const KEY_VARIABLES: [(&str, &str); 4] = [
    ("anthropic", "ANTHROPIC_OAUTH_TOKEN"),
    ("anthropic", "ANTHROPIC_API_KEY"),
    ("openai", "OPENAI_API_KEY"),
    ("opencode", "OPENCODE_API_KEY"),
];

#[derive(Clone, Copy)]
struct Pair<'a> {
    provider: &'a str,
    model: &'a str,
}

/// A model as an agent would use it.
pub(super) struct Resolved {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) endpoint: String,
    /// The variable that has the key; without it nothing is sent.
    pub(super) key_variable: Option<&'static str>,
    pub(super) proxy: Option<String>,
}

/// Case, as far as models go.
pub(super) struct Case<'a> {
    bun: &'a Bun,
}

impl<'a> Case<'a> {
    pub(super) fn new(bun: &'a Bun) -> Self {
        Self { bun }
    }

    pub(super) fn config_path(&self) -> PathBuf {
        let below =
            |name, folder: &str| self.bun.value(name).map(|base| format!("{base}/{folder}"));
        let folder = below("CASE_DATA_DIR", "")
            .or_else(|| below("XDG_CONFIG_HOME", "case"))
            .or_else(|| below("HOME", ".config/case"))
            .unwrap_or_default();
        env::current_dir().unwrap().join(folder).join("config.json")
    }

    pub(super) fn adapter_path(&self) -> PathBuf {
        self.agent_dir().join("models.json")
    }

    fn agent_dir(&self) -> PathBuf {
        let home = self.bun.value("HOME").unwrap_or_default();
        match self.bun.value("PI_CODING_AGENT_DIR") {
            Some(folder) => match folder.strip_prefix("~/") {
                Some(rest) => PathBuf::from(home).join(rest),
                None => env::current_dir().unwrap().join(folder),
            },
            None => PathBuf::from(home).join(".pi/agent"),
        }
    }

    /// The model of a role, read anew from the files, or the text of what Case throws.
    pub(super) fn resolve(&self, role: &str) -> Result<Resolved, String> {
        let flag = self.bun.flag(&["--model"]);
        let forced = match flag {
            // Without a value the flag is `true`.
            Some(value) => Some(value.unwrap_or("true")),
            None => self.bun.value("CASE_MODEL_OVERRIDE"),
        };
        if let Some(model) = forced {
            return self.look_up("anthropic", model);
        }
        let config = self.config();
        if config.is_null() {
            return Err("null is not an object".to_owned());
        }
        let models = config.get("models");
        let of_role = models
            .and_then(|models| models.get(role))
            .filter(|entry| is_truthy(entry));
        let default = || {
            models
                .and_then(|models| models.get("default"))
                .filter(|entry| !entry.is_null())
        };
        match of_role.or_else(default) {
            None => self.look_up(SILENT_DEFAULT.provider, SILENT_DEFAULT.model),
            Some(entry) => {
                let text = |key| entry.get(key).and_then(Value::as_str);
                self.look_up(
                    text("provider").unwrap_or("undefined"),
                    text("model").unwrap_or("undefined"),
                )
            }
        }
    }

    /// The configuration; what cannot be read or understood is an empty one.
    fn config(&self) -> Value {
        let bytes = fs::read(self.config_path()).unwrap_or_default();
        parse(&bytes).unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// The model that Pi's conversation would use, which looks at no configuration of Case.
    pub(super) fn of_conversation(&self) -> Result<Resolved, String> {
        let settings = fs::read(self.agent_dir().join("settings.json")).unwrap_or_default();
        let settings = parse(&settings).unwrap_or_default();
        let text = |key| settings.get(key).and_then(Value::as_str);
        self.look_up(
            text("defaultProvider").unwrap_or(SILENT_DEFAULT.provider),
            text("defaultModel").unwrap_or(SILENT_DEFAULT.model),
        )
    }

    /// An exact look-up in Pi's registry; a miss throws.
    fn look_up(&self, provider: &str, model: &str) -> Result<Resolved, String> {
        let providers = self.custom_providers();
        let entry = providers.get(provider);
        let definition = entry
            .and_then(|entry| entry.get("models")?.as_array())
            .and_then(|models| models.iter().find(|known| text(known, "id") == Some(model)));
        let is_built_in = BUILT_IN
            .iter()
            .any(|pair| pair.provider == provider && pair.model == model);
        if definition.is_none() && !is_built_in {
            return Err(format!("Model not found: {provider}/{model}"));
        }
        let overriding = entry.and_then(|entry| entry.get("modelOverrides")?.get(model));
        let endpoint = [overriding, definition, entry]
            .into_iter()
            .flatten()
            .find_map(|place| text(place, "baseUrl"))
            .map_or_else(|| format!("https://{provider}.invalid/v1"), str::to_owned);
        let proxy = if endpoint.starts_with("https:") {
            "HTTPS_PROXY"
        } else {
            "HTTP_PROXY"
        };
        Ok(Resolved {
            provider: provider.to_owned(),
            model: model.to_owned(),
            endpoint,
            key_variable: KEY_VARIABLES
                .into_iter()
                .filter(|(known, _)| *known == provider)
                .map(|(_, variable)| variable)
                .find(|variable| self.bun.value(variable).is_some()),
            proxy: self.bun.value(proxy).map(str::to_owned),
        })
    }

    /// The providers of `models.json`: all of them, or none as soon as one is not valid.
    fn custom_providers(&self) -> Value {
        let bytes = fs::read(self.adapter_path()).unwrap_or_default();
        // Here a byte order mark stops the parser.
        let root: Option<Value> = serde_json::from_slice(&bytes).ok();
        root.and_then(|root| {
            let providers = root.get("providers")?;
            let are_valid = providers.as_object()?.values().all(is_valid);
            are_valid.then(|| providers.clone())
        })
        .unwrap_or_default()
    }
}

/// `JSON.parse` of what `readFile` makes of the bytes: a byte order mark is taken off.
fn parse(bytes: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text)).ok()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Whether Pi takes a provider: one with models needs an endpoint, a key and an API.
fn is_valid(provider: &Value) -> bool {
    let has = |key| text(provider, key).is_some_and(|text| !text.is_empty());
    match provider.get("models") {
        None => provider.is_object(),
        Some(Value::Array(models)) => {
            ["baseUrl", "apiKey", "api"].into_iter().all(has)
                && models.iter().all(|model| text(model, "id").is_some())
        }
        Some(_) => false,
    }
}

/// What JavaScript takes for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
