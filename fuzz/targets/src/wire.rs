//! Requests, from their bytes on the wire to the record, the span and the answer.
//!
//! The daemon's own steps, without the network and the disk. Deliberately absent: what a verdict has to
//! be; that is the case files' matter.

use std::{cell::RefCell, time::Duration};

use admit_permit::{KeySet, SigningKey};
use admit_policy::{
    Digest, Pair, Snapshot, Standing, Timestamp,
    bounds::{Bound, STAGE_MAX},
    decide,
    document::admission::Admission,
    evidence::{OBSERVED_MAX, Permit, PermitFacts},
    facts::{self, CREDENTIAL_NAMES_MAX},
    judge,
};
use admit_proto::v1;
use admit_server::{
    audit::{
        basis::Basis,
        chain::LINE_BYTES_MAX,
        closed::{
            self,
            evidence::{Judged, evidence},
        },
        log::Receipt,
        names::Names,
        record::{self, Entry},
        replay::{Answer, Judgment, Replayer},
    },
    export::span,
    permit::claims::claims,
    wire::{
        answer::{self, Decided},
        evidence as wire_evidence,
        request::{self, Violation},
        trace,
    },
};
use prost::Message;
use serde_json::json;
use tempfile::TempDir;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::{
    example::{self, ID, SNAPSHOT, STREAM_ID, TERMS},
    held::{check_shown, check_without_canary},
};

/// Largest span of one entry, in bytes: a record's line, and the names of its attributes.
const SPAN_BYTES_MAX: usize = LINE_BYTES_MAX;
/// How long a permit holds.
const LIFETIME: Duration = Duration::from_secs(60);

/// What holds for one process: a folder with the basis, and a key of permits.
struct Ground {
    basis: Basis,
    names: Names,
    replayer: Replayer,
    key: SigningKey,
    _folder: TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of(Some(&SNAPSHOT), example::names_key());
        let basis = Basis::of(&SNAPSHOT, &TERMS, &names);
        basis.keep(folder.path()).unwrap();
        Self {
            basis,
            names,
            replayer: Replayer::new(folder.path(), Some(example::names_key())),
            key: SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap(),
            _folder: folder,
        }
    }
}

thread_local! {
    static GROUND: RefCell<Ground> = RefCell::new(Ground::new());
}

/// `AdmitRequest`: decided, recorded, derived again with the same codes, projected into a span, answered,
/// and the answer verified by the client.
pub fn admit_request(data: &[u8]) {
    let Ok(asked) = v1::AdmitRequest::decode(data) else {
        return;
    };
    assert_eq!(
        v1::AdmitRequest::decode(&*asked.encode_to_vec()).as_ref(),
        Ok(&asked)
    );
    let launch = match request::launch(asked.clone()) {
        Ok(launch) => launch,
        Err(violations) => return check_violations(&violations),
    };
    check_launch(&launch);
    let case_config = launch.case_config.as_deref().map(Digest::of);
    let facts = launch.observe();
    GROUND.with_borrow_mut(|ground| decided(ground, &asked, &facts, case_config));
}

fn check_violations(violations: &[Violation]) {
    assert!(!violations.is_empty());
    for Violation { field, description } in violations {
        check_shown(description);
        check_without_canary(format!("{field} {description}").as_bytes());
    }
}

fn check_launch(launch: &admit_policy::Launch) {
    assert!(launch.stage <= STAGE_MAX);
    for (bound, text) in [
        (Bound::Host, &launch.host),
        (Bound::RunId, &launch.run_id),
        (Bound::Provider, &launch.provider),
        (Bound::Model, &launch.model),
        (
            Bound::CredentialSourceClass,
            &launch.credential_source_class,
        ),
    ] {
        assert!(bound.holds(text), "{text:?} is not {bound:?}");
    }
    let names = launch.visible_credentials.as_deref().unwrap_or_default();
    assert!(names.len() <= CREDENTIAL_NAMES_MAX);
}

