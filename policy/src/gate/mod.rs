//! The gates: one table, one row per rule, every row run.
//!
//! A row is a code, the lanes that it applies to, and a check that objects or does not. There is no
//! order of precedence and no early exit: every applicable row is asked, and ALLOW is what remains
//! when none objects. A new rule is one code, one row, one function, one case in `tests/cases/`.

mod case;
mod code;
mod every_lane;
mod local;
mod policy;

use alloc::{borrow::Cow, vec::Vec};
pub use code::Code;

use crate::{
    document::{admission::Admission, decision_record::DecisionRecord},
    facts::{Facts, Lane},
    finding::Place,
    snapshot::Admitted,
    standing::Standing,
    timestamp::Timestamp,
};

/// Most places that one reason names.
pub const PLACES_MAX: usize = 8;

/// Why one gate objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The gate.
    pub code: Code,
    /// What is wrong. It repeats nothing that the caller sent.
    pub message: Cow<'static, str>,
    /// The places in the policy directory that the objection comes from, at most [`PLACES_MAX`].
    pub places: Vec<Place>,
}

/// What a check says when it objects.
struct Objection {
    message: Cow<'static, str>,
    places: Vec<Place>,
}

impl Objection {
    /// An objection to something in the request.
    fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            places: Vec::new(),
        }
    }

    /// An objection that comes from `places` in the policy directory.
    fn from(
        message: impl Into<Cow<'static, str>>,
        places: impl IntoIterator<Item = Place>,
    ) -> Self {
        Self {
            message: message.into(),
            places: places.into_iter().take(PLACES_MAX).collect(),
        }
    }
}

/// What the policy says about one pair at one moment.
pub(crate) struct PairView<'a> {
    standing: &'a Standing<'a>,
    provider: &'a str,
    model: &'a str,
    now: Timestamp,
    /// The valid admission files of the pair, looked up once for all gates.
    admitted: Option<&'a Admitted>,
}

impl<'a> PairView<'a> {
    pub(crate) fn of(
        standing: &'a Standing<'a>,
        provider: &'a str,
        model: &'a str,
        now: Timestamp,
    ) -> Self {
        let snapshot = standing.snapshot;
        Self {
            standing,
            provider,
            model,
            now,
            admitted: snapshot.and_then(|snapshot| snapshot.admitted(provider, model)),
        }
    }

    /// The decision record, if it is valid and something is decided.
    fn decided(&self) -> Option<&'a DecisionRecord> {
        self.standing.snapshot?.decided_record()
    }

    /// The one valid admission of the pair.
    fn admission(&self) -> Option<&'a Admission> {
        match self.admitted? {
            Admitted::One(admission) => Some(admission),
            Admitted::Conflict(_) => None,
        }
    }
}

/// One launch before the policy.
pub(crate) struct LaunchView<'a> {
    pub(crate) pair: PairView<'a>,
    pub(crate) facts: &'a Facts,
}

/// The lanes that a gate applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lanes {
    /// No lane is known: nothing else is asked.
    Unspecified,
    Every,
    Fake,
    Real,
}

impl Lanes {
    fn include(self, lane: Lane) -> bool {
        match (self, lane) {
            (Self::Unspecified, Lane::Unspecified)
            | (Self::Every, Lane::Fake | Lane::Real)
            | (Self::Fake, Lane::Fake)
            | (Self::Real, Lane::Real) => true,
            (Self::Unspecified, Lane::Fake | Lane::Real)
            | (Self::Every, Lane::Unspecified)
            | (Self::Fake, Lane::Unspecified | Lane::Real)
            | (Self::Real, Lane::Unspecified | Lane::Fake) => false,
        }
    }
}

