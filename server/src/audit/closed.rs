//! Domain values ⇄ records: the one place where a decision is closed for the log, and opened again
//! for replay.
//!
//! What the way back cannot restore is a name that no policy at hand has; it then equals no name,
//! and decides as it did. Deliberately absent: links and hashes ([`super::chain`]).

pub mod evidence;

use std::{collections::BTreeMap, time::Duration};

use admit_policy::{
    self as policy, Digest, Timestamp,
    case_config::{self, Entry, ROLES},
    facts::{is_bedrock_credential, is_known_credential},
};

use super::{
    names::{self, Names},
    record,
    words::same_words,
};
use crate::caller;

/// What stands for credential variables of `amazon-bedrock`, and for those that nobody knows.
const BEDROCK_CREDENTIALS: &str = "AWS_*";
const OTHER_CREDENTIALS: &str = "*";

/// A decision with everything that it came from.
#[derive(Debug)]
pub struct Decided<'a> {
    /// The identity of the decision.
    pub id: uuid::Uuid,
    /// The time that it was decided by.
    pub at: Timestamp,
    /// From the arrival of the request until now.
    pub elapsed: Duration,
    /// Whether nothing will be started on it.
    pub dry_run: bool,
    /// The facts.
    pub facts: &'a policy::Facts,
    /// The decision.
    pub decision: &'a policy::Decision,
    /// The digests of the policy and of its basis.
    pub policy: Option<(Digest, Digest)>,
    /// How long the policy had not been verified.
    pub unverified_for: Duration,
    /// The operator's name for who asked.
    pub caller: Option<&'a str>,
    /// The caller's trace.
    pub trace: Option<record::Trace>,
}

same_words! {
    policy::facts::Lane => record::Lane { Unspecified, Fake, Real, }
    policy::facts::Presence => record::Presence { Unstated, Absent, Present, }
    policy::facts::ScanTarget => record::ScanTarget { Unstated, Argv, TaskFile, GeneratedConfig, }
    policy::facts::FixtureKind => record::Fixture {
        Unstated, CopiedArtificial, ArtificialOriginal, RealRepository,
    }
    policy::facts::EndpointScope => record::EndpointScope { Loopback, Private, Tailnet, Public, }
    policy::facts::AdapterState => record::Adapter {
        Absent, Valid, Malformed, PairAbsent, OtherEndpoint, ShellCommand,
    }
    policy::facts::ServedModel => record::ServedModel { Unstated, NotProbed, Match, Mismatch, }
    case_config::ConfigFault => record::ConfigFault { TooLarge, NotUtf8, NotJson, DuplicateKey, NotAnObject, }
    policy::decide::AdmissionStatus => record::AdmissionStatus { Admitted, NotAdmitted, NotRequired, }
    caller::Via => record::Via { Plaintext, Unix, Tls, }
    caller::Rpc => record::Rpc { Admit, CheckEvidence, GetPolicy, WatchPolicy, GetPermitKeys, }
    caller::RefusalCause => record::RefusalCause {
        UnknownCaller, AmbiguousCaller, CertificateUnusable, RpcNotGranted, LaneNotGranted, HostNotGranted,
    }
}

/// The record of a decision.
#[must_use]
pub fn decision(decided: Decided<'_>, names: &Names) -> record::Decision {
    let (verdict, reasons) = outcome(&decided.decision.verdict);
    record::Decision {
        id: decided.id.hyphenated().to_string(),
        time: decided.at.to_string(),
        elapsed_us: u64::try_from(decided.elapsed.as_micros()).unwrap_or(u64::MAX),
        dry_run: decided.dry_run,
        verdict,
        reasons,
        admission_status: decided.decision.admission_status.into(),
        policy: decided.policy.map(|(policy, _)| policy.to_string()),
        basis: decided.policy.map(|(_, basis)| basis.to_string()),
        unverified_ns: decided
            .policy
            .map(|_| u64::try_from(decided.unverified_for.as_nanos()).unwrap_or(u64::MAX)),
        caller: decided.caller.map(ToOwned::to_owned),
        trace: decided.trace,
        facts: facts(decided.facts, names),
    }
}

/// A verdict and the codes of its reasons, as they stand in a record.
#[must_use]
pub fn outcome(verdict: &policy::Verdict) -> (record::Verdict, Vec<String>) {
    match verdict {
        policy::Verdict::Allow => (record::Verdict::Allow, Vec::new()),
        policy::Verdict::Deny(reasons) => {
            let codes = reasons.iter().map(|reason| reason.code.as_str().to_owned());
            (record::Verdict::Deny, codes.collect())
        }
    }
}

