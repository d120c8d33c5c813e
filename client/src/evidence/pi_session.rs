//! The models that a session log of Pi names: changes of the model, and the answers of the assistant.
//!
//! They are the requested values. Case's pipeline writes no session; one that is there tells of an
//! interactive agent.

use admit_policy::json::{self, Node};

use super::observed::{Observed, Source};

/// The agent that a session stands for.
const AGENT: &str = "pi";

impl Observed {
    /// Adds what a session log says.
    pub(crate) fn read_session(&mut self, log: &[u8]) {
        if log.last().is_some_and(|byte| *byte != b'\n') {
            self.miss("a session log breaks off within a line");
        }
        let lines = log
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        for line in lines {
            let entry = json::parse(&String::from_utf8_lossy(line)).ok();
            let kind = entry.as_ref().and_then(|entry| entry.get("type")?.as_str());
            match (&entry, kind) {
                (Some(entry), Some(kind)) => self.read_entry(kind, entry),
                (_, None) | (None, Some(_)) => {
                    self.miss("a line of a session log was not understood");
                }
            }
        }
    }

    fn read_entry(&mut self, kind: &str, entry: &Node) {
        match kind {
            "model_change" => self.add(
                Source::PiSession,
                Some(AGENT),
                entry.get("provider"),
                entry.get("modelId"),
            ),
            "message" => {
                let message = entry.get("message");
                match message.and_then(|message| message.get("role")?.as_str()) {
                    Some("assistant") => self.add(
                        Source::PiSession,
                        Some(AGENT),
                        message.and_then(|message| message.get("provider")),
                        message.and_then(|message| message.get("model")),
                    ),
                    // Nobody but the assistant is a model.
                    Some(_) => {}
                    None => self.miss("a message of a session log was not understood"),
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(lines: &[&str]) -> Observed {
        let mut observed = Observed::default();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        observed.read_session(text.as_bytes());
        observed
    }

    #[test]
    fn changes_and_answers_are_seen() {
        let observed = observe(&[
            r#"{"type":"session","id":"s","cwd":"/w"}"#,
            r#"{"type":"model_change","provider":"p","modelId":"m1"}"#,
            r#"{"type":"message","message":{"role":"user","content":[]}}"#,
            r#"{"type":"message","message":{"role":"assistant","provider":"p","model":"m2"}}"#,
        ]);
        let models: Vec<_> = observed
            .models()
            .iter()
            .map(|seen| {
                (
                    seen.agent.as_str(),
                    seen.provider.as_str(),
                    seen.model.as_str(),
                )
            })
            .collect();
        assert_eq!(models, [("pi", "p", "m1"), ("pi", "p", "m2")]);
        assert!(
            observed
                .models()
                .iter()
                .all(|seen| seen.source == Source::PiSession)
        );
        assert!(observed.faults().is_empty());
    }

    #[test]
    fn what_is_not_understood_makes_it_incomplete() {
        for line in [
            "noise",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"model_change","provider":"p"}"#,
            r#"{"type":"message"}"#,
            r#"{"type":"message","message":{"role":"assistant","provider":"p"}}"#,
            r#"{"type":"message","type":"session"}"#,
        ] {
            let observed = observe(&[line]);
            assert!(
                observed.models().is_empty() && observed.faults().len() == 1,
                "{line}"
            );
        }
        let mut torn = Observed::default();
        torn.read_session(br#"{"type":"session"}"#);
        assert_eq!(torn.faults().len(), 1);
    }
}
