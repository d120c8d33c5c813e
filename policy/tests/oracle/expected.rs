//! The gates of SPEC section 5 once more, in the order of its table, as plain comparisons.
//!
//! Written from the page and not from the crate: nothing here calls a parser, a gate or a digest of
//! the product. Deliberately absent: messages and places.

use admit_policy::facts::{AdapterState, FixtureKind, Lane, Presence, ScanTarget, ServedModel};

use crate::{
    expected_config, render,
    valid::{admission_is_valid, record_is_valid, status, value},
    world::{
        ALL_TARGETS, Admission, AdmissionForm, CANARY, Config, Entry, ExpectedPolicy, HostFile,
        Models, Record, World,
    },
};

/// The codes of a denial in their order; empty for ALLOW.
pub(crate) fn codes(world: &World) -> Vec<&'static str> {
    if world.stated.lane == Lane::Unspecified {
        return vec!["lane-unspecified"];
    }
    let mut denied = Denied(Vec::new());
    every_lane(world, &mut denied);
    match world.stated.lane {
        Lane::Unspecified => {}
        Lane::Fake => fake_lane(world, &mut denied),
        Lane::Real => {
            let case = Real::of(world);
            policy_and_record(&case, &mut denied);
            admission(&case, &mut denied);
            expected_config::config(world, &mut denied);
            process(&case, &mut denied);
            local_provider(&case, &mut denied);
            // An empty run is an unset one, and unset never helps.
            let baseline = world.stated.baseline_run.filter(|run| !run.is_empty());
            let same_run = baseline == Some(world.stated.run);
            denied.when(!same_run, "fake-baseline-missing");
        }
    }
    denied.0
}

/// The codes that need the pair and the policy only.
pub(crate) const PAIR_CODES: [&str; 16] = [
    "policy-unavailable",
    "policy-stale",
    "decision-record-missing",
    "decision-record-conflict",
    "decision-record-invalid",
    "decision-not-decided",
    "admission-conflict",
    "provider-model-not-admitted",
    "admission-revoked",
    "admission-not-yet-valid",
    "review-due",
    "decision-status-mismatch",
    "pair-not-selected",
    "fallback-not-explicit",
    "auth-bridge-unproven",
    "network-class-undefined",
];

pub(crate) struct Denied(Vec<&'static str>);

impl Denied {
    pub(crate) fn when(&mut self, denies: bool, code: &'static str) {
        if denies {
            self.0.push(code);
        }
    }
}

fn every_lane(world: &World, denied: &mut Denied) {
    let stated = &world.stated;
    let covers = |target: &ScanTarget| {
        let covered = stated.scan_covered.as_ref();
        covered.is_some_and(|covered| covered.contains(target))
    };
    let complete = ALL_TARGETS.iter().all(covers);
    denied.when(!complete, "secret-scan-missing");
    let found = stated.scan_covered.is_some() && !stated.scan_findings.is_empty();
    denied.when(found || request_has_canary(world), "secret-detected");
    denied.when(
        stated.fixture != FixtureKind::CopiedArtificial,
        "fixture-out-of-scope",
    );
    denied.when(
        stated.target_repository != Presence::Absent,
        "target-repository-exposed",
    );
}

fn request_has_canary(world: &World) -> bool {
    let stated = &world.stated;
    let texts = [
        stated.host,
        stated.run,
        stated.provider,
        stated.model,
        stated.credential_source,
        stated.baseline_run.unwrap_or_default(),
    ];
    // The only escape that the pool of configs uses.
    let in_json = |json: &str| json.replace("\\u002d", "-").contains(CANARY);
    let in_config = match &stated.config {
        Config::Missing => false,
        Config::Broken(bytes) => in_json(&String::from_utf8_lossy(bytes)),
        Config::Object { beside, models, .. } => {
            let in_models = match models {
                Models::Absent => false,
                Models::NotAnObject(json) => in_json(json),
                Models::Entries(entries) => entries.iter().any(|(_, entry)| match entry {
                    Entry::Pair(provider, model) => in_json(provider) || in_json(model),
                    Entry::Falsy(json) | Entry::Malformed(json) => in_json(json),
                }),
            };
            in_models || beside.is_some_and(in_json)
        }
    };
    let names = stated.credentials.iter().flatten();
    in_config || texts.iter().chain(names).any(|text| text.contains(CANARY))
}

fn fake_lane(world: &World, denied: &mut Denied) {
    let (provider, model) = (world.stated.provider, world.stated.model);
    let names_another = !provider.is_empty() && provider != "fake";
    let model_alone = provider.is_empty() && !model.is_empty();
    denied.when(names_another || model_alone, "fake-lane-names-provider");
}

/// A launch in the real lane with what the policy says about it.
struct Real<'a> {
    world: &'a World,
    /// The record, if it is valid and decided.
    decided: Option<&'a Record>,
    /// The valid admission files of the requested pair.
    valid_files: Vec<&'a Admission>,
    /// The one valid file, if it is one.
    admission: Option<&'a Admission>,
}

