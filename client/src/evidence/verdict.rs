//! The judgment as it is written into the folder.

use admit_client::{AskError, Judgment};
use serde::Serialize;

use super::{Ending, folder::VERSION, report::VerdictPart};

/// `verdict.json`.
#[derive(Debug, Serialize)]
pub(crate) struct VerdictFile {
    version: u32,
    /// `accepted`, `rejected` or `no-answer`.
    verdict: &'static str,
    evidence_id: Option<String>,
    /// RFC 3339, by the server's clock.
    check_time: Option<String>,
    decision_id: Option<String>,
    reasons: Vec<ReasonPart>,
    stream_id: Option<String>,
    seq: Option<u64>,
    record_hash: Option<String>,
    /// Why there is no answer.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReasonPart {
    code: String,
    message: String,
    help: String,
}

/// The name of an ending.
pub(crate) fn name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Judged(Judgment::Accepted(_)) => "accepted",
        Ending::Judged(Judgment::Rejected(_)) => "rejected",
        Ending::NoAnswer(_) => "no-answer",
    }
}

/// `judgment`, if it is on the run that was allowed by `decision_id`. Nothing else is an acceptance of
/// this run.
pub(crate) fn of_this_run(judgment: Judgment, decision_id: &str) -> Ending {
    match judgment.decision_id() {
        Some(judged) if judged != decision_id => match judgment {
            Judgment::Accepted(_) => Ending::NoAnswer(AskError::Malformed(
                "it accepts the run of another decision",
            )),
            Judgment::Rejected(_) => Ending::Judged(judgment),
        },
        Some(_) | None => Ending::Judged(judgment),
    }
}

/// The judgment in short, if there is one.
pub(crate) fn part(ending: &Ending) -> Option<VerdictPart> {
    let Ending::Judged(judgment) = ending else {
        return None;
    };
    Some(VerdictPart {
        verdict: name(ending),
        evidence_id: judgment.evidence_id().to_owned(),
        reasons: judgment
            .reasons()
            .iter()
            .map(|reason| reason.code.clone())
            .collect(),
        seq: judgment.record().seq,
        record_hash: judgment.record().hash.to_string(),
    })
}

/// The file.
pub(crate) fn file(ending: &Ending) -> VerdictFile {
    let judgment = match ending {
        Ending::Judged(judgment) => Some(judgment),
        Ending::NoAnswer(_) => None,
    };
    let error = match ending {
        Ending::Judged(_) => None,
        Ending::NoAnswer(error) => Some(error.to_string()),
    };
    VerdictFile {
        version: VERSION,
        verdict: name(ending),
        evidence_id: judgment.map(|judgment| judgment.evidence_id().to_owned()),
        check_time: judgment.map(|judgment| judgment.check_time().to_string()),
        decision_id: judgment.and_then(|judgment| judgment.decision_id().map(str::to_owned)),
        reasons: judgment
            .map(Judgment::reasons)
            .unwrap_or_default()
            .iter()
            .map(|reason| ReasonPart {
                code: reason.code.clone(),
                message: reason.message.clone(),
                help: reason.help.clone(),
            })
            .collect(),
        stream_id: judgment.map(|judgment| judgment.record().stream_id.clone()),
        seq: judgment.map(|judgment| judgment.record().seq),
        record_hash: judgment.map(|judgment| judgment.record().hash.to_string()),
        error,
    }
}
