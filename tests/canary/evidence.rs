//! Evidence, each with one canary in one place: where the field takes it, and where it does not.

use admit_proto::v1::{
    CheckEvidenceRequest, ConfigEvidence, EvidenceVerdict, ObservedModel, Report,
};

use crate::{Canaries, Client, Haystack, finished::finished, hex, told};

/// Puts a canary into evidence.
type Plant = fn(&mut CheckEvidenceRequest, &str);

fn report(request: &mut CheckEvidenceRequest) -> &mut Report {
    request.report.as_mut().unwrap()
}

fn seen(request: &mut CheckEvidenceRequest) -> &mut ObservedModel {
    let observed = request.observed_models.as_mut().unwrap();
    observed.models.last_mut().unwrap()
}

fn config(request: &mut CheckEvidenceRequest) -> &mut ConfigEvidence {
    request.config.as_mut().unwrap()
}

/// 64 digits that a canary is in.
fn digest(canary: &str) -> String {
    format!("{:0<64}", hex(canary))
}

/// Places that a text of a caller can be in, and how it gets there.
const PLACES: &[(&str, Plant)] = &[
    ("host", |r, c| r.host = c.into()),
    ("host, not allowed", |r, c| r.host = format!("{c} !")),
    ("run_id", |r, c| r.run_id = c.into()),
    ("run_id, not allowed", |r, c| r.run_id = format!("/{c}")),
    ("run_id, a secret", |r, c| r.run_id = format!("sk-{c}{c}")),
    ("permit, in its place", |r, c| r.permit = c.into()),
    ("permit, behind it", |r, c| r.permit.push_str(c)),
    ("permit, in its header", |r, c| {
        r.permit.insert_str(0, &format!("{c}."));
    }),
    ("permit, not allowed", |r, c| r.permit = format!("{c}=")),
    ("permit, too long", |r, c| r.permit = c.repeat(300)),
    ("reported provider", |r, c| {
        report(r).case_model_provider = c.into();
    }),
    ("reported provider, not allowed", |r, c| {
        report(r).case_model_provider = format!("{c} ");
    }),
    ("reported model", |r, c| report(r).case_model = c.into()),
    ("reported model, a URL", |r, c| {
        report(r).case_model = format!("http://user:{c}@{c}.local:8080/?api_key={c}");
    }),
    ("reported status", |r, c| {
        report(r).case_model_admission_status = c.into();
    }),
    ("reported status, not allowed", |r, c| {
        report(r).case_model_admission_status = format!("{c}\n");
    }),
    ("agent", |r, c| seen(r).agent = c.into()),
    ("agent, not allowed", |r, c| {
        seen(r).agent = c.to_uppercase();
    }),
    ("observed provider", |r, c| seen(r).provider = c.into()),
    ("observed provider, not allowed", |r, c| {
        seen(r).provider = format!("{c}\u{e9}");
    }),
    ("observed model", |r, c| seen(r).model = c.into()),
    ("observed model, a secret", |r, c| {
        seen(r).model = format!("ghp_{c}{c}");
    }),
    ("observed model, closed by its looks", |r, c| {
        seen(r).model = format!("hmac:{c}");
    }),
    ("digest_before", |r, c| config(r).digest_before = digest(c)),
    ("digest_after", |r, c| config(r).digest_after = digest(c)),
    ("digest_after, not allowed", |r, c| {
        config(r).digest_after = c.into();
    }),
    ("fixture_digest", |r, c| r.fixture_digest = digest(c)),
    ("fixture_digest, not allowed", |r, c| {
        r.fixture_digest = format!("{c:0<64}");
    }),
    ("baseline's run_id", |r, c| {
        r.baseline.as_mut().unwrap().run_id = c.into();
    }),
    ("baseline's run_id, not allowed", |r, c| {
        r.baseline.as_mut().unwrap().run_id = format!("{c}?");
    }),
    ("baseline's fixture_digest", |r, c| {
        r.baseline.as_mut().unwrap().fixture_digest = digest(c);
    }),
];

/// Hands in evidence for each place, under a permit that is itself a text that nothing may repeat.
pub(crate) async fn hand_in(
    client: &mut Client,
    permit: String,
    canaries: &mut Canaries,
    haystack: &mut Haystack,
) {
    let accepted = client.check_evidence(finished(&permit)).await.unwrap();
    assert_eq!(
        accepted.verdict(),
        EvidenceVerdict::Accepted,
        "{accepted:?}"
    );
    let mut answered = 0;
    for (place, plant) in PLACES {
        let canary = canaries.plant(place);
        let mut request = finished(&permit);
        plant(&mut request, &canary);
        match client.check_evidence(request).await {
            Ok(answer) => {
                assert!(!answer.record_hash.is_empty());
                answered += 1;
            }
            Err(status) => told(haystack, &status),
        }
    }
    assert!(answered > 15 && answered < PLACES.len(), "{answered}");
    for (at, part) in permit.split('.').enumerate() {
        canaries.keep(&format!("part {at} of a permit"), part);
    }
}