fn facts(facts: &policy::Facts, names: &Names) -> record::Facts {
    let credential = |name: &String| {
        if is_known_credential(name) {
            name.clone()
        } else if is_bedrock_credential(name) {
            BEDROCK_CREDENTIALS.to_owned()
        } else {
            OTHER_CREDENTIALS.to_owned()
        }
    };
    let targets = |targets: &[policy::facts::ScanTarget]| {
        targets.iter().map(|target| (*target).into()).collect()
    };
    let local = facts.local_provider;
    record::Facts {
        host: names.close_host(&facts.host),
        run: names.close_run(&facts.run_id),
        lane: facts.lane.into(),
        stage: facts.stage,
        expected_policy: facts
            .expected_policy
            .map(|digest| names.close_digest(digest)),
        provider: names.close(&facts.provider),
        model: names.close(&facts.model),
        admission_file: facts
            .admission_file
            .map(|digest| names.close_digest(digest)),
        credential_source_class: names.close_class(&facts.credential_source_class),
        case_config: facts
            .case_config
            .as_ref()
            .map(|config| case_config_record(config, names)),
        case_model_override: facts.case_model_override.into(),
        model_flag: facts.model_flag.into(),
        agent_flag: facts.agent_flag.into(),
        visible_credentials: facts
            .visible_credentials
            .as_ref()
            .map(|seen| seen.iter().map(credential).collect()),
        target_repository: facts.target_repository.into(),
        secret_scan: facts.secret_scan.as_ref().map(|scan| record::SecretScan {
            covered: targets(&scan.covered),
            findings: targets(&scan.findings),
        }),
        has_secret: facts.has_secret,
        fixture: facts.fixture.into(),
        fake_baseline: match &facts.fake_baseline_run {
            None => record::Baseline::Absent,
            Some(run) if *run == facts.run_id => record::Baseline::SameRun,
            Some(_) => record::Baseline::OtherRun,
        },
        local_provider: record::LocalProvider {
            base_url: local.base_url.into(),
            endpoint_scope: local.endpoint_scope.map(Into::into),
            adapter: local.adapter.into(),
            served_model: local.served_model.into(),
        },
    }
}

fn case_config_record(
    config: &Result<case_config::CaseConfig, case_config::ConfigFault>,
    names: &Names,
) -> record::CaseConfig {
    let config = match config {
        Ok(config) => config,
        Err(fault) => return record::CaseConfig::Fault((*fault).into()),
    };
    let entry = |entry: &Entry| match entry {
        Entry::Absent => None,
        Entry::Falsy => Some(record::ModelEntry::Falsy),
        Entry::Malformed => Some(record::ModelEntry::Malformed),
        Entry::Pair(pair) => Some(record::ModelEntry::Pair(
            names.close(&pair.provider),
            names.close(&pair.model),
        )),
    };
    let entries =
        std::iter::once(("default", &config.default)).chain(ROLES.into_iter().zip(&config.roles));
    record::CaseConfig::Models(
        entries
            .filter_map(|(name, found)| Some((name.to_owned(), entry(found)?)))
            .collect(),
    )
}

/// The facts of a record, with its names opened as far as `by_hmac` knows them.
#[must_use]
pub fn open_facts(record: &record::Facts, by_hmac: &BTreeMap<String, String>) -> policy::Facts {
    let open = |name: &str| names::open(name, by_hmac);
    let open_digest = |digest: &str| names::open_digest(digest, by_hmac);
    let targets =
        |targets: &[record::ScanTarget]| targets.iter().map(|target| (*target).into()).collect();
    policy::Facts {
        host: record.host.clone(),
        run_id: record.run.clone(),
        lane: record.lane.into(),
        stage: record.stage,
        expected_policy: record.expected_policy.as_deref().map(open_digest),
        provider: open(&record.provider),
        model: open(&record.model),
        admission_file: record.admission_file.as_deref().map(open_digest),
        credential_source_class: record.credential_source_class.clone(),
        case_config: record
            .case_config
            .as_ref()
            .map(|config| open_case_config(config, by_hmac)),
        case_model_override: record.case_model_override.into(),
        model_flag: record.model_flag.into(),
        agent_flag: record.agent_flag.into(),
        visible_credentials: record.visible_credentials.clone(),
        target_repository: record.target_repository.into(),
        secret_scan: record
            .secret_scan
            .as_ref()
            .map(|scan| policy::facts::SecretScan {
                covered: targets(&scan.covered),
                findings: targets(&scan.findings),
            }),
        has_secret: record.has_secret,
        fixture: record.fixture.into(),
        fake_baseline_run: match record.fake_baseline {
            record::Baseline::Absent => None,
            record::Baseline::OtherRun => Some(String::new()),
            record::Baseline::SameRun => Some(record.run.clone()),
        },
        local_provider: policy::facts::LocalProvider {
            base_url: record.local_provider.base_url.into(),
            endpoint_scope: record.local_provider.endpoint_scope.map(Into::into),
            adapter: record.local_provider.adapter.into(),
            served_model: record.local_provider.served_model.into(),
        },
    }
}

fn open_case_config(
    record: &record::CaseConfig,
    by_hmac: &BTreeMap<String, String>,
) -> Result<case_config::CaseConfig, case_config::ConfigFault> {
    let entries = match record {
        record::CaseConfig::Fault(fault) => return Err((*fault).into()),
        record::CaseConfig::Models(entries) => entries,
    };
    let entry = |name: &str| match entries.get(name) {
        None => Entry::Absent,
        Some(record::ModelEntry::Falsy) => Entry::Falsy,
        Some(record::ModelEntry::Malformed) => Entry::Malformed,
        Some(record::ModelEntry::Pair(provider, model)) => Entry::Pair(policy::Pair {
            provider: names::open(provider, by_hmac),
            model: names::open(model, by_hmac),
        }),
    };
    Ok(case_config::CaseConfig {
        default: entry("default"),
        roles: ROLES.map(entry),
    })
}