fn decided(
    ground: &mut Ground,
    asked: &v1::AdmitRequest,
    facts: &facts::Facts,
    case_config: Option<Digest>,
) {
    let standing = Standing {
        snapshot: Some(&SNAPSHOT),
        unverified_for: Duration::ZERO,
        terms: &TERMS,
    };
    let decision = decide(&standing, facts, example::now());
    assert_eq!(decision, decide(&standing, facts, example::now()));
    let record = closed::decision(
        closed::Decided {
            id: ID,
            at: example::now(),
            elapsed: Duration::from_micros(5),
            dry_run: asked.dry_run,
            facts,
            decision: &decision,
            policy: Some((SNAPSHOT.digest(), ground.basis.digest)),
            unverified_for: Duration::ZERO,
            caller: Some("hermes"),
            trace: None,
        },
        &ground.names,
    );
    let derived = ground.replayer.derive(&record).unwrap();
    assert_eq!(derived, Answer::recorded(&record));
    let hash = check_entry(&Entry::Decision(Box::new(record)));
    let answered = Decided {
        decision_id: ID,
        at: example::now(),
        policy: Some(SNAPSHOT.digest()),
        dry_run: asked.dry_run,
        decision,
        stream_id: STREAM_ID.to_owned(),
        recorded: Receipt { seq: 1, hash },
    };
    let is_allowed = answered.is_allowed();
    let permit = answered.has_permit().then(|| {
        let claims = claims(&answered, facts, case_config, LIFETIME).unwrap();
        let permit = ground.key.sign(&claims).unwrap();
        let keys = KeySet::new(vec![ground.key.public().clone()]).unwrap();
        assert_eq!(keys.verify(&permit), Ok(claims));
        permit
    });
    match admit_client::Answer::verify(asked, answer::response(answered, permit)).unwrap() {
        admit_client::Answer::Allowed(_) => assert!(is_allowed),
        admit_client::Answer::Denied(denied) => {
            assert!(!is_allowed);
            assert!(!denied.reasons().is_empty());
        }
    }
}

/// The line of an entry is read again as it was, has no text of the caller, and neither has its span.
/// Returns the hash of the line.
fn check_entry(entry: &Entry) -> String {
    let line = example::line(entry);
    assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
    check_without_canary(&line);
    let (links, read) = Entry::read(&line).unwrap();
    assert_eq!(read, *entry);
    let span = span::span(STREAM_ID, &links, &read).unwrap();
    let encoded = span.encode_to_vec();
    assert!(encoded.len() <= SPAN_BYTES_MAX, "{} bytes", encoded.len());
    check_without_canary(&encoded);
    links.hash
}

/// `CheckEvidenceRequest`: judged without a permit and with one that is for this run, recorded, derived
/// again with the same codes, projected into a span, answered, and the answer verified by the client.
pub fn evidence_request(data: &[u8]) {
    let Ok(asked) = v1::CheckEvidenceRequest::decode(data) else {
        return;
    };
    let run = match wire_evidence::handed(asked.clone()) {
        Ok(handed) => handed.run,
        Err(violations) => return check_violations(&violations),
    };
    assert!(run.observed.len() <= OBSERVED_MAX);
    let permit = Permit::Valid(PermitFacts {
        host: run.host.clone(),
        run_id: run.run_id.clone(),
        lane: facts::Lane::Real,
        pair: Pair {
            provider: run.report.provider.clone(),
            model: run.report.model.clone(),
        },
        case_config: Some(Digest::of(b"config")),
        issued: Timestamp::parse("2026-06-01T12:00:00Z").unwrap(),
        expires: Timestamp::parse("2026-06-01T12:01:00Z").unwrap(),
    });
    for permit in [Permit::Invalid, permit] {
        let is_valid = permit != Permit::Invalid;
        let evidence = run.clone().under(permit);
        let verdict = judge(&evidence);
        let names = GROUND.with_borrow(|ground| ground.names.clone());
        let record = self::evidence(
            Judged {
                id: ID,
                at: example::now(),
                elapsed: Duration::from_micros(5),
                decision_id: is_valid.then_some(ID),
                evidence: &evidence,
                verdict: &verdict,
                caller: Some("hermes"),
                trace: None,
            },
            &names,
        );
        assert_eq!(
            Judgment::derive(&record).unwrap(),
            Judgment::recorded(&record)
        );
        let is_accepted = record.reasons.is_empty();
        assert!(!is_accepted || (is_valid && !evidence.has_secret));
        let hash = check_entry(&Entry::Evidence(Box::new(record)));
        let response = wire_evidence::response(wire_evidence::Judged {
            evidence_id: ID,
            at: example::now(),
            decision_id: is_valid.then_some(ID),
            verdict,
            stream_id: STREAM_ID.to_owned(),
            recorded: Receipt { seq: 1, hash },
        });
        match admit_client::Judgment::verify(&asked, response).unwrap() {
            admit_client::Judgment::Accepted(_) => assert!(is_accepted),
            admit_client::Judgment::Rejected(_) => assert!(!is_accepted),
        }
    }
}

