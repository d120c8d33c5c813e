//! The page an operator pastes, for each way in which a handing in ends.

use admit_client::AskError;
use admit_proto::v1::{CheckEvidenceRequest, CheckEvidenceResponse, EvidenceVerdict, Reason};

use super::*;
use crate::evidence::{scene::Scene, verdict};

const ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ac";
const DECISION: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";

fn response(verdict: EvidenceVerdict, reasons: &[(&str, &str)]) -> CheckEvidenceResponse {
    CheckEvidenceResponse {
        verdict: verdict.into(),
        reasons: reasons
            .iter()
            .map(|(code, message)| Reason {
                code: (*code).into(),
                message: (*message).into(),
                ..Reason::default()
            })
            .collect(),
        evidence_id: ID.into(),
        check_time: Some(prost_types::Timestamp {
            seconds: 1_780_315_200,
            nanos: 0,
        }),
        decision_id: DECISION.into(),
        stream_id: ID.into(),
        seq: 8,
        record_hash: "0b".repeat(32),
    }
}

fn judged(asked: &CheckEvidenceRequest, response: CheckEvidenceResponse) -> Ending {
    Ending::Judged(Judgment::verify(asked, response).unwrap())
}

#[test]
fn an_accepted_run_fits_on_a_page() {
    let collected = Scene::new().collect().unwrap();
    let ending = judged(&collected.request, response(EvidenceVerdict::Accepted, &[]));
    let page = page(&collected.report, &ending);
    assert!(page.starts_with("# Evidence: ACCEPTED\n"), "{page}");
    assert!(page.contains("| pair | `qwen-local` / `qwen3` |"), "{page}");
    assert!(
        page.contains(&format!("| decision | `{DECISION}` |")),
        "{page}"
    );
    assert!(page.contains("| policy | `aaaaaaaaaaaa…` |"), "{page}");
    assert!(!page.contains(&"a".repeat(13)), "{page}");
    assert!(
        page.contains(&format!("--known 8:{}`", "0b".repeat(32))),
        "{page}"
    );
    assert_eq!(page.matches('✔').count(), CHECKS.len());
    assert!(!page.contains('✘') && !page.contains('–'), "{page}");
    assert!(page.lines().count() < 60, "{page}");
}

#[test]
fn a_rejected_run_says_why_first() {
    let collected = Scene::new().collect().unwrap();
    let reasons = [
        ("permit-invalid", "it is | <b>not</b> a permit"),
        ("pipeline-failed", "the pipeline failed"),
        ("new-check", "a check of tomorrow"),
    ];
    let ending = judged(
        &collected.request,
        response(EvidenceVerdict::Rejected, &reasons),
    );
    let page = page(&collected.report, &ending);
    assert!(
        page.starts_with("# Evidence: REJECTED\n\nThis is no pass evidence:\n\n- `permit-invalid`: it is \\| \\<b\\>not\\</b\\> a permit\n"),
        "{page}"
    );
    assert!(
        page.contains("| the pipeline succeeded | ✘ | `pipeline-failed` |"),
        "{page}"
    );
    assert!(
        page.contains("| a check of tomorrow | ✘ | `new-check` |"),
        "{page}"
    );
    // Without a permit nothing is known of the permitted pair.
    assert!(
        page.contains("| only the permitted model was seen | – | `observed-model-mismatch` |"),
        "{page}"
    );
    assert!(
        page.contains("| there is a fake baseline | ✔ | `baseline-missing` |"),
        "{page}"
    );
}

#[test]
fn no_answer_is_no_acceptance() {
    let collected = Scene::new().collect().unwrap();
    let ending = Ending::NoAnswer(AskError::TimedOut);
    let page = page(&collected.report, &ending);
    assert!(page.starts_with("# Evidence: NOT JUDGED\n"), "{page}");
    assert!(!page.contains('✔') && !page.contains("ACCEPTED"), "{page}");
    assert!(verdict::part(&ending).is_none());
}

#[test]
fn the_acceptance_of_another_decision_is_none_of_this_run() {
    let collected = Scene::new().collect().unwrap();
    let judgment = |verdict, reasons: &[(&str, &str)]| {
        Judgment::verify(&collected.request, response(verdict, reasons)).unwrap()
    };
    let accepted = judgment(EvidenceVerdict::Accepted, &[]);
    let rejected = judgment(EvidenceVerdict::Rejected, &[("pipeline-failed", "")]);
    assert!(matches!(
        verdict::of_this_run(accepted.clone(), DECISION),
        Ending::Judged(Judgment::Accepted(_))
    ));
    assert!(matches!(
        verdict::of_this_run(accepted, ID),
        Ending::NoAnswer(AskError::Malformed(_))
    ));
    // A permit of another run is a reason to reject.
    assert!(matches!(
        verdict::of_this_run(rejected, ID),
        Ending::Judged(Judgment::Rejected(_))
    ));
}

#[test]
fn nothing_breaks_out_of_the_table() {
    assert_eq!(code("a|b`c"), "`a?b?c`");
    assert_eq!(code(""), "none");
    assert_eq!(escaped("a|b\n[c](d)"), "a\\|b \\[c\\](d)");
    assert_eq!(time(Some("2026-06-01T12:00:00Z")), "2026-06-01T12:00:00Z");
    assert_eq!(time(Some("| x |")), "unknown");
}
