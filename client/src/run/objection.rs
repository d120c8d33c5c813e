//! What this host sees against a launch that was allowed elsewhere: the gates that need no policy.
//!
//! A permit binds the host, the run, the pair and the files whose digests it states. Everything else
//! that a gate judges may have been stated otherwise by whoever obtained it, and is judged here again.
//! Deliberately absent: whether the policy allows the scope of the endpoint and the class of the
//! credential source, which only a server can say.

use admit_policy::{
    Code, Digest,
    facts::{is_credential_of, known_providers},
};
use admit_proto::v1::{
    AdapterState, AdmitRequest, EndpointScope, FixtureKind, Lane, LocalProvider, Presence,
    ScanTarget, SecretScan, ServedModel,
};

/// The one stage in which real Case is admitted.
const ADMITTED_STAGE: u32 = 2;

/// The gate that denies the launch by what only this host can see; the first one, in their order.
pub(super) fn objection(request: &AdmitRequest) -> Option<Code> {
    let scan = request.secret_scan.clone().unwrap_or_default();
    let is_copy = request
        .fixture
        .as_ref()
        .is_some_and(|fixture| fixture.kind == i32::from(FixtureKind::CopiedArtificial));
    let rules = [
        (covers_everything(&scan), Code::SecretScanMissing),
        (scan.findings.is_empty(), Code::SecretDetected),
        (is_copy, Code::FixtureOutOfScope),
        (
            is_absent(request.target_repository),
            Code::TargetRepositoryExposed,
        ),
    ];
    first_broken(&rules).or_else(|| match request.lane() {
        Lane::Real => of_real_lane(request),
        Lane::Fake => None,
        Lane::Unspecified => Some(Code::LaneUnspecified),
    })
}

fn of_real_lane(request: &AdmitRequest) -> Option<Code> {
    let is_overridden = !(is_absent(request.case_model_override) && is_absent(request.model_flag));
    let rules = [
        (request.stage == ADMITTED_STAGE, Code::StageNotAdmitted),
        (!is_overridden, Code::CaseModelOverride),
        (is_absent(request.agent_flag), Code::CaseAgentMode),
        (
            has_only_own_credentials(request),
            Code::ForeignCredentialVisible,
        ),
    ];
    let has_own_baseline = request
        .fake_baseline
        .as_ref()
        .is_some_and(|baseline| baseline.run_id == request.run_id);
    first_broken(&rules)
        .or_else(|| of_local_provider(request))
        .or_else(|| (!has_own_baseline).then_some(Code::FakeBaselineMissing))
}

/// What speaks against the way to a local provider.
fn of_local_provider(request: &AdmitRequest) -> Option<Code> {
    let local = request.local_provider.unwrap_or_default();
    if is_certainly_external(request, &local) {
        return None;
    }
    let has_scope = match local.endpoint_scope() {
        EndpointScope::Unspecified => false,
        EndpointScope::Loopback
        | EndpointScope::Private
        | EndpointScope::Tailnet
        | EndpointScope::Public => true,
    };
    let (has_adapter, is_adapter_valid) = match local.adapter() {
        AdapterState::Unspecified | AdapterState::Absent => (false, false),
        AdapterState::Valid => (true, true),
        AdapterState::Malformed
        | AdapterState::PairAbsent
        | AdapterState::OtherEndpoint
        | AdapterState::ShellCommand => (true, false),
    };
    let is_served = match local.served_model() {
        ServedModel::NotProbed | ServedModel::Match => true,
        ServedModel::Unspecified | ServedModel::Mismatch => false,
    };
    first_broken(&[
        (
            local.base_url() == Presence::Present,
            Code::LocalBaseUrlMissing,
        ),
        (has_scope, Code::NetworkClassNotAllowed),
        (has_adapter, Code::LocalAdapterConfigMissing),
        (is_adapter_valid, Code::LocalAdapterConfigInvalid),
        (is_served, Code::ServedModelMismatch),
    ])
}

/// Whether nothing of the launch is that of a local provider. A permit does not state the branch of the
/// decision, so whatever is not certain is taken for local: no base URL, no entry in Pi's models.json,
/// and a provider whose endpoint Pi knows by itself. Such a launch goes where Pi goes by itself, since
/// the wrapper refuses whatever leads it elsewhere.
fn is_certainly_external(request: &AdmitRequest, local: &LocalProvider) -> bool {
    let has_no_entry = match local.adapter() {
        AdapterState::Absent | AdapterState::PairAbsent => true,
        AdapterState::Unspecified
        | AdapterState::Valid
        | AdapterState::Malformed
        | AdapterState::OtherEndpoint
        | AdapterState::ShellCommand => false,
    };
    local.base_url() == Presence::Absent
        && has_no_entry
        && known_providers().any(|known| known == request.provider)
}

