//! What Bun does before the script runs: it loads `.env`, preloads code, and hands over the arguments.

use std::{collections::BTreeMap, env, fs};

/// A started script.
pub(super) struct Bun {
    /// The variables that the script sees.
    pub(super) variables: BTreeMap<String, String>,
    /// What follows the script.
    pub(super) arguments: Vec<String>,
}

impl Bun {
    pub(super) fn start(is_compiled: bool) -> Self {
        let mut variables: BTreeMap<String, String> = env::vars().collect();
        let mut flags: Vec<String> = variables
            .get("BUN_OPTIONS")
            .map(|options| options.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default();
        let mut rest = env::args().skip(1);
        if !is_compiled {
            // The first word that is no flag is the script.
            flags.extend(rest.by_ref().take_while(|word| word.starts_with('-')));
        }
        let is_configured = fs::read_to_string("bunfig.toml")
            .is_ok_and(|text| text.lines().any(|line| line.starts_with("preload")));
        if is_configured || flags.iter().any(|flag| flag.starts_with("--preload")) {
            fs::write("preloaded", "").unwrap();
        }
        if !flags.iter().any(|flag| flag == "--no-env-file") {
            for (name, value) in dotenv(&fs::read_to_string(".env").unwrap_or_default()) {
                // What is set already stays, be it empty.
                variables.entry(name).or_insert(value);
            }
        }
        Self {
            variables,
            arguments: rest.collect(),
        }
    }

    /// The value of a variable, unless it is unset or empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.arguments.iter().any(|argument| argument == flag)
    }

    /// The value of a flag that takes one: `None` without the flag, `Some(None)` without a value.
    pub(super) fn flag(&self, names: &[&str]) -> Option<Option<&str>> {
        let mut arguments = self.arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            for name in names {
                if argument == name {
                    let value = arguments.peek().map(|value| value.as_str());
                    return Some(value.filter(|value| !value.starts_with('-')));
                }
                let attached = argument.strip_prefix(name);
                if let Some(value) = attached.and_then(|rest| rest.strip_prefix('=')) {
                    return Some(Some(value));
                }
            }
        }
        None
    }
}

fn dotenv(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(|line| line.trim().trim_start_matches("export "))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let value = value.trim().trim_matches(['"', '\'']);
            (name.trim().to_owned(), value.to_owned())
        })
        .collect()
}
