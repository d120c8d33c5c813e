//! The border of `CheckEvidence`: every bound of a request on both of its sides, and secrets that must
//! not come back.

use admit_proto::v1::{
    Baseline, CheckEvidenceRequest, ConfigEvidence, EvidenceScan, EvidenceVerdict, ObservedModel,
    ObservedModels, Report,
};
use prost_types::Timestamp;

use super::{
    CANARIES, MARK, assert_holds_none, assert_invalid, codes, daemon, everything_in, launch,
    with_metadata,
};
use crate::finished::finished;

type Change = fn(&mut CheckEvidenceRequest);

/// A field, with changes of it that are within its bounds, and such that are not.
type Bound = (&'static str, &'static [Change], &'static [Change]);

/// The mark, filled up to `length` bytes.
fn marked(length: usize) -> String {
    format!("{MARK}{}", "a".repeat(length - MARK.len()))
}

/// Every visible character of ASCII.
fn visible() -> String {
    ('!'..='~').collect()
}

fn report(request: &mut CheckEvidenceRequest) -> &mut Report {
    request.report.get_or_insert_default()
}

fn observed(request: &mut CheckEvidenceRequest) -> &mut ObservedModels {
    request.observed_models.get_or_insert_default()
}

fn seen(request: &mut CheckEvidenceRequest) -> &mut ObservedModel {
    &mut observed(request).models[0]
}

fn config(request: &mut CheckEvidenceRequest) -> &mut ConfigEvidence {
    request.config.get_or_insert_default()
}

fn baseline(request: &mut CheckEvidenceRequest) -> &mut Baseline {
    request.baseline.get_or_insert_default()
}

fn scan(request: &mut CheckEvidenceRequest) -> &mut EvidenceScan {
    request.secret_scan.get_or_insert_default()
}

fn start(request: &mut CheckEvidenceRequest, seconds: i64, nanos: i32) {
    request.start_time = Some(Timestamp { seconds, nanos });
}

fn many(request: &mut CheckEvidenceRequest, count: usize) {
    let one = seen(request).clone();
    observed(request).models = vec![one; count];
}

fn digest() -> String {
    "0123456789abcdef".repeat(4)
}

#[rustfmt::skip] // one field after the other, so that the table reads as one
const BOUNDS: &[Bound] = &[
    ("host",
        &[|r| r.host = "a".into(), |r| r.host = marked(253), |r| r.host = "-.azAZ09".into()],
        &[|r| r.host = String::new(), |r| r.host = marked(254), |r| r.host = "Zq7_b".into(), |r| r.host = "Zq7é".into()]),
    ("run_id",
        &[|r| r.run_id = "a".into(), |r| r.run_id = marked(128), |r| r.run_id = "azAZ09._:-".into()],
        &[|r| r.run_id = String::new(), |r| r.run_id = marked(129), |r| r.run_id = "Zq7/b".into(), |r| r.run_id = "Zq7é".into()]),
    ("permit",
        &[|r| r.permit = String::new(), |r| r.permit = marked(4096), |r| r.permit = "azAZ09-_.".into()],
        &[|r| r.permit = marked(4097), |r| r.permit = "Zq7+".into(), |r| r.permit = "Zq7=".into(), |r| r.permit = "Zq7 a".into(), |r| r.permit = "Zq7é".into()]),
    ("start_time",
        &[|r| r.start_time = None, |r| start(r, -62_135_596_800, 0), |r| start(r, 253_402_300_799, 999_999_999), |r| start(r, 0, 0)],
        &[|r| start(r, -62_135_596_801, 0), |r| start(r, 253_402_300_800, 0), |r| start(r, 0, -1), |r| start(r, 0, 1_000_000_000), |r| start(r, i64::MAX, i32::MAX), |r| start(r, i64::MIN, i32::MIN)]),
    ("report.case_model_provider",
        &[|r| report(r).case_model_provider = marked(128), |r| report(r).case_model_provider = visible(), |r| r.report = None],
        &[|r| report(r).case_model_provider = marked(129), |r| report(r).case_model_provider = "Zq7 b".into(), |r| report(r).case_model_provider = "Zq7é".into()]),
    ("report.case_model",
        &[|r| report(r).case_model = marked(256), |r| report(r).case_model = visible()],
        &[|r| report(r).case_model = marked(257), |r| report(r).case_model = "Zq7\n".into(), |r| report(r).case_model = "Zq7é".into()]),
    ("report.case_model_admission_status",
        &[|r| report(r).case_model_admission_status = marked(64), |r| report(r).case_model_admission_status = "!~".into()],
        &[|r| report(r).case_model_admission_status = marked(65), |r| report(r).case_model_admission_status = "Zq7 b".into(), |r| report(r).case_model_admission_status = "Zq7é".into()]),
    ("observed_models.models",
        &[
            |r| many(r, 256), |r| many(r, 0), |r| r.observed_models = None,
            |r| seen(r).agent = "a".repeat(64), |r| seen(r).agent = "az09-".into(),
            |r| seen(r).provider = marked(128), |r| seen(r).provider = visible(), |r| seen(r).provider = String::new(),
            |r| seen(r).model = marked(256), |r| seen(r).model = visible(), |r| seen(r).model = String::new(),
            |r| seen(r).source = 99,
        ],
        &[
            |r| many(r, 257),
            |r| seen(r).agent = String::new(), |r| seen(r).agent = "a".repeat(65), |r| seen(r).agent = "Zq7".into(), |r| seen(r).agent = "zq7_a".into(),
            |r| seen(r).provider = marked(129), |r| seen(r).provider = "Zq7 b".into(), |r| seen(r).provider = "Zq7é".into(),
            |r| seen(r).model = marked(257), |r| seen(r).model = "Zq7\t".into(), |r| seen(r).model = "Zq7é".into(),
        ]),
    ("config.digest_before",
        &[|r| config(r).digest_before = String::new(), |r| config(r).digest_before = digest(), |r| r.config = None],
        &[|r| config(r).digest_before = "a".repeat(63), |r| config(r).digest_before = "a".repeat(65), |r| config(r).digest_before = "A".repeat(64), |r| config(r).digest_before = marked(64)]),
    ("config.digest_after",
        &[|r| config(r).digest_after = String::new(), |r| config(r).digest_after = digest()],
        &[|r| config(r).digest_after = "a".repeat(63), |r| config(r).digest_after = "A".repeat(64), |r| config(r).digest_after = marked(64)]),
    ("fixture_digest",
        &[|r| r.fixture_digest = String::new(), |r| r.fixture_digest = digest()],
        &[|r| r.fixture_digest = "a".repeat(63), |r| r.fixture_digest = "a".repeat(65), |r| r.fixture_digest = marked(64)]),
    ("baseline.run_id",
        &[|r| baseline(r).run_id = String::new(), |r| baseline(r).run_id = marked(128), |r| baseline(r).run_id = "azAZ09._:-".into(), |r| r.baseline = None],
        &[|r| baseline(r).run_id = marked(129), |r| baseline(r).run_id = "Zq7/b".into(), |r| baseline(r).run_id = "Zq7é".into()]),
    ("baseline.fixture_digest",
        &[|r| baseline(r).fixture_digest = String::new(), |r| baseline(r).fixture_digest = digest()],
        &[|r| baseline(r).fixture_digest = "a".repeat(63), |r| baseline(r).fixture_digest = marked(64)]),
    ("secret_scan.covered",
        &[|r| scan(r).covered = vec![1; 16], |r| scan(r).covered = vec![], |r| r.secret_scan = None],
        &[|r| scan(r).covered = vec![1; 17]]),
    ("secret_scan.findings",
        &[|r| scan(r).findings = vec![1; 256]],
        &[|r| scan(r).findings = vec![1; 257]]),
];

#[tokio::test]
async fn every_field_of_evidence_has_its_bounds() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    let mut fields = Vec::new();
    for (field, within, beyond) in BOUNDS {
        for (at, change) in within.iter().enumerate() {
            let mut request = finished("");
            change(&mut request);
            let answer = client.check_evidence(request).await;
            let answer = answer.unwrap_or_else(|status| panic!("{field} {at}: {status:?}"));
            assert_eq!(answer.verdict(), EvidenceVerdict::Rejected);
            assert_holds_none(&format!("{answer:?}"), &[MARK]);
        }
        for (at, change) in beyond.iter().enumerate() {
            let mut request = finished("");
            change(&mut request);
            let status = client.check_evidence(request).await.err();
            let status = status.unwrap_or_else(|| panic!("{field} {at} is accepted"));
            assert_invalid(&status, &[field]);
        }
        fields.push(*field);
    }
    // All at once.
    let status = client
        .check_evidence(CheckEvidenceRequest::default())
        .await
        .unwrap_err();
    assert_invalid(&status, &["host", "run_id"]);
    let mut request = finished("");
    for (_, _, beyond) in BOUNDS {
        beyond[0](&mut request);
    }
    let status = client.check_evidence(request).await.unwrap_err();
    assert_invalid(&status, &fields);
}