/// Whether the permit's policy is not the one that the launch expects. No policy is judged in the fake
/// lane.
pub(super) fn is_other_policy(policy: Option<Digest>, request: &AdmitRequest) -> bool {
    let expected = &request.expected_policy_digest;
    request.lane() != Lane::Fake
        && !expected.is_empty()
        && (policy.is_none() || Digest::parse(expected) != policy)
}

fn first_broken(rules: &[(bool, Code)]) -> Option<Code> {
    let broken = rules.iter().find(|(holds, _)| !holds);
    broken.map(|(_, code)| *code)
}

fn is_absent(presence: i32) -> bool {
    presence == i32::from(Presence::Absent)
}

fn covers_everything(scan: &SecretScan) -> bool {
    [
        ScanTarget::Argv,
        ScanTarget::TaskFile,
        ScanTarget::GeneratedConfig,
    ]
    .into_iter()
    .all(|target| scan.covered.contains(&target.into()))
}

fn has_only_own_credentials(request: &AdmitRequest) -> bool {
    request.visible_credentials.as_ref().is_some_and(|seen| {
        seen.names
            .iter()
            .all(|name| is_credential_of(name, &request.provider))
    })
}

#[cfg(test)]
mod tests {
    use admit_proto::v1::{FakeBaseline, Fixture, VisibleCredentials};

    use super::*;

    /// A launch of a local provider that this host has nothing against.
    fn local() -> AdmitRequest {
        AdmitRequest {
            run_id: "run-1".into(),
            lane: Lane::Real.into(),
            stage: 2,
            provider: "qwen-local".into(),
            model: "qwen3".into(),
            case_model_override: Presence::Absent.into(),
            model_flag: Presence::Absent.into(),
            agent_flag: Presence::Absent.into(),
            visible_credentials: Some(VisibleCredentials { names: Vec::new() }),
            target_repository: Presence::Absent.into(),
            secret_scan: Some(SecretScan {
                covered: vec![
                    ScanTarget::Argv.into(),
                    ScanTarget::TaskFile.into(),
                    ScanTarget::GeneratedConfig.into(),
                ],
                findings: Vec::new(),
            }),
            fixture: Some(Fixture {
                kind: FixtureKind::CopiedArtificial.into(),
            }),
            fake_baseline: Some(FakeBaseline {
                run_id: "run-1".into(),
            }),
            local_provider: Some(LocalProvider {
                base_url: Presence::Present.into(),
                endpoint_scope: EndpointScope::Loopback.into(),
                adapter: AdapterState::Valid.into(),
                served_model: ServedModel::Match.into(),
            }),
            ..AdmitRequest::default()
        }
    }

    /// One of an external provider.
    fn external() -> AdmitRequest {
        AdmitRequest {
            provider: "anthropic".into(),
            local_provider: Some(LocalProvider {
                base_url: Presence::Absent.into(),
                endpoint_scope: EndpointScope::Unspecified.into(),
                adapter: AdapterState::Absent.into(),
                served_model: ServedModel::NotProbed.into(),
            }),
            ..local()
        }
    }

    type Change = fn(&mut AdmitRequest);

    fn way(request: &mut AdmitRequest) -> &mut LocalProvider {
        request.local_provider.as_mut().unwrap()
    }

    fn check(launch: fn() -> AdmitRequest, changes: &[(Change, &str)]) {
        assert_eq!(objection(&launch()), None);
        for (at, (change, code)) in changes.iter().enumerate() {
            let mut request = launch();
            change(&mut request);
            let found = objection(&request).map_or("", Code::as_str);
            assert_eq!(found, *code, "change {at}");
        }
    }

    #[test]
    fn each_gate_that_needs_no_policy_denies_by_itself() {
        check(
            local,
            &[
                (|r| r.lane = 0, "lane-unspecified"),
                (|r| r.lane = 9, "lane-unspecified"),
                (|r| r.secret_scan = None, "secret-scan-missing"),
                (
                    |r| r.secret_scan.as_mut().unwrap().covered.truncate(2),
                    "secret-scan-missing",
                ),
                (
                    |r| r.secret_scan.as_mut().unwrap().findings.push(1),
                    "secret-detected",
                ),
                (|r| r.fixture = None, "fixture-out-of-scope"),
                (
                    |r| r.fixture.as_mut().unwrap().kind = FixtureKind::RealRepository.into(),
                    "fixture-out-of-scope",
                ),
                (|r| r.target_repository = 0, "target-repository-exposed"),
                (|r| r.stage = 1, "stage-not-admitted"),
                (|r| r.case_model_override = 0, "case-model-override"),
                (
                    |r| r.model_flag = Presence::Present.into(),
                    "case-model-override",
                ),
                (|r| r.agent_flag = 0, "case-agent-mode"),
                (
                    |r| r.visible_credentials = None,
                    "foreign-credential-visible",
                ),
                (
                    |r| {
                        let seen = r.visible_credentials.as_mut().unwrap();
                        seen.names.push("OPENAI_API_KEY".into());
                    },
                    "foreign-credential-visible",
                ),
                (|r| r.fake_baseline = None, "fake-baseline-missing"),
                (|r| r.run_id = "run-2".into(), "fake-baseline-missing"),
            ],
        );
    }

