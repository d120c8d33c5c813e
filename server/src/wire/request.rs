//! Requests: from messages to launches, with every bound of the contract enforced.

use admit_policy::{
    Digest, Launch,
    bounds::{Bound, STAGE_MAX},
    case_config::CONFIG_BYTES_MAX,
    facts::{
        AdapterState, CREDENTIAL_NAMES_MAX, EndpointScope, FixtureKind, Lane, LocalProvider,
        Presence, ScanTarget, SecretScan, ServedModel,
    },
};
use admit_proto::v1;

/// Most targets that a scan covers.
pub const SCAN_COVERED_MAX: usize = 16;
/// Most findings of a scan.
pub const SCAN_FINDINGS_MAX: usize = 256;

/// A field that is out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, by its name in the contract.
    pub field: &'static str,
    /// What is wrong with it; it repeats nothing of the value.
    pub description: String,
}

/// The pair that a watch follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FollowedPair {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// The launch that a request states.
///
/// # Errors
///
/// Every field that is out of its bounds.
pub fn launch(request: v1::AdmitRequest) -> Result<Launch, Vec<Violation>> {
    let mut bounds = Bounds::default();
    bounds.required("host", &request.host, Bound::Host);
    bounds.required("run_id", &request.run_id, Bound::RunId);
    bounds.names(&request.provider, &request.model);
    bounds.text(
        "credential_source_class",
        &request.credential_source_class,
        Bound::CredentialSourceClass,
    );
    let expected_policy = bounds.digest("expected_policy_digest", &request.expected_policy_digest);
    let admission_file = bounds.digest("admission_file_digest", &request.admission_file_digest);
    if request.stage > STAGE_MAX {
        bounds.violation("stage", format!("is over {STAGE_MAX}"));
    }
    if let Some(config) = &request.case_config {
        bounds.length("case_config", config.len(), CONFIG_BYTES_MAX, "bytes");
    }
    let names = request.visible_credentials.as_ref().map(|seen| &seen.names);
    bounds.credential_names(names.map_or(&[], Vec::as_slice));
    if let Some(scan) = &request.secret_scan {
        let covered = ("secret_scan.covered", scan.covered.len());
        bounds.length(covered.0, covered.1, SCAN_COVERED_MAX, "entries");
        let findings = ("secret_scan.findings", scan.findings.len());
        bounds.length(findings.0, findings.1, SCAN_FINDINGS_MAX, "entries");
    }
    if let Some(baseline) = &request.fake_baseline {
        bounds.text("fake_baseline.run_id", &baseline.run_id, Bound::RunId);
    }
    bounds.finish()?;
    Ok(Launch {
        lane: lane(request.lane()),
        case_model_override: presence(request.case_model_override()),
        model_flag: presence(request.model_flag()),
        agent_flag: presence(request.agent_flag()),
        target_repository: presence(request.target_repository()),
        secret_scan: request.secret_scan.as_ref().map(secret_scan),
        fixture: request.fixture.map_or(FixtureKind::Unstated, fixture_kind),
        local_provider: request
            .local_provider
            .map_or(LocalProvider::UNSTATED, local_provider),
        fake_baseline_run: request.fake_baseline.map(|baseline| baseline.run_id),
        visible_credentials: request.visible_credentials.map(|seen| seen.names),
        case_config: request.case_config.map(Vec::from),
        expected_policy,
        admission_file,
        host: request.host,
        run_id: request.run_id,
        stage: request.stage,
        provider: request.provider,
        model: request.model,
        credential_source_class: request.credential_source_class,
    })
}

/// The pair that a watch follows, if it follows one.
///
/// # Errors
///
/// Every field that is out of its bounds.
pub fn followed_pair(
    request: v1::WatchPolicyRequest,
) -> Result<Option<FollowedPair>, Vec<Violation>> {
    let mut bounds = Bounds::default();
    bounds.names(&request.provider, &request.model);
    let lane = lane(request.lane());
    let follows = !request.provider.is_empty() || !request.model.is_empty();
    if follows && request.provider.is_empty() {
        bounds.violation("provider", "is empty beside a model".into());
    }
    if follows && request.model.is_empty() {
        bounds.violation("model", "is empty beside a provider".into());
    }
    match (follows, lane) {
        (true, Lane::Real) => {}
        (false, _) if request.lane == 0 => {}
        (true, Lane::Unspecified | Lane::Fake) => {
            bounds.violation("lane", "is not LANE_REAL beside a pair".into());
        }
        (false, Lane::Unspecified | Lane::Fake | Lane::Real) => {
            bounds.violation("lane", "is set without a pair".into());
        }
    }
    bounds.finish()?;
    Ok(follows.then_some(FollowedPair {
        provider: request.provider,
        model: request.model,
    }))
}

/// Collects the fields that are out of their bounds.
#[derive(Default)]
pub(super) struct Bounds {
    violations: Vec<Violation>,
}

impl Bounds {
    pub(super) fn violation(&mut self, field: &'static str, description: String) {
        self.violations.push(Violation { field, description });
    }

