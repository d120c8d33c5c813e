//! What is wrong with the text of a configuration: the line, the key, and what is expected there.
//!
//! Deliberately absent: any value. A credential that was put into the wrong place must not get into a
//! terminal or a journal.

use std::fmt;

/// A text that is not a valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidText {
    /// The line, from 1.
    line: usize,
    /// The column, from 1.
    column: usize,
    /// The line as far as it can be shown: up to the value.
    shown: String,
    /// What is wrong there.
    message: String,
}

impl std::error::Error for InvalidText {}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            shown,
            message,
        } = self;
        write!(
            f,
            "line {line}, column {column}: {message}\n{line} | {shown}"
        )
    }
}

impl InvalidText {
    /// What `error` says about `text`.
    #[must_use]
    pub fn of(text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let line_start = before
            .rfind('\n')
            .map_or(0, |newline| newline.saturating_add(1));
        let line_text = text.get(line_start..).and_then(|rest| rest.lines().next());
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: in_line.chars().count().saturating_add(1),
            shown: shown(line_text.unwrap_or_default()),
            message: without_value(error.message()),
        }
    }
}

/// A line without its value.
fn shown(line: &str) -> String {
    let is_section = line.trim_start().starts_with('[');
    match line.split_once('=') {
        Some((key, _)) => format!("{}= …", key),
        None if is_section => line.to_owned(),
        None => "…".to_owned(),
    }
}

/// What the parser says, without the value that it met.
fn without_value(message: &str) -> String {
    let names_value = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .any(|start| message.starts_with(start));
    if !names_value {
        return message.lines().next().unwrap_or_default().to_owned();
    }
    // The last one: a value may have the word in it.
    let expected = message.rsplit_once(", expected ").map(|(_, what)| what);
    let what = match expected {
        Some("u64") => "a whole number",
        Some(what) if what.starts_with("struct ") => "a section",
        Some("a sequence") => "a list",
        Some(what) => what,
        None => "another value",
    };
    format!("expected {what}")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_place_is_shown_and_never_the_value() {
        for (text, place, says) in [
            (
                "policy_dir = \"/p\"\nallow_all = \"canary\"\n",
                "line 2, column 1",
                "unknown field `allow_all`",
            ),
            (
                "[listen]\ntpc = \"canary\"\n",
                "line 2, column 1",
                "unknown field `tpc`",
            ),
            (
                "rescan_interval = 5\n",
                "line 1, column 19",
                "expected a string",
            ),
            (
                "rescan_interval = \"canary\"\n",
                "line 1, column 19",
                "is not a duration",
            ),
            (
                "[audit]\nsegment_bytes = \"canary, expected canary\"\n",
                "line 2, column 17",
                "expected ",
            ),
            ("[audit]\nsegment_bytes = canary\n", "line 2, column 17", ""),
            (
                "[network_classes]\nc = [\"canary\"]\n",
                "line 2, column 6",
                "expected one of `loopback`",
            ),
            (
                "[network_classes]\nc = [\n  \"canary\",\n]\n",
                "line 3, column 3",
                "expected one of",
            ),
            (
                "listen = \"canary\"\n",
                "line 1, column 10",
                "expected a section",
            ),
            (
                "[export]\nheaders = \"canary\"\n",
                "line 2, column 1",
                "unknown field `headers`",
            ),
            ("canary\n", "line 1", ""),
        ] {
            let error = Config::parse(text).unwrap_err();
            let error = format!("{:#}", anyhow::Error::from(error));
            assert!(
                error.contains(place) && error.contains(says),
                "{text}: {error}"
            );
            let is_shown = error.contains("canary");
            assert!(!is_shown, "{text}: {error}");
        }
    }

    #[test]
    fn a_secret_is_refused_wherever_it_stands() {
        let key = "sk-ant-api03-0123456789abcdefghij";
        for text in [
            format!("# {key}\n"),
            format!("policy_dir = \"/p\"\n\n[audit]\nsigning_key = \"{key}\"\n"),
            format!("not toml {key}"),
        ] {
            let error = format!(
                "{:#}",
                anyhow::Error::from(Config::parse(&text).unwrap_err())
            );
            assert!(
                error.contains("looks like a secret") && !error.contains(key),
                "{error}"
            );
        }
    }
}
