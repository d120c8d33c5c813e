//! How Case's pipeline ended, by its event log.
//!
//! An event log is one JSON object on each line. Each has the run's id and a number: the first one is
//! 1, and each is one more than that before it. The log opens with `pipeline_start` and closes with
//! `pipeline_end`, whose `outcome` is `completed` or `failed`. Case also says `completed` when its
//! reviewers still object and no revision is left (`revision_budget_exhausted`): that is no success
//! here.
//!
//! Deliberately absent: the exit code, which is 0 after a failure too.

use std::collections::BTreeMap;

use admit_policy::json::{self, Node, Value};
use admit_proto::v1::PipelineOutcome;

/// What an event log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    pub(crate) outcome: PipelineOutcome,
    /// Every agent whose phase started, and how often.
    pub(crate) agents: BTreeMap<String, u64>,
    /// Why the outcome is not a pass, in words of this program.
    pub(crate) fault: Option<&'static str>,
}

impl Pipeline {
    /// A pipeline of which no end is known.
    pub(crate) fn incomplete(fault: &'static str) -> Self {
        Self {
            outcome: PipelineOutcome::Incomplete,
            agents: BTreeMap::new(),
            fault: Some(fault),
        }
    }

    /// The pipeline of a process that may have been cut short: what passed has not.
    pub(crate) fn cut(self, fault: &'static str) -> Self {
        match self.outcome {
            PipelineOutcome::Passed => Self {
                outcome: PipelineOutcome::Incomplete,
                fault: Some(fault),
                ..self
            },
            PipelineOutcome::Failed
            | PipelineOutcome::Incomplete
            | PipelineOutcome::Unspecified => self,
        }
    }

    /// What `log` says of the task `task_id`, or of whatever task it is of when none is given.
    pub(crate) fn read(log: &[u8], task_id: Option<&str>) -> Self {
        let mut reader = Reader::default();
        let ending = reader
            .read(log, task_id)
            .and_then(|()| reader.end.ok_or("the event log has no end"));
        let (outcome, fault) = match ending {
            Err(fault) => (PipelineOutcome::Incomplete, Some(fault)),
            Ok(End::Failed) => (PipelineOutcome::Failed, Some("the pipeline failed")),
            Ok(End::Completed) => match reader.objection {
                Some(objection) => (PipelineOutcome::Failed, Some(objection)),
                None => (PipelineOutcome::Passed, None),
            },
        };
        Self {
            outcome,
            agents: reader.agents,
            fault,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Completed,
    Failed,
}

#[derive(Debug, Default)]
struct Reader {
    run_id: Option<String>,
    events: u64,
    agents: BTreeMap<String, u64>,
    /// Why an end that says `completed` is no success.
    objection: Option<&'static str>,
    end: Option<End>,
}

impl Reader {
    fn read(&mut self, log: &[u8], task_id: Option<&str>) -> Result<(), &'static str> {
        let log = log
            .strip_suffix(b"\n")
            .ok_or("the event log breaks off within a line")?;
        log.split(|byte| *byte == b'\n').try_for_each(|line| {
            let event = std::str::from_utf8(line)
                .ok()
                .and_then(|line| json::parse(line).ok())
                .ok_or("a line of the event log is malformed")?;
            self.read_event(&event, task_id)
        })
    }

    fn read_event(&mut self, event: &Node, task_id: Option<&str>) -> Result<(), &'static str> {
        const MALFORMED: &str = "an event of the event log is malformed";
        let text = |key: &str| event.get(key).and_then(Node::as_str);
        let kind = text("event").ok_or(MALFORMED)?;
        let run_id = text("runId").ok_or(MALFORMED)?;
        if self.end.is_some() {
            return Err("the event log goes on after its end");
        }
        self.events = self.events.saturating_add(1);
        if event.get("sequence").and_then(number) != Some(self.events) {
            return Err("the event log has a gap");
        }
        if self.events == 1 {
            self.run_id = Some(run_id.to_owned());
            let is_task = task_id.is_none_or(|task_id| text("taskId") == Some(task_id));
            return match (kind, is_task) {
                ("pipeline_start", true) => Ok(()),
                ("pipeline_start", false) => Err("the event log is of another task"),
                _ => Err("the event log does not open with the start of a pipeline"),
            };
        }
        if self.run_id.as_deref() != Some(run_id) {
            return Err("the event log is of several runs");
        }
        match kind {
            "pipeline_start" => return Err("the event log starts twice"),
            "phase_start" => {
                let agent = text("agent").ok_or(MALFORMED)?;
                let starts = self.agents.entry(agent.to_owned()).or_default();
                *starts = starts.saturating_add(1);
            }
            "phase_end" => match text("outcome").ok_or(MALFORMED)? {
                "completed" | "skipped" => {}
                "failed" => self.objection = Some("a phase of the pipeline failed"),
                _ => return Err(MALFORMED),
            },
            "revision_budget_exhausted" => {
                self.objection = Some("the reviewers still objected when no revision was left");
            }
            "pipeline_end" => {
                self.end = Some(match text("outcome").ok_or(MALFORMED)? {
                    "completed" => End::Completed,
                    "failed" => End::Failed,
                    _ => return Err(MALFORMED),
                });
            }
            // What happens within a phase decides nothing.
            _ => {}
        }
        Ok(())
    }
}