/// `WatchPolicyRequest`: a whole pair in the real lane, or none at all.
pub fn watch_request(data: &[u8]) {
    let Ok(request) = v1::WatchPolicyRequest::decode(data) else {
        return;
    };
    let is_real = request.lane == i32::from(v1::Lane::Real);
    match request::followed_pair(request.clone()) {
        Err(violations) => check_violations(&violations),
        Ok(None) => assert!(request.provider.is_empty() && request.model.is_empty()),
        Ok(Some(pair)) => {
            assert!(is_real && !pair.provider.is_empty() && !pair.model.is_empty());
            assert!(Bound::Provider.holds(&pair.provider) && Bound::Model.holds(&pair.model));
        }
    }
}

/// The `traceparent` of a call: the ids are as they were sent, or there are none.
pub fn traceparent(data: &[u8]) {
    let mut metadata = MetadataMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = MetadataValue::try_from(line) {
            metadata.append("traceparent", value);
        }
    }
    let Some(record::Trace { id, parent, flags }) = trace::trace(&metadata) else {
        return;
    };
    for (text, digits) in [(&id, 32), (&parent, 16), (&flags, 2)] {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(text.len() == digits && text.bytes().all(is_hex), "{text}");
    }
    assert!(
        [&id, &parent]
            .iter()
            .all(|id| id.bytes().any(|b| b != b'0'))
    );
    let sent = metadata.get("traceparent").unwrap().to_str().unwrap();
    assert!(sent[2..].starts_with(&format!("-{id}-{parent}-{flags}")));
    assert_eq!(metadata.len(), 1);
}

/// A launch in order with this pair, as far as its admission goes.
pub(crate) fn launch_of(pair: &Pair, admission: Option<&Admission>) -> v1::AdmitRequest {
    let config =
        json!({ "models": { "default": { "provider": pair.provider, "model": pair.model } } });
    v1::AdmitRequest {
        host: "spark-1".to_owned(),
        run_id: "run-7".to_owned(),
        lane: v1::Lane::Real.into(),
        stage: 2,
        provider: pair.provider.clone(),
        model: pair.model.clone(),
        admission_file_digest: admission
            .map(|admission| admission.digest.to_string())
            .unwrap_or_default(),
        credential_source_class: admission
            .map(|admission| admission.credential_source_class.value.clone())
            .filter(|class| Bound::CredentialSourceClass.holds(class))
            .unwrap_or_default(),
        case_config: Some(config.to_string().into_bytes().into()),
        case_model_override: v1::Presence::Absent.into(),
        model_flag: v1::Presence::Absent.into(),
        agent_flag: v1::Presence::Absent.into(),
        visible_credentials: Some(v1::VisibleCredentials::default()),
        target_repository: v1::Presence::Absent.into(),
        secret_scan: Some(v1::SecretScan {
            covered: [
                v1::ScanTarget::Argv,
                v1::ScanTarget::TaskFile,
                v1::ScanTarget::GeneratedConfig,
            ]
            .map(Into::into)
            .into(),
            findings: Vec::new(),
        }),
        fixture: Some(v1::Fixture {
            kind: v1::FixtureKind::CopiedArtificial.into(),
        }),
        fake_baseline: Some(v1::FakeBaseline {
            run_id: "run-7".to_owned(),
        }),
        local_provider: Some(v1::LocalProvider {
            base_url: v1::Presence::Present.into(),
            endpoint_scope: v1::EndpointScope::Tailnet.into(),
            adapter: v1::AdapterState::Valid.into(),
            served_model: v1::ServedModel::Match.into(),
        }),
        ..v1::AdmitRequest::default()
    }
}

/// A launch of the example that is allowed: what seeds are made of.
#[must_use]
pub fn allowed_launch() -> v1::AdmitRequest {
    let snapshot: &Snapshot = &SNAPSHOT;
    let named = snapshot.decided_record().unwrap().primary.as_ref().unwrap();
    let pair = &named.pair;
    launch_of(pair, snapshot.admission(&pair.provider, &pair.model))
}
