//! Permits: whether one is for just the launch at hand.
//!
//! [`Permission`] is the right to start a command. INVARIANT: it is made in one place, from a permit
//! whose signature, host, run, files and time were verified.

use std::path::PathBuf;

use admit_client::{Allowed, Answer, Client, facts::bounded_file};
use admit_permit::{
    Claims, KeySet, Lane as PermitLane, PERMIT_CHARS_MAX, key_set::KEY_SET_BYTES_MAX,
};
use admit_policy::{Code, Digest};
use admit_proto::v1::{AdmitRequest, Lane};

use super::{
    denial::Denial,
    objection::{is_other_policy, objection},
};

/// The end of line behind a permit in a file, in bytes.
const LINE_END_BYTES_MAX: usize = 2;

/// A permit that was obtained elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct GivenPermit {
    /// The file that holds it.
    pub(crate) file: PathBuf,
    /// A saved JWK Set; none: the server is asked.
    pub(crate) jwks: Option<PathBuf>,
}

impl GivenPermit {
    /// The permit and the keys that it is to be verified with.
    async fn read(&self, client: &mut Client) -> Result<(String, KeySet), Denial> {
        let permit = read_text(
            &self.file,
            PERMIT_CHARS_MAX.saturating_add(LINE_END_BYTES_MAX),
        )
        .ok_or(Denial::PermitUnfit("the file of the permit cannot be read"))?;
        let keys = match &self.jwks {
            Some(path) => read_text(path, KEY_SET_BYTES_MAX)
                .and_then(|text| KeySet::parse(&text).ok())
                .ok_or(Denial::PermitUnfit("the file of the keys has no JWK Set"))?,
            None => keys_of(client).await?,
        };
        Ok((permit.trim_end().to_owned(), keys))
    }
}

/// The right to start one command. The permit itself is good for any number of starts of its launch
/// within its time: nothing on this host remembers that it was used.
#[derive(Debug)]
pub(super) struct Permission {
    claims: Claims,
    permit: String,
}

impl Permission {
    /// The permission that `permit` gives for `request`.
    fn verify(permit: String, keys: &KeySet, request: &AdmitRequest) -> Result<Self, Denial> {
        let claims = keys
            .verify(&permit)
            .map_err(|_| Denial::PermitUnfit("the permit is not signed by a key of the server"))?;
        fits(&claims, request)?;
        let permission = Self { claims, permit };
        permission.holds()?;
        Ok(permission)
    }

    /// The permission of an ALLOW that the server has just given.
    pub(super) async fn of_allow(
        allowed: &Allowed,
        client: &mut Client,
        request: &AdmitRequest,
    ) -> Result<Self, Denial> {
        let permit = allowed
            .permit()
            .ok_or(Denial::PermitUnfit("the answer has no permit"))?;
        let keys = keys_of(client).await?;
        let permission = Self::verify(permit.to_owned(), &keys, request)?;
        if is_permit_of(&permission.claims, allowed) {
            Ok(permission)
        } else {
            Err(Denial::PermitUnfit(
                "the permit is that of another decision than the answer",
            ))
        }
    }

    /// The permission of a permit that was obtained elsewhere, for a launch that this host has
    /// nothing against.
    pub(super) async fn of_file(
        given: &GivenPermit,
        client: &mut Client,
        request: &AdmitRequest,
    ) -> Result<Self, Denial> {
        if let Some(code) = objection(request) {
            return Err(Denial::Objection(code.as_str()));
        }
        let (permit, keys) = given.read(client).await?;
        let permission = Self::verify(permit, &keys, request)?;
        if given.jwks.is_none() {
            judge_now(client, request).await?;
        }
        Ok(permission)
    }