    pub(super) fn finish(self) -> Result<(), Vec<Violation>> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(self.violations)
        }
    }

    pub(super) fn length(&mut self, field: &'static str, length: usize, max: usize, unit: &str) {
        if length > max {
            self.violation(field, format!("has {length} {unit}, more than {max}"));
        }
    }

    pub(super) fn text(&mut self, field: &'static str, text: &str, bound: Bound) {
        self.length(field, text.len(), bound.bytes_max(), "bytes");
        if let Some(at) = text.bytes().position(|byte| !bound.allows(byte)) {
            self.violation(
                field,
                format!("has a character that is not allowed at byte {at}"),
            );
        }
    }

    pub(super) fn required(&mut self, field: &'static str, text: &str, bound: Bound) {
        if text.is_empty() {
            self.violation(field, "is required".into());
        }
        self.text(field, text, bound);
    }

    fn names(&mut self, provider: &str, model: &str) {
        self.text("provider", provider, Bound::Provider);
        self.text("model", model, Bound::Model);
    }

    pub(super) fn digest(&mut self, field: &'static str, text: &str) -> Option<Digest> {
        if text.is_empty() {
            return None;
        }
        let digest = Digest::parse(text);
        if digest.is_none() {
            self.violation(field, "is not 64 lowercase hexadecimal digits".into());
        }
        digest
    }

    fn credential_names(&mut self, names: &[String]) {
        let field = "visible_credentials.names";
        self.length(field, names.len(), CREDENTIAL_NAMES_MAX, "entries");
        self.all(field, "a name", names, Bound::VariableName);
    }

    /// Insists that every one of `texts` in a list is within the bounds.
    pub(super) fn all<'a>(
        &mut self,
        field: &'static str,
        what: &str,
        texts: impl IntoIterator<Item = &'a String>,
        bound: Bound,
    ) {
        if !texts.into_iter().all(|text| bound.holds(text)) {
            let description = format!("has {what} that is not {}", bound.describe());
            self.violation(field, description);
        }
    }
}

/// The lane that a request states.
#[must_use]
pub fn lane(lane: v1::Lane) -> Lane {
    match lane {
        v1::Lane::Unspecified => Lane::Unspecified,
        v1::Lane::Fake => Lane::Fake,
        v1::Lane::Real => Lane::Real,
    }
}

fn presence(presence: v1::Presence) -> Presence {
    match presence {
        v1::Presence::Unspecified => Presence::Unstated,
        v1::Presence::Absent => Presence::Absent,
        v1::Presence::Present => Presence::Present,
    }
}

fn secret_scan(scan: &v1::SecretScan) -> SecretScan {
    SecretScan {
        covered: scan.covered().map(scan_target).collect(),
        // An entry that is not known is a finding all the same.
        findings: scan
            .findings
            .iter()
            .map(|target| {
                v1::ScanTarget::try_from(*target).map_or(ScanTarget::Unstated, scan_target)
            })
            .collect(),
    }
}

fn scan_target(target: v1::ScanTarget) -> ScanTarget {
    match target {
        v1::ScanTarget::Unspecified => ScanTarget::Unstated,
        v1::ScanTarget::Argv => ScanTarget::Argv,
        v1::ScanTarget::TaskFile => ScanTarget::TaskFile,
        v1::ScanTarget::GeneratedConfig => ScanTarget::GeneratedConfig,
    }
}

fn fixture_kind(fixture: v1::Fixture) -> FixtureKind {
    match fixture.kind() {
        v1::FixtureKind::Unspecified => FixtureKind::Unstated,
        v1::FixtureKind::CopiedArtificial => FixtureKind::CopiedArtificial,
        v1::FixtureKind::ArtificialOriginal => FixtureKind::ArtificialOriginal,
        v1::FixtureKind::RealRepository => FixtureKind::RealRepository,
    }
}

fn local_provider(local: v1::LocalProvider) -> LocalProvider {
    LocalProvider {
        base_url: presence(local.base_url()),
        endpoint_scope: match local.endpoint_scope() {
            v1::EndpointScope::Unspecified => None,
            v1::EndpointScope::Loopback => Some(EndpointScope::Loopback),
            v1::EndpointScope::Private => Some(EndpointScope::Private),
            v1::EndpointScope::Tailnet => Some(EndpointScope::Tailnet),
            v1::EndpointScope::Public => Some(EndpointScope::Public),
        },
        adapter: match local.adapter() {
            v1::AdapterState::Unspecified | v1::AdapterState::Absent => AdapterState::Absent,
            v1::AdapterState::Valid => AdapterState::Valid,
            v1::AdapterState::Malformed => AdapterState::Malformed,
            v1::AdapterState::PairAbsent => AdapterState::PairAbsent,
            v1::AdapterState::OtherEndpoint => AdapterState::OtherEndpoint,
            v1::AdapterState::ShellCommand => AdapterState::ShellCommand,
        },
        served_model: match local.served_model() {
            v1::ServedModel::Unspecified => ServedModel::Unstated,
            v1::ServedModel::NotProbed => ServedModel::NotProbed,
            v1::ServedModel::Match => ServedModel::Match,
            v1::ServedModel::Mismatch => ServedModel::Mismatch,
        },
    }
}
