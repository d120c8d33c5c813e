//! Why a launch did not start, for the harness and the operator: codes, and how to mend it.
//!
//! Deliberately absent: any value. A text here is the server's own, made safe to show, or this
//! program's.

use admit_client::{
    AskError, Denied,
    facts::{GatherError, Refusal},
};
use admit_permit::Mismatch;
use admit_proto::v1::Reason;
use serde::Serialize;

use super::sealed::SealError;
use crate::evidence::fixture::FixtureError;

/// Why a launch did not start.
#[derive(Debug)]
pub(crate) enum Denial {
    /// The server denied it.
    Denied(Box<Denied>),
    /// The wrapper refuses by itself.
    Refused(Vec<Refusal>),
    /// The facts could not be gathered.
    NoFacts(GatherError),
    /// There is no answer.
    NoAnswer(Box<AskError>),
    /// The fixture cannot be digested.
    NoFixture(FixtureError),
    /// The permit is not for this launch, or not good.
    PermitUnfit(&'static str),
    /// The permit does not hold now.
    PermitMismatch(Mismatch),
    /// A fact that only this host can see speaks against it, under a permit from elsewhere.
    Objection(&'static str),
    /// The pair was revoked between the answer and the start.
    Revoked(Vec<Reason>),
    /// The configuration cannot be sealed.
    NotSealed(SealError),
    /// A signal came before the start.
    Interrupted,
    /// A file that was stated is not what it was.
    Changed,
    /// The command could not be started; the system's error.
    NotStarted(std::io::Error),
    /// The evidence could not be written.
    NoEvidence(std::io::Error),
}

/// One line of the explanation, as it is printed and as `--json` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Line {
    fn new(code: &str, message: impl Into<String>, help: &str) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            help: help.into(),
        }
    }

    fn of(reason: &Reason) -> Self {
        Self::new(&reason.code, reason.message.as_str(), &reason.help)
    }
}

impl Denial {
    /// `deny`, `refused` or `no-answer`, as `launch.json` has it.
    pub(crate) fn verdict(&self) -> &'static str {
        match self {
            Self::Denied(_) => "deny",
            Self::NoAnswer(_) => "no-answer",
            Self::Refused(_)
            | Self::NoFacts(_)
            | Self::NoFixture(_)
            | Self::PermitUnfit(_)
            | Self::PermitMismatch(_)
            | Self::Objection(_)
            | Self::Revoked(_)
            | Self::NotSealed(_)
            | Self::Interrupted
            | Self::Changed
            | Self::NotStarted(_)
            | Self::NoEvidence(_) => "refused",
        }
    }

    /// Every reason, the primary one first; never empty.
    pub(crate) fn lines(&self) -> Vec<Line> {
        match self {
            Self::Denied(denied) => denied.reasons().iter().map(Line::of).collect(),
            Self::Revoked(reasons) => {
                let first = Line::new(
                    "revoked-before-start",
                    "the pair was revoked between the answer and the start",
                    "ask again once the policy admits the pair",
                );
                std::iter::once(first)
                    .chain(reasons.iter().map(Line::of))
                    .collect()
            }
            Self::Refused(refusals) => refusals
                .iter()
                .map(|refusal| {
                    Line::new(
                        refusal.code.as_str(),
                        format!("{} ({})", refusal.code.refuses(), refusal.about),
                        refusal.code.help(),
                    )
                })
                .collect(),
            Self::NoFacts(_)
            | Self::NoAnswer(_)
            | Self::NoFixture(_)
            | Self::PermitUnfit(_)
            | Self::PermitMismatch(_)
            | Self::Objection(_)
            | Self::NotSealed(_)
            | Self::Interrupted
            | Self::Changed
            | Self::NotStarted(_)
            | Self::NoEvidence(_) => self.only_line().into_iter().collect(),
        }
    }

    /// The line of a denial that has one reason; `None` for one that brings its own.
    fn only_line(&self) -> Option<Line> {
        Some(match self {
            Self::NoFacts(error) => Line::new(
                "facts-not-gathered",
                error.to_string(),
                "mend what it names and start again",
            ),
            Self::NoAnswer(error) => Line::new(
                "no-answer",
                error.to_string(),
                "see that admitd is reachable and SERVING: `admit health`",
            ),
            Self::PermitUnfit(why) => Line::new(
                "permit-unfit",
                (*why).to_owned(),
                "get a permit for just this launch",
            ),
            Self::NoFixture(error) => Line::new(
                "fixture-not-digested",
                error.to_string(),
                "name the folder of the copied fixture, within its bounds",
            ),
            Self::PermitMismatch(mismatch) => Line::new(
                mismatch.code(),
                mismatch.to_string(),
                "get a permit right before the start, and see that the clocks agree",
            ),
            Self::Objection(code) => Line::new(
                code,
                "this host sees what the permit's launch did not state".to_owned(),
                "see the gate of this name in docs/gates.md",
            ),
            Self::Interrupted => Line::new(
                "interrupted-before-start",
                "a signal came before the start".to_owned(),
                "start again",
            ),
            Self::NotSealed(SealError::Changed) | Self::Changed => Line::new(
                "changed-before-start",
                "a file was changed after its content had been stated".to_owned(),
                "see who writes to the configuration or the task during a launch, and start again",
            ),
            Self::NotSealed(error) => Line::new(
                match error {
                    SealError::InUse => "config-in-use",
                    SealError::Unclaimable(_)
                    | SealError::Writable(_)
                    | SealError::Unreadable(_)
                    | SealError::Changed => "config-not-sealed",
                },
                error.to_string(),
                "give each run a CASE_DATA_DIR of its own, with a config.json of its own",
            ),
            Self::NotStarted(error) => Line::new(
                "command-not-started",
                format!("the command cannot be started: {}", error.kind()),
                "see that the command exists and may be executed",
            ),
            Self::NoEvidence(error) => Line::new(
                "evidence-not-writable",
                format!("the evidence folder cannot be written: {}", error.kind()),
                "name a new or empty folder of this user's own",
            ),
            Self::Denied(_) | Self::Refused(_) | Self::Revoked(_) => return None,
        })
    }

    /// `backend/provider-model-not-admitted.txt`. A launch may have been allowed, and denied by this host
    /// all the same: then it has a decision too.
    pub(crate) fn text(&self, run_id: &str, decision_id: Option<&str>) -> String {
        let mut text = format!(
            "provider-model-not-admitted\nrun: {run_id}\ndecision: {}\ncase_process_started: no\n",
            decision_id.unwrap_or("none")
        );
        for line in self.lines() {
            text.push_str(&format!(
                "\n{}\n  what: {}\n  how to mend it: {}\n",
                line.code, line.message, line.help
            ));
        }
        text
    }
}
