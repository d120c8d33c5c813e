//! The models that were seen at work, as Case's own events on standard error tell them.
//!
//! Case writes one event for each agent that it starts, with the pair that it resolved. That is what
//! Case was about to ask for, not what an endpoint served.
//!
//! Deliberately absent: any guess. A line that speaks of an agent's start and is not understood makes
//! the observation incomplete.

use std::collections::{BTreeMap, BTreeSet};

use admit_client::facts::has_secret;
use admit_policy::{
    bounds::Bound,
    escape::any_reading,
    json::{self, Node},
};
use serde::Serialize;

/// Most pairs of an observation.
pub(crate) const MODELS_MAX: usize = 256;
/// Longest name of an agent, in bytes.
const AGENT_BYTES_MAX: usize = 64;
/// What Case says when it starts an agent.
const SPAWN: &str = "spawning agent";

/// Where a model was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// Case's own events on standard error.
    CaseStderr,
    /// A session log of Pi.
    PiSession,
}

/// A pair that was seen at work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct SeenModel {
    pub(crate) agent: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) source: Source,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    models: BTreeSet<SeenModel>,
    /// How often Case started each agent, by its standard error.
    spawns: BTreeMap<String, u64>,
    faults: BTreeSet<&'static str>,
}

impl Observed {
    /// The pairs, each once per agent and source.
    pub(crate) fn models(&self) -> &BTreeSet<SeenModel> {
        &self.models
    }

    /// Why the observation is incomplete; empty when it is complete.
    pub(crate) fn faults(&self) -> &BTreeSet<&'static str> {
        &self.faults
    }

    /// Notes that something is missing, or was not understood.
    pub(crate) fn miss(&mut self, fault: &'static str) {
        self.faults.insert(fault);
    }

    /// Adds what `source` says of `agent`. What cannot be stated is a fault and no observation.
    pub(super) fn add(
        &mut self,
        source: Source,
        agent: Option<&str>,
        provider: Option<&Node>,
        model: Option<&Node>,
    ) {
        let seen = name(agent, is_agent).zip(
            name(provider.and_then(Node::as_str), |text| {
                Bound::Provider.holds(text)
            })
            .zip(name(model.and_then(Node::as_str), |text| {
                Bound::Model.holds(text)
            })),
        );
        let Some((agent, (provider, model))) = seen else {
            self.miss("a record of a model was not understood");
            return;
        };
        if source == Source::CaseStderr {
            let spawns = self.spawns.entry(agent.clone()).or_default();
            *spawns = spawns.saturating_add(1);
        }
        self.models.insert(SeenModel {
            agent,
            provider,
            model,
            source,
        });
        if self.models.len() > MODELS_MAX {
            self.models.pop_last();
            self.miss("more models were seen than evidence can state");
        }
    }

    /// Adds what Case's standard error says.
    pub(crate) fn read_stderr(&mut self, log: &[u8]) {
        if log.last().is_some_and(|byte| *byte != b'\n') {
            self.miss("standard error breaks off within a line");
        }
        for line in log.split(|byte| *byte == b'\n') {
            self.read_stderr_line(&String::from_utf8_lossy(line));
        }
    }

    fn read_stderr_line(&mut self, line: &str) {
        let event = json::parse(line).ok();
        let message = event.as_ref().and_then(|event| event.get("msg")?.as_str());
        match (&event, message) {
            (Some(event), Some(SPAWN)) => self.add(
                Source::CaseStderr,
                event.get("agent").and_then(Node::as_str),
                event.get("provider"),
                event.get("model"),
            ),
            // Another event, whatever it tells of others in its texts.
            (Some(_), Some(_)) => {}
            (_, None) | (None, Some(_)) => {
                if any_reading(line, |reading| reading.contains(SPAWN)) {
                    self.miss("a line of standard error speaks of an agent's start and was not understood");
                }
            }
        }
    }

    /// How often standard error tells of a start of `agent`.
    pub(crate) fn spawns(&self, agent: &str) -> u64 {
        self.spawns.get(agent).copied().unwrap_or_default()
    }
}

