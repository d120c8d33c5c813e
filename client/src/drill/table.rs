//! The launches of a drill, as data: what is changed in a launch in which nothing is amiss, the code
//! that it has to be denied with, and when the policy in force lets that be shown.

use admit_policy::{
    Code,
    pair::{SILENT_MODEL, SILENT_PROVIDER},
};
use admit_proto::v1::{
    AdapterState, AdmitRequest, Branch, EndpointScope, FakeBaseline, Fixture, FixtureKind, Lane,
    LocalProvider, Presence, ScanTarget, SecretScan, ServedModel, VisibleCredentials,
};
use serde_json::{Value, json};

use super::ground::{Ground, STRANGER, request_pair, set_config};

/// A launch that has to be denied.
pub(crate) struct Exercise {
    /// Its name, once in the table.
    pub(crate) name: &'static str,
    /// The codes of which one has to be among the reasons.
    pub(crate) expected: &'static [Code],
    pub(crate) when: When,
    /// What is amiss in it.
    pub(crate) change: fn(&mut AdmitRequest, &Ground),
}

/// When a gate can be shown under the policy in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// A policy has been read.
    Read,
    /// None has been read.
    Unread,
    Stale,
    /// There is no valid decision record.
    NoRecord,
    NotDecided,
    /// A local provider is required.
    Local,
    /// And the admission of the pair is known to be one of a local provider.
    LocalAdmission,
    /// The requested pair has one admission.
    OneAdmission,
    /// The requested pair is not the one that Case falls back to in silence.
    NotSilentPair,
    /// The policy does not admit the pair that Case falls back to in silence.
    SilentPairNotAdmitted,
}

impl When {
    /// Why the gate cannot be shown; `None` when it can.
    pub(crate) fn obstacle(self, ground: &Ground) -> Option<&'static str> {
        let is_local = ground.has_snapshot && ground.branch == Branch::LocalProviderRequired;
        let (can, obstacle) = match self {
            Self::Always => return None,
            Self::Read => (ground.has_snapshot, "no policy has been read yet"),
            Self::Unread => (!ground.has_snapshot, "a policy has been read"),
            Self::Stale => (ground.is_stale, "the policy is not stale"),
            Self::NoRecord => (
                ground.has_snapshot && ground.branch == Branch::Unspecified,
                "there is a valid decision record, or no policy",
            ),
            Self::NotDecided => (
                ground.branch == Branch::NotDecided,
                "the decision record does not say `not_decided`",
            ),
            Self::Local => (
                is_local,
                "the decision record does not say `local_provider_required`",
            ),
            Self::LocalAdmission => (
                is_local && ground.has_local_admission(),
                "no admission of a local provider is known here; name its file",
            ),
            Self::OneAdmission => (
                ground.has_one_admission(),
                "the requested pair has not exactly one admission",
            ),
            Self::NotSilentPair => (
                !ground.is_silent_pair(),
                "the requested pair is the one that Case falls back to",
            ),
            Self::SilentPairNotAdmitted => (
                ground.has_snapshot && !ground.admits_silent_pair(),
                "the policy admits the pair that Case falls back to, or no policy has been read",
            ),
        };
        (!can).then_some(obstacle)
    }

    /// Whether the launch is about a state of the policy that denies every launch. The control is then
    /// denied with its code too, and that is what has to be shown.
    pub(crate) fn is_what_denies(self) -> bool {
        match self {
            Self::Unread | Self::Stale | Self::NoRecord | Self::NotDecided => true,
            Self::Always
            | Self::Read
            | Self::Local
            | Self::LocalAdmission
            | Self::OneAdmission
            | Self::NotSilentPair
            | Self::SilentPairNotAdmitted => false,
        }
    }
}

type Change = fn(&mut AdmitRequest, &Ground);

const fn exercise(
    name: &'static str,
    expected: &'static [Code],
    when: When,
    change: Change,
) -> Exercise {
    Exercise {
        name,
        expected,
        when,
        change,
    }
}