#[tokio::test]
async fn evidence_that_says_nothing_is_rejected_for_everything() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    let request = CheckEvidenceRequest {
        host: "spark-1".into(),
        run_id: "run-7".into(),
        ..CheckEvidenceRequest::default()
    };
    let answer = client.check_evidence(request).await.unwrap();
    assert_eq!(answer.verdict(), EvidenceVerdict::Rejected);
    assert_eq!(
        codes(&answer.reasons),
        [
            "permit-invalid",
            "permit-expired-before-start",
            "report-field-missing",
            "observed-model-missing",
            "config-changed-during-run",
            "pipeline-incomplete",
            "baseline-missing",
            "baseline-fixture-mismatch",
            "secret-scan-missing",
        ]
    );
}

/// A canary in every field that holds a text: where the field takes it, and where not.
const PLANTED: &[Change] = &[
    |r| r.host = "sk-canary-0123456789".into(),
    |r| r.host = "sk-canary-0123456789 _".into(),
    |r| r.run_id = "sk-canary-0123456789".into(),
    |r| r.run_id = "sk-canary-0123456789/".into(),
    |r| r.permit = "sk-canary-0123456789".into(),
    |r| r.permit = "sk-canary 0123456789".into(),
    |r| report(r).case_model_provider = "sk-canary-0123456789".into(),
    |r| report(r).case_model = "http://canary:8000/v1".into(),
    |r| report(r).case_model_admission_status = "sk-canary-0123456789".into(),
    |r| report(r).case_model_admission_status = "canary canary".into(),
    |r| seen(r).agent = "sk-canary-0123456789".into(),
    |r| seen(r).agent = "CANARY".into(),
    |r| seen(r).provider = "canary".into(),
    |r| seen(r).model = "sk-canary-0123456789".into(),
    |r| seen(r).model = "sk-canary 0123456789".into(),
    |r| config(r).digest_before = "cafe".repeat(16),
    |r| config(r).digest_after = "sk-canary-0123456789".into(),
    |r| r.fixture_digest = "cafe".repeat(17),
    |r| baseline(r).run_id = "sk-canary-0123456789".into(),
    |r| baseline(r).run_id = "canary canary".into(),
    |r| baseline(r).fixture_digest = "cafe".repeat(16),
];

#[tokio::test]
async fn a_secret_in_evidence_does_not_come_back() {
    let (_policy_dir, daemon, mut client) = daemon().await;
    let permit = client.admit(launch()).await.unwrap().permit;
    let mut answers = String::new();
    for plant in PLANTED {
        let mut request = finished(&permit);
        plant(&mut request);
        match client.check_evidence(with_metadata(request)).await {
            Ok(answer) => {
                assert_eq!(answer.verdict(), EvidenceVerdict::Rejected, "{answer:?}");
                answers += &format!("{answer:?}\n");
            }
            Err(status) => {
                assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
                answers += &format!("{}\n", everything_in(&status));
            }
        }
    }
    assert!(answers.contains("secret-detected") && answers.contains("the request is not valid"));
    assert_holds_none(&answers, &CANARIES);
    assert_holds_none(&daemon.log(), &CANARIES);
}
