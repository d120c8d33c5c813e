//! Answers as a client verifies them: whatever the server is, ALLOW and ACCEPTED exist only where the
//! answer says so without any doubt.
//!
//! An input is two messages, each behind its length: what was asked, and the answer. Deliberately
//! absent: where such an answer comes from.

use admit_client::{Answer, Judgment};
use admit_proto::v1;
use prost::Message;

use crate::held::check_visible;

/// Longest text of a reason, in characters.
const TEXT_CHARS_MAX: usize = 1024;

/// What was asked, and the answer.
fn two<Asked: Message + Default, Answered: Message + Default>(
    mut data: &[u8],
) -> Option<(Asked, Answered)> {
    let asked = Asked::decode_length_delimited(&mut data).ok()?;
    let answered = Answered::decode_length_delimited(&mut data).ok()?;
    Some((asked, answered))
}

fn check_reasons(reasons: &[v1::Reason]) {
    assert!(!reasons.is_empty());
    for reason in reasons {
        for text in [&reason.code, &reason.message, &reason.help] {
            check_visible(text);
            assert!(text.chars().count() <= TEXT_CHARS_MAX);
        }
        assert!(!reason.code.is_empty());
        for place in &reason.places {
            check_visible(&place.path);
        }
    }
}

/// `AdmitResponse`.
pub fn admit_answer(data: &[u8]) {
    let Some((asked, response)) = two::<v1::AdmitRequest, v1::AdmitResponse>(data) else {
        return;
    };
    match Answer::verify(&asked, response.clone()) {
        Err(error) => check_visible(&error.to_string()),
        Ok(Answer::Allowed(allowed)) => {
            assert_eq!(response.verdict(), v1::Verdict::Allow);
            assert_eq!(response.verdict, i32::from(v1::Verdict::Allow));
            assert!(response.reasons.is_empty());
            assert_eq!(allowed.dry_run(), asked.dry_run);
            assert_eq!(allowed.permit().is_some(), !asked.dry_run);
            let status = match asked.lane() {
                v1::Lane::Real => "admitted",
                v1::Lane::Fake => "not_required",
                v1::Lane::Unspecified => panic!("an ALLOW in no lane"),
            };
            assert_eq!(allowed.case_model_admission_status(), status);
        }
        Ok(Answer::Denied(denied)) => {
            assert_eq!(response.verdict, i32::from(v1::Verdict::Deny));
            assert!(response.permit.is_empty());
            check_reasons(denied.reasons());
        }
    }
}

/// `CheckEvidenceResponse`.
pub fn evidence_answer(data: &[u8]) {
    let Some((asked, response)) = two::<v1::CheckEvidenceRequest, v1::CheckEvidenceResponse>(data)
    else {
        return;
    };
    match Judgment::verify(&asked, response.clone()) {
        Err(error) => check_visible(&error.to_string()),
        Ok(Judgment::Accepted(accepted)) => {
            assert_eq!(response.verdict, i32::from(v1::EvidenceVerdict::Accepted));
            assert!(response.reasons.is_empty());
            assert_eq!(accepted.decision_id(), response.decision_id);
            assert_eq!(asked.pipeline(), v1::PipelineOutcome::Passed);
        }
        Ok(Judgment::Rejected(rejected)) => {
            assert_eq!(response.verdict, i32::from(v1::EvidenceVerdict::Rejected));
            check_reasons(rejected.reasons());
        }
    }
}