impl<'a> Real<'a> {
    fn of(world: &'a World) -> Self {
        let mut case = Real {
            world,
            decided: None,
            valid_files: Vec::new(),
            admission: None,
        };
        if !world.read {
            return case;
        }
        if let [only] = world.policy.records.as_slice() {
            case.decided = Some(only)
                .filter(|record| record_is_valid(record) && status(record) != "not_decided");
        }
        let requested = (Some(world.stated.provider), Some(world.stated.model));
        case.valid_files = world
            .policy
            .admissions
            .iter()
            .filter(|file| admission_is_valid(file) && (file.provider, file.model) == requested)
            .collect();
        if let [only] = case.valid_files.as_slice() {
            case.admission = Some(only);
        }
        case
    }

    fn branch(&self) -> &str {
        self.decided.map_or("", status)
    }

    fn requested(&self) -> (&str, &str) {
        (self.world.stated.provider, self.world.stated.model)
    }
}

fn policy_and_record(case: &Real<'_>, denied: &mut Denied) {
    let world = case.world;
    denied.when(!world.read, "policy-unavailable");
    if !world.read {
        denied.when(world.stated.stage != 2, "stage-not-admitted");
        return;
    }
    denied.when(world.unverified_s >= world.staleness_max_s, "policy-stale");
    let other_digest = world.stated.expected_policy == ExpectedPolicy::Other;
    denied.when(other_digest, "expected-policy-mismatch");
    match world.policy.records.as_slice() {
        [] => denied.when(true, "decision-record-missing"),
        [only] => {
            let valid = record_is_valid(only);
            denied.when(!valid, "decision-record-invalid");
            denied.when(
                valid && status(only) == "not_decided",
                "decision-not-decided",
            );
        }
        _ => denied.when(true, "decision-record-conflict"),
    }
    denied.when(world.stated.stage != 2, "stage-not-admitted");
}

fn admission(case: &Real<'_>, denied: &mut Denied) {
    let world = case.world;
    let (provider, model) = case.requested();
    let host_file = render::host_file(world);
    denied.when(provider.is_empty(), "provider-missing");
    denied.when(model.is_empty(), "model-missing");
    denied.when(
        world.stated.host_file == HostFile::Unset,
        "admission-file-missing",
    );
    let of_invalid = |bytes: &Vec<u8>| {
        world.policy.admissions.iter().any(|file| {
            file.form != AdmissionForm::Unreadable
                && !admission_is_valid(file)
                && render::admission_bytes(file) == *bytes
        })
    };
    denied.when(
        world.read && host_file.as_ref().is_some_and(of_invalid),
        "admission-invalid",
    );
    denied.when(case.valid_files.len() > 1, "admission-conflict");
    let named = !provider.is_empty() && !model.is_empty();
    denied.when(
        world.read && named && case.valid_files.is_empty(),
        "provider-model-not-admitted",
    );
    let Some(file) = case.admission else {
        return;
    };
    let same = |bytes: Vec<u8>| bytes == render::admission_bytes(file);
    denied.when(
        host_file.is_some_and(|bytes| !same(bytes)),
        "admission-file-mismatch",
    );
    denied.when(file.status == Some("revoked"), "admission-revoked");
    let from = file.from.and_then(|time| time.unix);
    denied.when(
        from.is_some_and(|from| from > world.now),
        "admission-not-yet-valid",
    );
    let review = file.review_at.and_then(|time| time.unix);
    denied.when(review.is_some_and(|at| at <= world.now), "review-due");
    if let Some(record) = case.decided {
        against_record(case, file, record, denied);
    }
    let proven = file.bridge.is_some_and(|(status, _)| status == "proven");
    denied.when(
        provider == "openai-codex" && !proven,
        "auth-bridge-unproven",
    );
    let source = Some(world.stated.credential_source);
    denied.when(
        source != file.credential_source,
        "credential-source-mismatch",
    );
}