/// Every launch of a drill, in the order of the gates.
#[rustfmt::skip] // one row per line, so that the table reads as one
pub(crate) const EXERCISES: [Exercise; 59] = {
    use When::{Always, Local, LocalAdmission, NoRecord, NotDecided, NotSilentPair, OneAdmission, Read, SilentPairNotAdmitted, Stale, Unread};
    [
        exercise("lane-unspecified", &[Code::LaneUnspecified], Always, |r, _| r.lane = Lane::Unspecified.into()),
        exercise("no-scan", &[Code::SecretScanMissing], Always, |r, _| r.secret_scan = None),
        exercise("scan-without-argv", &[Code::SecretScanMissing], Always, |r, _| uncover(r, ScanTarget::Argv)),
        exercise("scan-without-task-file", &[Code::SecretScanMissing], Always, |r, _| uncover(r, ScanTarget::TaskFile)),
        exercise("scan-without-config", &[Code::SecretScanMissing], Always, |r, _| uncover(r, ScanTarget::GeneratedConfig)),
        exercise("secret-found", &[Code::SecretDetected], Always, |r, _| find(r, ScanTarget::TaskFile)),
        exercise("secret-sent", &[Code::SecretDetected], Always, |r, _| set_config(r, &json!({ "apiKey": ARTIFICIAL_SECRET }))),
        exercise("fixture-unstated", &[Code::FixtureOutOfScope], Always, |r, _| r.fixture = None),
        exercise("fixture-not-copied", &[Code::FixtureOutOfScope], Always, |r, _| set_fixture(r, FixtureKind::ArtificialOriginal)),
        exercise("fixture-real", &[Code::FixtureOutOfScope], Always, |r, _| set_fixture(r, FixtureKind::RealRepository)),
        exercise("target-repository-visible", &[Code::TargetRepositoryExposed], Always, |r, _| r.target_repository = Presence::Present.into()),
        exercise("target-repository-unstated", &[Code::TargetRepositoryExposed], Always, |r, _| r.target_repository = Presence::Unspecified.into()),
        exercise("fake-lane-with-provider", &[Code::FakeLaneNamesProvider], Always, |r, _| fake(r, STRANGER, "")),
        exercise("fake-lane-with-model-alone", &[Code::FakeLaneNamesProvider], Always, |r, _| fake(r, "", STRANGER)),
        exercise("policy-unread", &[Code::PolicyUnavailable], Unread, unchanged),
        exercise("policy-stale", &[Code::PolicyStale], Stale, unchanged),
        exercise("policy-not-the-expected", &[Code::ExpectedPolicyMismatch], Read, |r, _| r.expected_policy_digest = NO_DIGEST.into()),
        exercise("no-valid-record", &[Code::DecisionRecordMissing, Code::DecisionRecordConflict, Code::DecisionRecordInvalid], NoRecord, unchanged),
        exercise("branch-not-decided", &[Code::DecisionNotDecided], NotDecided, unchanged),
        exercise("branch-of-another-pair", &[Code::DecisionStatusMismatch, Code::PairNotSelected, Code::ProviderModelNotAdmitted], SilentPairNotAdmitted, |r, _| request_pair(r, SILENT_PROVIDER, SILENT_MODEL)),
        exercise("stage-1", &[Code::StageNotAdmitted], Always, |r, _| r.stage = 1),
        exercise("provider-missing", &[Code::ProviderMissing], Always, |r, _| r.provider.clear()),
        exercise("model-missing", &[Code::ModelMissing], Always, |r, _| r.model.clear()),
        exercise("admission-file-missing", &[Code::AdmissionFileMissing], Always, |r, _| r.admission_file_digest.clear()),
        exercise("pair-not-admitted", &[Code::ProviderModelNotAdmitted], Read, |r, _| request_pair(r, STRANGER, STRANGER)),
        exercise("admission-file-mismatch", &[Code::AdmissionFileMismatch], OneAdmission, |r, _| r.admission_file_digest = NO_DIGEST.into()),
        exercise("credential-source-mismatch", &[Code::CredentialSourceMismatch], OneAdmission, |r, _| r.credential_source_class = STRANGER.into()),
        exercise("config-missing", &[Code::CaseConfigMissing], Always, |r, _| r.case_config = None),
        exercise("config-malformed", &[Code::CaseConfigInvalid], Always, |r, _| set_text(r, "{\"models\": {},}")),
        exercise("config-key-twice", &[Code::CaseConfigInvalid], Always, |r, _| set_text(r, "{\"models\": {}, \"models\": {}}")),
        exercise("config-entry-malformed", &[Code::CaseConfigInvalid], Always, |r, _| set_config(r, &json!({ "models": { "default": "anthropic" } }))),
        exercise("config-of-another-pair", &[Code::CaseConfigMismatch], Always, |r, g| set_config(r, &json!({ "models": { "default": elsewhere(g) } }))),
        exercise("fallback-models-missing", &[Code::ExternalFallback], NotSilentPair, |r, _| set_config(r, &json!({}))),
        exercise("fallback-models-null", &[Code::ExternalFallback], NotSilentPair, |r, _| set_config(r, &json!({ "models": null }))),
        exercise("fallback-models-array", &[Code::ExternalFallback], NotSilentPair, |r, _| set_config(r, &json!({ "models": [] }))),
        exercise("fallback-default-misspelled", &[Code::ExternalFallback], NotSilentPair, |r, g| set_config(r, &json!({ "models": { "defualt": entry(g) } }))),
        exercise("fallback-default-model-only", &[Code::ExternalFallback], NotSilentPair, |r, _| set_config(r, &json!({ "defaultModel": SILENT_MODEL }))),
        exercise("fallback-role-override", &[Code::ExternalFallback], Always, |r, g| set_config(r, &json!({ "models": { "default": entry(g), "reviewer": elsewhere(g) } }))),
        exercise("model-override", &[Code::CaseModelOverride], Always, |r, _| r.case_model_override = Presence::Present.into()),
        exercise("model-override-unstated", &[Code::CaseModelOverride], Always, |r, _| r.case_model_override = Presence::Unspecified.into()),
        exercise("model-flag", &[Code::CaseModelOverride], Always, |r, _| r.model_flag = Presence::Present.into()),
        exercise("agent-flag", &[Code::CaseAgentMode], Always, |r, _| r.agent_flag = Presence::Present.into()),
        exercise("agent-flag-unstated", &[Code::CaseAgentMode], Always, |r, _| r.agent_flag = Presence::Unspecified.into()),
        exercise("foreign-credential", &[Code::ForeignCredentialVisible], Always, |r, g| show(r, if g.provider() == SILENT_PROVIDER { "OPENAI_API_KEY" } else { "ANTHROPIC_API_KEY" })),
        exercise("unknown-credential", &[Code::ForeignCredentialVisible], Always, |r, _| show(r, "ADMIT_DRILL_TOKEN")),
        exercise("credentials-unstated", &[Code::ForeignCredentialVisible], Always, |r, _| r.visible_credentials = None),
        exercise("base-url-missing", &[Code::LocalBaseUrlMissing], Local, |r, g| local(r, g, |l| l.base_url = Presence::Absent.into())),
        exercise("network-scope-unstated", &[Code::NetworkClassNotAllowed], LocalAdmission, |r, g| local(r, g, |l| l.endpoint_scope = EndpointScope::Unspecified.into())),
        exercise("adapter-missing", &[Code::LocalAdapterConfigMissing], Local, |r, g| local(r, g, |l| l.adapter = AdapterState::Absent.into())),
        exercise("adapter-unstated", &[Code::LocalAdapterConfigMissing], Local, |r, g| local(r, g, |l| l.adapter = AdapterState::Unspecified.into())),
        exercise("adapter-malformed", &[Code::LocalAdapterConfigInvalid], Local, |r, g| local(r, g, |l| l.adapter = AdapterState::Malformed.into())),
        exercise("adapter-without-pair", &[Code::LocalAdapterConfigInvalid], Local, |r, g| local(r, g, |l| l.adapter = AdapterState::PairAbsent.into())),
        exercise("adapter-elsewhere", &[Code::LocalAdapterConfigInvalid], Local, |r, g| local(r, g, |l| l.adapter = AdapterState::OtherEndpoint.into())),
        exercise("adapter-shell-command", &[Code::LocalAdapterConfigInvalid], Local, |r, g| local(r, g, |l| l.adapter = AdapterState::ShellCommand.into())),
        exercise("local-provider-unstated", &[Code::LocalAdapterConfigMissing], Local, |r, g| { local(r, g, |_| ()); r.local_provider = None; }),
        exercise("served-model-mismatch", &[Code::ServedModelMismatch], Local, |r, g| local(r, g, |l| l.served_model = ServedModel::Mismatch.into())),
        exercise("served-model-unstated", &[Code::ServedModelMismatch], Local, |r, g| local(r, g, |l| l.served_model = ServedModel::Unspecified.into())),
        exercise("baseline-missing", &[Code::FakeBaselineMissing], Always, |r, _| r.fake_baseline = None),
        exercise("baseline-of-another-run", &[Code::FakeBaselineMissing], Always, |r, _| r.fake_baseline = Some(FakeBaseline { run_id: format!("{STRANGER}-other") })),
    ]
};