    /// Whether the permit still holds.
    pub(super) fn holds(&self) -> Result<(), Denial> {
        let now = crate::clock::now().map_or(i64::MAX, |now| now.unix().0);
        self.claims.holds_at(now).map_err(Denial::PermitMismatch)
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The permit, as it was given.
    pub(super) fn permit(&self) -> &str {
        &self.permit
    }
}

/// Has the server judge the launch as this host sees it. A permit states neither the scope of the endpoint
/// nor the class of the credential source, and the policy may have changed since.
async fn judge_now(client: &mut Client, request: &AdmitRequest) -> Result<(), Denial> {
    let question = AdmitRequest {
        dry_run: true,
        ..request.clone()
    };
    match client.admit(question).await {
        Ok(Answer::Allowed(_)) => Ok(()),
        Ok(Answer::Denied(denied)) => Err(Denial::Denied(Box::new(denied))),
        Err(error) => Err(Denial::NoAnswer(Box::new(error))),
    }
}

async fn keys_of(client: &mut Client) -> Result<KeySet, Denial> {
    client
        .permit_keys()
        .await
        .map_err(|error| Denial::NoAnswer(Box::new(error)))
}

fn read_text(path: &std::path::Path, bytes_max: usize) -> Option<String> {
    let bytes = bounded_file::read(path, u64::try_from(bytes_max).ok()?)
        .ok()
        .flatten()?;
    String::from_utf8(bytes).ok()
}

/// Whether the permit states just this ALLOW.
fn is_permit_of(claims: &Claims, allowed: &Allowed) -> bool {
    let record = allowed.record();
    claims.decision_id == allowed.decision_id()
        && claims.policy == allowed.policy_digest()
        && claims.stream_id == record.stream_id
        && claims.seq == record.seq
        && claims.record_hash == record.hash
}

/// Whether the permit is for just this launch.
fn fits(claims: &Claims, request: &AdmitRequest) -> Result<(), Denial> {
    let config = request.case_config.as_deref().map(Digest::of);
    let lane = match request.lane() {
        Lane::Real => Some(PermitLane::Real),
        Lane::Fake => Some(PermitLane::Fake),
        Lane::Unspecified => None,
    };
    let rules = [
        (
            claims.host == request.host,
            "the permit is for another host",
        ),
        (
            claims.run_id == request.run_id,
            "the permit is for another run",
        ),
        (Some(claims.lane) == lane, "the permit is for another lane"),
        (
            claims.provider == request.provider && claims.model == request.model,
            "the permit is for another pair",
        ),
        (
            claims.admission_file == Digest::parse(&request.admission_file_digest),
            "the permit is for another admission file",
        ),
        (
            claims.case_config == config,
            "the permit is for another config.json",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(Denial::PermitUnfit(why)),
        None if is_other_policy(claims.policy, request) => {
            Err(Denial::Objection(Code::ExpectedPolicyMismatch.as_str()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use admit_proto::v1::{AdmissionStatus, AdmitResponse, Verdict};

    use super::*;

    const DECISION_ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";

    fn request() -> AdmitRequest {
        AdmitRequest {
            host: "spark-1".into(),
            run_id: "run-1".into(),
            lane: Lane::Real.into(),
            provider: "qwen-local".into(),
            model: "qwen3".into(),
            admission_file_digest: Digest::of(b"admission").to_string(),
            case_config: Some(b"config".to_vec().into()),
            expected_policy_digest: Digest::of(b"policy").to_string(),
            ..AdmitRequest::default()
        }
    }

    fn claims() -> Claims {
        Claims {
            host: "spark-1".into(),
            run_id: "run-1".into(),
            decision_id: DECISION_ID.into(),
            issued_at: 1_780_315_200,
            expires_at: 1_780_315_260,
            lane: PermitLane::Real,
            provider: "qwen-local".into(),
            model: "qwen3".into(),
            admission_file: Some(Digest::of(b"admission")),
            policy: Some(Digest::of(b"policy")),
            case_config: Some(Digest::of(b"config")),
            stream_id: DECISION_ID.into(),
            seq: 7,
            record_hash: Digest::of(b"record"),
        }
    }

    #[test]
    fn a_permit_fits_just_its_launch() {
        type Change = fn(&mut AdmitRequest);
        fits(&claims(), &request()).unwrap();
        let changes: [(Change, &str); 10] = [
            (|r| r.host = "spark-2".into(), "permit-unfit"),
            (|r| r.run_id = "run-2".into(), "permit-unfit"),
            (|r| r.lane = Lane::Fake.into(), "permit-unfit"),
            (|r| r.lane = 0, "permit-unfit"),
            (|r| r.provider = "qwen".into(), "permit-unfit"),
            (|r| r.model = "qwen2".into(), "permit-unfit"),
            (|r| r.admission_file_digest.clear(), "permit-unfit"),
            (|r| r.case_config = None, "permit-unfit"),
            (
                |r| r.case_config = Some(b"other".to_vec().into()),
                "permit-unfit",
            ),
            (
                |r| r.expected_policy_digest = Digest::of(b"other").to_string(),
                "expected-policy-mismatch",
            ),
        ];
        for (at, (change, code)) in changes.into_iter().enumerate() {
            let mut request = request();
            change(&mut request);
            let denial = fits(&claims(), &request).unwrap_err();
            assert_eq!(denial.lines().first().unwrap().code, code, "change {at}");
        }
    }

    /// The ALLOW that the permit of [`claims`] came with.
    fn allowed() -> Allowed {
        let answer = AdmitResponse {
            verdict: Verdict::Allow.into(),
            decision_id: DECISION_ID.into(),
            decide_time: Some(prost_types::Timestamp {
                seconds: 1_780_315_200,
                nanos: 0,
            }),
            policy_digest: Digest::of(b"policy").to_string(),
            case_model_admission_status: AdmissionStatus::Admitted.into(),
            stream_id: DECISION_ID.into(),
            seq: 7,
            record_hash: Digest::of(b"record").to_string(),
            permit: "eyJ0eXAiOiJhIn0.eyJpc3MiOiJhIn0.c2ln_-".into(),
            ..AdmitResponse::default()
        };
        match Answer::verify(&request(), answer).unwrap() {
            Answer::Allowed(allowed) => allowed,
            Answer::Denied(denied) => panic!("{denied:?}"),
        }
    }

    #[test]
    fn the_permit_of_an_allow_is_that_of_its_decision() {
        const OTHER_ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ac";
        assert!(is_permit_of(&claims(), &allowed()));
        let changes: [fn(&mut Claims); 6] = [
            |c| c.decision_id = OTHER_ID.into(),
            |c| c.policy = None,
            |c| c.policy = Some(Digest::of(b"other")),
            |c| c.stream_id = OTHER_ID.into(),
            |c| c.seq = 8,
            |c| c.record_hash = Digest::of(b"other"),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut claims = claims();
            change(&mut claims);
            assert!(!is_permit_of(&claims, &allowed()), "change {at}");
        }
    }
}