fn against_record(case: &Real<'_>, file: &Admission, record: &Record, denied: &mut Denied) {
    let branch = case.branch();
    let own_class = match branch {
        "external_provider_approved" => "external_anthropic",
        _ => "local_case_compatible",
    };
    let other_class = file.role == Some("primary") && file.class != Some(own_class);
    let not_local = branch == "local_provider_required" && file.provider == Some("anthropic");
    denied.when(other_class || not_local, "decision-status-mismatch");
    let (provider, model) = case.requested();
    let is = |provider_key, model_key| {
        value(record, provider_key) == Some(provider) && value(record, model_key) == Some(model)
    };
    let is_primary = is("provider", "model");
    let is_fallback = is("fallback_provider", "fallback_model");
    denied.when(!is_primary && !is_fallback, "pair-not-selected");
    let wrong_role = (is_fallback && file.role != Some("fallback"))
        || (is_primary && file.role != Some("primary"));
    denied.when(wrong_role, "fallback-not-explicit");
}

fn process(case: &Real<'_>, denied: &mut Denied) {
    let stated = &case.world.stated;
    let overridden =
        stated.model_override != Presence::Absent || stated.model_flag != Presence::Absent;
    denied.when(overridden, "case-model-override");
    denied.when(stated.agent_flag != Presence::Absent, "case-agent-mode");
    let foreign = match &stated.credentials {
        None => true,
        Some(names) => names
            .iter()
            .any(|name| !owners(name).contains(&stated.provider)),
    };
    denied.when(foreign, "foreign-credential-visible");
}

/// The providers of a credential variable, from section 3 of the facts about Case.
fn owners(name: &str) -> &'static [&'static str] {
    match name {
        "ANTHROPIC_API_KEY" | "ANTHROPIC_OAUTH_TOKEN" => &["anthropic"],
        "OPENAI_API_KEY" => &["openai"],
        "OPENCODE_API_KEY" => &["opencode", "opencode-go"],
        "GITHUB_TOKEN" => &["github-copilot"],
        "GEMINI_API_KEY" => &["google"],
        _ if name.starts_with("AWS_") => &["amazon-bedrock"],
        _ => &[],
    }
}

fn local_provider(case: &Real<'_>, denied: &mut Denied) {
    let of_other_class = case
        .admission
        .is_some_and(|file| file.class != Some("local_case_compatible"));
    if case.branch() != "local_provider_required" || of_other_class {
        return;
    }
    let stated = &case.world.stated;
    denied.when(
        stated.base_url != Presence::Present,
        "local-base-url-missing",
    );
    if let Some(file) = case.admission {
        let classes = &case.world.network_classes;
        let class = classes.iter().find(|(name, _)| Some(*name) == file.network);
        denied.when(class.is_none(), "network-class-undefined");
        let within = match (class, stated.scope) {
            (Some((_, scopes)), Some(scope)) => scopes.contains(&scope),
            (None, _) | (_, None) => false,
        };
        denied.when(!within, "network-class-not-allowed");
    }
    let adapter = stated.adapter;
    denied.when(
        adapter == AdapterState::Absent,
        "local-adapter-config-missing",
    );
    let useless = adapter != AdapterState::Absent && adapter != AdapterState::Valid;
    denied.when(useless, "local-adapter-config-invalid");
    let serves = matches!(
        stated.served_model,
        ServedModel::Match | ServedModel::NotProbed
    );
    denied.when(!serves, "served-model-mismatch");
}