/// A digest that no file has.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What looks like a secret and is none.
const ARTIFICIAL_SECRET: &str = "sk-admit-drill-artificial";

fn unchanged(_: &mut AdmitRequest, _: &Ground) {}

fn uncover(request: &mut AdmitRequest, target: ScanTarget) {
    if let Some(scan) = &mut request.secret_scan {
        scan.covered.retain(|covered| *covered != i32::from(target));
    }
}

fn find(request: &mut AdmitRequest, target: ScanTarget) {
    let scan = request.secret_scan.get_or_insert_with(SecretScan::default);
    scan.findings = vec![target.into()];
}

fn set_fixture(request: &mut AdmitRequest, kind: FixtureKind) {
    request.fixture = Some(Fixture { kind: kind.into() });
}

fn fake(request: &mut AdmitRequest, provider: &str, model: &str) {
    request.lane = Lane::Fake.into();
    provider.clone_into(&mut request.provider);
    model.clone_into(&mut request.model);
}

fn set_text(request: &mut AdmitRequest, config: &'static str) {
    request.case_config = Some(config.as_bytes().into());
}

fn show(request: &mut AdmitRequest, name: &str) {
    request.visible_credentials = Some(VisibleCredentials {
        names: vec![name.to_owned()],
    });
}

/// The requested pair, as an entry of Case's config.
fn entry(ground: &Ground) -> Value {
    let base = ground.base();
    json!({ "provider": base.provider, "model": base.model })
}

