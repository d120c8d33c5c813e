//! The ground of a drill: the policy in force as the server shows it, and the launch that every other
//! one is a change of.

use std::sync::Arc;

use admit_policy::{
    Code, Digest,
    document::admission::{self, ProviderClass},
    pair::{SILENT_MODEL, SILENT_PROVIDER},
};
use admit_proto::v1::{
    AdapterState, AdmitRequest, Branch, EndpointScope, FakeBaseline, Fixture, FixtureKind, Lane,
    LocalProvider, Pair, PairState, Policy, Presence, ScanTarget, SecretScan, ServedModel,
    VisibleCredentials,
};

/// What no policy admits: a provider, a model, a class of credential source.
pub(super) const STRANGER: &str = "admit-drill";
/// The stage that real Case is admitted in.
const STAGE: u32 = 2;

/// Who drills, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Driller {
    pub(crate) host: String,
    pub(crate) run_id: String,
    /// The pair to ask for. None: an admitted one, if there is one.
    pub(crate) pair: Option<(String, String)>,
    /// The bytes of the host's admission file.
    pub(crate) admission_file: Option<Vec<u8>>,
}

/// The policy in force and the launch to change.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(super) has_snapshot: bool,
    pub(super) is_stale: bool,
    pub(super) branch: Branch,
    pub(super) pairs: Vec<Pair>,
    provider: String,
    model: String,
    /// The class of the pair's admission; none when it is not known.
    class: Option<ProviderClass>,
    /// A real launch in which nothing is amiss, as far as it can be known here.
    base: AdmitRequest,
}

impl Ground {
    pub(crate) fn new(policy: &Policy, driller: &Driller) -> Self {
        let (provider, model) = driller.pair.clone().unwrap_or_else(|| chosen(policy));
        let path: Arc<str> = Arc::from("the admission file");
        let bytes = driller.admission_file.as_deref();
        let admission = bytes
            .and_then(|bytes| admission::parse(&path, bytes).ok())
            .filter(|admission| admission.pair.value.is(&provider, &model));
        let mut base = base(driller);
        base.admission_file_digest = bytes
            .map(|bytes| Digest::of(bytes).to_string())
            .unwrap_or_default();
        base.credential_source_class = admission
            .as_ref()
            .map(|admission| admission.credential_source_class.value.clone())
            .unwrap_or_default();
        request_pair(&mut base, &provider, &model);
        Self {
            has_snapshot: !policy.digest.is_empty(),
            is_stale: policy.stale,
            branch: policy.branch(),
            pairs: policy.pairs.clone(),
            class: admission.map(|admission| admission.provider_class.value),
            provider,
            model,
            base,
        }
    }

    /// The launch to change.
    pub(crate) fn base(&self) -> AdmitRequest {
        self.base.clone()
    }

    /// States the scope of the endpoint in every launch from now on.
    pub(crate) fn set_scope(&mut self, scope: EndpointScope) {
        if let Some(local) = &mut self.base.local_provider {
            local.endpoint_scope = scope.into();
        }
    }

    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// Whether one admission, and no other, is in force for the requested pair.
    pub(super) fn has_one_admission(&self) -> bool {
        let without = [Code::AdmissionConflict, Code::ProviderModelNotAdmitted];
        self.listed(&self.provider, &self.model)
            .is_some_and(|pair| {
                pair.places.len() == 1
                    && !pair
                        .reasons
                        .iter()
                        .any(|reason| without.iter().any(|code| code.as_str() == reason.code))
            })
    }

    /// Whether the admission is known to be one of a local provider.
    pub(super) fn has_local_admission(&self) -> bool {
        self.has_one_admission() && self.class == Some(ProviderClass::LocalCaseCompatible)
    }

    /// Whether the policy admits the pair that Case falls back to in silence.
    pub(super) fn admits_silent_pair(&self) -> bool {
        self.listed(SILENT_PROVIDER, SILENT_MODEL)
            .is_some_and(|pair| pair.state() == PairState::Admitted)
    }

    /// Whether the requested pair is the one that Case falls back to in silence.
    pub(super) fn is_silent_pair(&self) -> bool {
        self.provider == SILENT_PROVIDER && self.model == SILENT_MODEL
    }

    fn listed(&self, provider: &str, model: &str) -> Option<&Pair> {
        self.pairs
            .iter()
            .find(|pair| pair.provider == provider && pair.model == model)
    }
}

/// An admitted pair, or else any that the policy names, or else a stranger.
fn chosen(policy: &Policy) -> (String, String) {
    let admitted = policy
        .pairs
        .iter()
        .find(|pair| pair.state() == PairState::Admitted);
    admitted.or(policy.pairs.first()).map_or_else(
        || (STRANGER.to_owned(), STRANGER.to_owned()),
        |pair| (pair.provider.clone(), pair.model.clone()),
    )
}

fn base(driller: &Driller) -> AdmitRequest {
    AdmitRequest {
        host: driller.host.clone(),
        run_id: driller.run_id.clone(),
        lane: Lane::Real.into(),
        stage: STAGE,
        dry_run: true,
        case_model_override: Presence::Absent.into(),
        model_flag: Presence::Absent.into(),
        agent_flag: Presence::Absent.into(),
        visible_credentials: Some(VisibleCredentials::default()),
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
            run_id: driller.run_id.clone(),
        }),
        local_provider: Some(LocalProvider {
            base_url: Presence::Present.into(),
            endpoint_scope: EndpointScope::Loopback.into(),
            adapter: AdapterState::Valid.into(),
            served_model: ServedModel::NotProbed.into(),
        }),
        ..AdmitRequest::default()
    }
}

/// Asks for this pair, with a config that resolves every role to it.
pub(super) fn request_pair(request: &mut AdmitRequest, provider: &str, model: &str) {
    provider.clone_into(&mut request.provider);
    model.clone_into(&mut request.model);
    let entry = serde_json::json!({ "provider": provider, "model": model });
    set_config(
        request,
        &serde_json::json!({ "models": { "default": entry } }),
    );
}

/// States this as Case's config.
pub(super) fn set_config(request: &mut AdmitRequest, config: &serde_json::Value) {
    request.case_config = Some(config.to_string().into_bytes().into());
}