    #[test]
    fn the_way_to_a_local_provider_has_to_be_in_order() {
        check(
            local,
            &[
                (|r| r.local_provider = None, "local-base-url-missing"),
                (|r| way(r).base_url = 0, "local-base-url-missing"),
                (
                    |r| way(r).base_url = Presence::Absent.into(),
                    "local-base-url-missing",
                ),
                (|r| way(r).endpoint_scope = 0, "network-class-not-allowed"),
                (|r| way(r).endpoint_scope = 99, "network-class-not-allowed"),
                (|r| way(r).adapter = 0, "local-adapter-config-missing"),
                (
                    |r| way(r).adapter = AdapterState::Absent.into(),
                    "local-adapter-config-missing",
                ),
                (
                    |r| way(r).adapter = AdapterState::PairAbsent.into(),
                    "local-adapter-config-invalid",
                ),
                (
                    |r| way(r).adapter = AdapterState::OtherEndpoint.into(),
                    "local-adapter-config-invalid",
                ),
                (
                    |r| way(r).adapter = AdapterState::Malformed.into(),
                    "local-adapter-config-invalid",
                ),
                (
                    |r| way(r).adapter = AdapterState::ShellCommand.into(),
                    "local-adapter-config-invalid",
                ),
                (|r| way(r).served_model = ServedModel::NotProbed.into(), ""),
                (|r| way(r).served_model = 0, "served-model-mismatch"),
                (
                    |r| way(r).served_model = ServedModel::Mismatch.into(),
                    "served-model-mismatch",
                ),
            ],
        );
    }

    #[test]
    fn an_external_launch_needs_no_way_of_its_own_and_must_have_nothing_of_one() {
        check(
            external,
            &[
                (|r| way(r).adapter = AdapterState::PairAbsent.into(), ""),
                // Pi knows no endpoint of it.
                (
                    |r| r.provider = "qwen-local".into(),
                    "local-base-url-missing",
                ),
                (|r| r.provider = String::new(), "local-base-url-missing"),
                (|r| way(r).base_url = 0, "local-base-url-missing"),
                (
                    |r| way(r).base_url = Presence::Present.into(),
                    "network-class-not-allowed",
                ),
                (|r| way(r).adapter = 0, "local-base-url-missing"),
                (
                    |r| way(r).adapter = AdapterState::Valid.into(),
                    "local-base-url-missing",
                ),
                (
                    |r| way(r).adapter = AdapterState::OtherEndpoint.into(),
                    "local-base-url-missing",
                ),
                (|r| r.stage = 3, "stage-not-admitted"),
                (|r| r.fake_baseline = None, "fake-baseline-missing"),
            ],
        );
    }

    #[test]
    fn the_fake_lane_is_judged_by_the_gates_of_every_lane() {
        check(
            || AdmitRequest {
                lane: Lane::Fake.into(),
                stage: 0,
                local_provider: None,
                fake_baseline: None,
                visible_credentials: None,
                ..local()
            },
            &[(|r| r.fixture = None, "fixture-out-of-scope")],
        );
    }

    #[test]
    fn an_expected_policy_has_to_be_that_of_the_permit() {
        let ours = Digest::of(b"ours");
        let expecting = |expected: String, lane: Lane| AdmitRequest {
            expected_policy_digest: expected,
            lane: lane.into(),
            ..local()
        };
        for (policy, expected, lane, is_other) in [
            (Some(ours), String::new(), Lane::Real, false),
            (Some(ours), ours.to_string(), Lane::Real, false),
            (Some(ours), Digest::of(b"b").to_string(), Lane::Real, true),
            (Some(ours), "no digest".to_owned(), Lane::Real, true),
            (None, ours.to_string(), Lane::Real, true),
            (None, "no digest".to_owned(), Lane::Real, true),
            (None, ours.to_string(), Lane::Fake, false),
        ] {
            let request = expecting(expected, lane);
            assert_eq!(is_other_policy(policy, &request), is_other, "{request:?}");
        }
    }
}