/// Another pair, as an entry of Case's config: the silent one, unless that is the requested one.
fn elsewhere(ground: &Ground) -> Value {
    if ground.is_silent_pair() {
        json!({ "provider": STRANGER, "model": STRANGER })
    } else {
        json!({ "provider": SILENT_PROVIDER, "model": SILENT_MODEL })
    }
}

/// Changes what is known of the local provider. The gates are asked of the requested pair if its
/// admission is known to be a local one, and else of a pair that has no admission, for which they hold
/// too.
fn local(request: &mut AdmitRequest, ground: &Ground, change: fn(&mut LocalProvider)) {
    if !ground.has_local_admission() {
        request_pair(request, STRANGER, STRANGER);
    }
    change(
        request
            .local_provider
            .get_or_insert_with(LocalProvider::default),
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_launch_has_a_name_of_its_own_and_a_code() {
        let names: BTreeSet<&str> = EXERCISES.iter().map(|exercise| exercise.name).collect();
        assert_eq!(names.len(), EXERCISES.len());
        for exercise in &EXERCISES {
            assert!(!exercise.expected.is_empty(), "{}", exercise.name);
        }
    }

    #[test]
    fn only_a_launch_that_changes_nothing_is_about_what_denies_the_control() {
        let policy = admit_proto::v1::Policy::default();
        let driller = super::super::Driller {
            host: "spark-1".into(),
            run_id: "admit-drill".into(),
            pair: None,
            admission_file: None,
        };
        let ground = Ground::new(&policy, &driller);
        for exercise in &EXERCISES {
            let mut request = ground.base();
            (exercise.change)(&mut request, &ground);
            if exercise.when.is_what_denies() {
                assert_eq!(request, ground.base(), "{}", exercise.name);
            }
        }
    }

    #[test]
    fn every_gate_that_a_launch_can_meet_is_drilled() {
        // These need documents in a state that only the policy can be in; the pairs that it does not
        // admit are drilled besides.
        let by_pairs_only = [
            Code::AdmissionInvalid,
            Code::AdmissionConflict,
            Code::AdmissionRevoked,
            Code::AdmissionNotYetValid,
            Code::ReviewDue,
            Code::FallbackNotExplicit,
            Code::AuthBridgeUnproven,
            Code::NetworkClassUndefined,
        ];
        for code in Code::ALL {
            let is_drilled = EXERCISES
                .iter()
                .any(|exercise| exercise.expected.contains(&code));
            assert_eq!(
                is_drilled,
                !by_pairs_only.contains(&code),
                "{}",
                code.as_str()
            );
        }
    }
}