/// `text`, if it is there, not empty, in its form and no secret.
fn name(text: Option<&str>, is_form: impl Fn(&str) -> bool) -> Option<String> {
    text.filter(|text| !text.is_empty() && is_form(text) && !has_secret(text))
        .map(str::to_owned)
}

fn is_agent(text: &str) -> bool {
    text.len() <= AGENT_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(agent: &str, provider: &str, model: &str) -> String {
        format!(
            r#"{{"ts":"2026-06-01T12:00:00.000Z","level":"info","msg":"spawning agent","agent":"{agent}","cwd":"/w","provider":"{provider}","model":"{model}","timeout":600000}}"#
        )
    }

    fn observe(lines: &[&str]) -> Observed {
        let mut observed = Observed::default();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        observed.read_stderr(text.as_bytes());
        observed
    }

    #[test]
    fn each_start_of_an_agent_is_seen_once() {
        let implementer = spawn("implementer", "qwen-local", "qwen3");
        let observed = observe(&[
            "  ... still running (5s)",
            r#"{"level":"info","msg":"pipeline started","phase":"dag"}"#,
            &implementer,
            &spawn("reviewer", "anthropic", "claude-sonnet-4-6"),
            &implementer,
            r#"{"msg":"command failed","stderr":"{\"msg\":\"spawning agent\"}"}"#,
            "7",
        ]);
        let seen: Vec<_> = observed
            .models()
            .iter()
            .map(|seen| (seen.agent.as_str(), seen.provider.as_str(), seen.source))
            .collect();
        assert_eq!(
            seen,
            [
                ("implementer", "qwen-local", Source::CaseStderr),
                ("reviewer", "anthropic", Source::CaseStderr)
            ]
        );
        assert!(observed.faults().is_empty(), "{:?}", observed.faults());
        let spawns = ["implementer", "reviewer", "closer"].map(|agent| observed.spawns(agent));
        assert_eq!(spawns, [2, 1, 0]);
    }

    #[test]
    fn a_start_that_is_not_understood_makes_it_incomplete() {
        let whole = spawn("implementer", "p", "m");
        for line in [
            // Torn, repeated, or behind something else.
            whole.trim_end_matches('}'),
            &format!("noise {whole}"),
            &whole.replace(r#""agent":"#, r#""agent":"closer","agent":"#),
            // Without a name, or with one that cannot be stated.
            &whole.replace("provider", "prov"),
            &whole.replace(r#""m","timeout""#, r#"null,"timeout""#),
            &spawn("", "p", "m"),
            &spawn("Implementer", "p", "m"),
            &spawn(&"a".repeat(65), "p", "m"),
            &spawn("implementer", "", "m"),
            &spawn("implementer", "p p", "m"),
            &spawn("implementer", &"p".repeat(129), "m"),
            &spawn("implementer", "p", &"m".repeat(257)),
            &spawn("implementer", "p", "sk-ant-0123456789abcdef"),
            r#"{"message":"spawning\u0020agent"}"#,
        ] {
            let observed = observe(&[line]);
            assert!(observed.models().is_empty(), "{line}");
            assert_eq!(observed.faults().len(), 1, "{line}");
        }
        let longest = spawn(&"a".repeat(64), &"p".repeat(128), &"m".repeat(256));
        let observed = observe(&[&longest]);
        assert!(observed.faults().is_empty() && observed.models().len() == 1);
    }

    #[test]
    fn a_log_that_breaks_off_is_incomplete() {
        let mut observed = Observed::default();
        observed.read_stderr(spawn("implementer", "p", "m").as_bytes());
        assert_eq!(observed.models().len(), 1);
        assert_eq!(observed.faults().len(), 1);
    }

    #[test]
    fn more_models_than_can_be_stated_are_incomplete() {
        let spawns = |count: usize| -> Vec<String> {
            (0..count)
                .map(|at| spawn("implementer", "p", &format!("m{at}")))
                .collect()
        };
        let most = spawns(MODELS_MAX);
        let most: Vec<&str> = most.iter().map(String::as_str).collect();
        assert!(observe(&most).faults().is_empty());
        let more = spawns(MODELS_MAX + 1);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let observed = observe(&more);
        assert_eq!(observed.models().len(), MODELS_MAX);
        assert_eq!(observed.faults().len(), 1);
    }
}