fn number(node: &Node) -> Option<u64> {
    match &node.value {
        Value::Number(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#""event":"pipeline_start","taskId":"t1","profile":"tiny","plan":{}"#;
    const PHASE: &str = r#""event":"phase_start","phase":"implement","agent":"implementer""#;
    const PHASE_END: &str = r#""event":"phase_end","phase":"implement","agent":"implementer","outcome":"completed","durationMs":5"#;
    const SKIPPED: &str = r#""event":"phase_end","phase":"close","agent":"closer","outcome":"skipped","durationMs":0"#;
    const END: &str = r#""event":"pipeline_end","outcome":"completed","durationMs":9"#;

    fn log(events: &[&str]) -> String {
        events
            .iter()
            .enumerate()
            .map(|(at, event)| {
                let sequence = at + 1;
                format!("{{{event},\"ts\":\"2026-06-01T12:00:00.000Z\",\"sequence\":{sequence},\"runId\":\"r\"}}\n")
            })
            .collect()
    }

    fn outcome(log: &str) -> PipelineOutcome {
        Pipeline::read(log.as_bytes(), Some("t1")).outcome
    }

    #[test]
    fn a_whole_log_passes_or_fails_by_its_end() {
        let passed = Pipeline::read(
            log(&[START, PHASE, PHASE_END, PHASE, PHASE_END, SKIPPED, END]).as_bytes(),
            Some("t1"),
        );
        assert_eq!(passed.outcome, PipelineOutcome::Passed);
        assert_eq!(passed.fault, None);
        assert_eq!(
            passed.agents,
            BTreeMap::from([("implementer".to_owned(), 2)])
        );
        let anonymous = Pipeline::read(log(&[START, END]).as_bytes(), None);
        assert_eq!(anonymous.outcome, PipelineOutcome::Passed);
        let failed = r#""event":"pipeline_end","outcome":"failed","failedAgent":"implementer","durationMs":9"#;
        assert_eq!(outcome(&log(&[START, failed])), PipelineOutcome::Failed);
    }

    #[test]
    fn an_end_that_says_completed_over_an_objection_is_a_failure() {
        let phase_failed = PHASE_END.replace("completed", "failed");
        for objection in [
            r#""event":"revision_budget_exhausted","cycles":3"#,
            phase_failed.as_str(),
        ] {
            assert_eq!(
                outcome(&log(&[START, PHASE, objection, END])),
                PipelineOutcome::Failed,
                "{objection}"
            );
        }
    }

    #[test]
    fn what_is_not_whole_is_incomplete() {
        let whole = log(&[START, PHASE, PHASE_END, END]);
        assert_eq!(outcome(&whole), PipelineOutcome::Passed);
        let lines: Vec<&str> = whole.lines().collect();
        for (name, damaged) in [
            ("empty", String::new()),
            ("one empty line", "\n".into()),
            ("torn", whole.trim_end().to_owned()),
            ("without an end", log(&[START, PHASE, PHASE_END])),
            ("without a start", log(&[PHASE, PHASE_END, END])),
            ("with two starts", log(&[START, START, END])),
            ("with two ends", log(&[START, END, END])),
            ("of another task", whole.replace("\"t1\"", "\"t2\"")),
            (
                "with a line missing",
                format!("{}\n{}\n{}\n", lines[0], lines[1], lines[3]),
            ),
            (
                "of two runs",
                whole.replacen("\"runId\":\"r\"", "\"runId\":\"s\"", 1),
            ),
            ("without a run", whole.replacen("runId", "run", 1)),
            ("with noise", format!("{whole}noise\n")),
            (
                "with a key twice",
                whole.replacen("\"ts\"", "\"event\":\"x\",\"ts\"", 1),
            ),
            ("with no number", whole.replace(":4,", ":\"4\",")),
            (
                "with another outcome",
                whole.replace(
                    "\"completed\",\"durationMs\":9",
                    "\"done\",\"durationMs\":9",
                ),
            ),
            (
                "with a phase without outcome",
                whole.replace("\"completed\",\"durationMs\":5", "7,\"durationMs\":5"),
            ),
            (
                "with a phase without agent",
                whole.replace("\"agent\":\"implementer\",\"ts\"", "\"ts\""),
            ),
        ] {
            assert_ne!(damaged, whole, "{name}");
            assert_eq!(outcome(&damaged), PipelineOutcome::Incomplete, "{name}");
        }
        let mut bytes = whole.into_bytes();
        bytes.insert(1, 0xff);
        assert_eq!(
            Pipeline::read(&bytes, None).outcome,
            PipelineOutcome::Incomplete
        );
    }
}