#[derive(Clone, Copy)]
enum Check {
    /// Needs the policy and the pair only, and so holds for every launch of the pair.
    Pair(fn(&PairView<'_>) -> Option<Objection>),
    /// Needs the facts of the launch.
    Launch(fn(&LaunchView<'_>) -> Option<Objection>),
}

struct Gate {
    code: Code,
    lanes: Lanes,
    check: Check,
}

impl Gate {
    const fn pair(code: Code, check: fn(&PairView<'_>) -> Option<Objection>) -> Self {
        Self {
            code,
            lanes: Lanes::Real,
            check: Check::Pair(check),
        }
    }

    const fn launch(
        code: Code,
        lanes: Lanes,
        check: fn(&LaunchView<'_>) -> Option<Objection>,
    ) -> Self {
        Self {
            code,
            lanes,
            check: Check::Launch(check),
        }
    }
}

/// Every gate, in the order in which reasons are given.
#[rustfmt::skip] // one row per line, so that the table reads as one
const GATES: [Gate; Code::ALL.len()] = {
    use Lanes::{Every, Fake, Real, Unspecified};
    [
        Gate::launch(Code::LaneUnspecified, Unspecified, every_lane::lane_unspecified),
        Gate::launch(Code::SecretScanMissing, Every, every_lane::secret_scan_missing),
        Gate::launch(Code::SecretDetected, Every, every_lane::secret_detected),
        Gate::launch(Code::FixtureOutOfScope, Every, every_lane::fixture_out_of_scope),
        Gate::launch(Code::TargetRepositoryExposed, Every, every_lane::target_repository_exposed),
        Gate::launch(Code::FakeLaneNamesProvider, Fake, every_lane::fake_lane_names_provider),
        Gate::pair(Code::PolicyUnavailable, policy::unavailable),
        Gate::pair(Code::PolicyStale, policy::stale),
        Gate::launch(Code::ExpectedPolicyMismatch, Real, policy::expected_mismatch),
        Gate::pair(Code::DecisionRecordMissing, policy::record_missing),
        Gate::pair(Code::DecisionRecordConflict, policy::record_conflict),
        Gate::pair(Code::DecisionRecordInvalid, policy::record_invalid),
        Gate::pair(Code::DecisionNotDecided, policy::not_decided),
        Gate::launch(Code::StageNotAdmitted, Real, case::stage_not_admitted),
        Gate::launch(Code::ProviderMissing, Real, case::provider_missing),
        Gate::launch(Code::ModelMissing, Real, case::model_missing),
        Gate::launch(Code::AdmissionFileMissing, Real, policy::admission_file_missing),
        Gate::launch(Code::AdmissionInvalid, Real, policy::admission_invalid),
        Gate::pair(Code::AdmissionConflict, policy::admission_conflict),
        Gate::pair(Code::ProviderModelNotAdmitted, policy::not_admitted),
        Gate::launch(Code::AdmissionFileMismatch, Real, policy::admission_file_mismatch),
        Gate::pair(Code::AdmissionRevoked, policy::admission_revoked),
        Gate::pair(Code::AdmissionNotYetValid, policy::admission_not_yet_valid),
        Gate::pair(Code::ReviewDue, policy::review_due),
        Gate::pair(Code::DecisionStatusMismatch, policy::decision_status_mismatch),
        Gate::pair(Code::PairNotSelected, policy::pair_not_selected),
        Gate::pair(Code::FallbackNotExplicit, policy::fallback_not_explicit),
        Gate::pair(Code::AuthBridgeUnproven, policy::auth_bridge_unproven),
        Gate::launch(Code::CredentialSourceMismatch, Real, policy::credential_source_mismatch),
        Gate::launch(Code::CaseConfigMissing, Real, case::config_missing),
        Gate::launch(Code::CaseConfigInvalid, Real, case::config_invalid),
        Gate::launch(Code::CaseConfigMismatch, Real, case::config_mismatch),
        Gate::launch(Code::ExternalFallback, Real, case::external_fallback),
        Gate::launch(Code::CaseModelOverride, Real, case::model_override),
        Gate::launch(Code::CaseAgentMode, Real, case::agent_mode),
        Gate::launch(Code::ForeignCredentialVisible, Real, case::foreign_credential),
        Gate::launch(Code::LocalBaseUrlMissing, Real, local::base_url_missing),
        Gate::pair(Code::NetworkClassUndefined, local::network_class_undefined),
        Gate::launch(Code::NetworkClassNotAllowed, Real, local::network_class_not_allowed),
        Gate::launch(Code::LocalAdapterConfigMissing, Real, local::adapter_missing),
        Gate::launch(Code::LocalAdapterConfigInvalid, Real, local::adapter_invalid),
        Gate::launch(Code::ServedModelMismatch, Real, local::served_model_mismatch),
        Gate::launch(Code::FakeBaselineMissing, Real, case::fake_baseline_missing),
    ]
};

impl Objection {
    fn into_reason(self, code: Code) -> Reason {
        Reason {
            code,
            message: self.message,
            places: self.places,
        }
    }
}

/// Every reason against a launch.
pub(crate) fn launch_reasons(launch: &LaunchView<'_>) -> Vec<Reason> {
    GATES
        .iter()
        .filter(|gate| gate.lanes.include(launch.facts.lane))
        .filter_map(|gate| {
            let objection = match gate.check {
                Check::Pair(check) => check(&launch.pair),
                Check::Launch(check) => check(launch),
            };
            objection.map(|objection| objection.into_reason(gate.code))
        })
        .collect()
}

/// Every reason that the policy itself has against a pair in the real lane.
pub(crate) fn pair_reasons(pair: &PairView<'_>) -> Vec<Reason> {
    GATES
        .iter()
        .filter_map(|gate| {
            let objection = match gate.check {
                Check::Pair(check) => check(pair),
                Check::Launch(_) => None,
            };
            objection.map(|objection| objection.into_reason(gate.code))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_once_and_in_order() {
        let codes: Vec<Code> = GATES.iter().map(|gate| gate.code).collect();
        assert_eq!(codes, Code::ALL);
    }

    #[test]
    fn what_needs_only_the_pair_applies_to_the_real_lane_only() {
        for gate in &GATES {
            if matches!(gate.check, Check::Pair(_)) {
                assert_eq!(gate.lanes, Lanes::Real, "{}", gate.code.as_str());
            }
        }
    }
}
