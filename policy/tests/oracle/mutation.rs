//! Every single change of the launch: each dimension of the facts and of the moment, with each
//! value that it can take.

use std::{fmt::Debug, rc::Rc};

use admit_policy::facts::{
    AdapterState, EndpointScope, FixtureKind, Lane, Presence, ScanTarget, ServedModel,
};

use crate::{
    config_mutation::{of_each_kind, of_the_config},
    world::{CANARY, CODEX, DAY, ExpectedPolicy, HostFile, JUNE, LOCAL, SILENT, World},
};

/// One change, and what it is called.
#[derive(Clone)]
pub(crate) struct Mutation {
    pub(crate) dimension: String,
    pub(crate) name: String,
    pub(crate) apply: Rc<dyn Fn(&mut World)>,
}

impl Debug for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// One mutation for each value of a dimension.
pub(crate) fn each<T: Debug + Clone + 'static>(
    dimension: &str,
    values: impl IntoIterator<Item = T>,
    set: impl Fn(&mut World, T) + Clone + 'static,
) -> Vec<Mutation> {
    values
        .into_iter()
        .map(|value| {
            let set = set.clone();
            Mutation {
                dimension: dimension.to_owned(),
                name: format!("{dimension} = {value:?}"),
                apply: Rc::new(move |world| set(world, value.clone())),
            }
        })
        .collect()
}

/// Every change of the launch itself.
pub(crate) fn of_the_launch(base: &World) -> Vec<Mutation> {
    let mut all = but_of_the_config();
    all.extend(of_the_config(base));
    all
}

/// Every change of the launch itself, but only one config of each kind.
pub(crate) fn of_the_launch_by_kind(base: &World) -> Vec<Mutation> {
    let mut all = but_of_the_config();
    all.extend(of_each_kind(base));
    all
}

fn but_of_the_config() -> Vec<Mutation> {
    let mut all = of_the_request();
    all.extend(of_the_process());
    all.extend(of_the_local_provider());
    all.extend(of_the_moment());
    all
}

const PRESENCES: [Presence; 3] = [Presence::Unstated, Presence::Absent, Presence::Present];

fn of_the_request() -> Vec<Mutation> {
    let providers = [
        "",
        "fake",
        "Fake",
        LOCAL.0,
        CODEX.0,
        "anthropic",
        "openai",
        "amazon-bedrock",
        "Qwen-Local",
        "qwen-local ",
        "qwen-l\u{043e}cal",
        "qwen-local\u{200b}",
        "*",
        CANARY,
    ];
    let models = [
        "",
        LOCAL.1,
        CODEX.1,
        SILENT.1,
        "latest",
        "QWEN3.6-35b-a3b",
        " qwen3.6-35b-a3b",
        "?",
        CANARY,
    ];
    let files = [
        HostFile::Unset,
        HostFile::CopyOf(0),
        HostFile::CopyOf(1),
        HostFile::CopyOf(2),
        HostFile::Other,
    ];
    let expectations = [
        ExpectedPolicy::Unset,
        ExpectedPolicy::Same,
        ExpectedPolicy::Other,
    ];
    let sources = [
        "",
        "local-no-secret",
        "codex-oauth",
        "environment",
        "Local-No-Secret",
        CANARY,
    ];
    [
        each(
            "lane",
            [Lane::Unspecified, Lane::Fake, Lane::Real],
            |w, v| w.stated.lane = v,
        ),
        each("stage", [0, 1, 2, 3, u32::MAX], |w, v| w.stated.stage = v),
        each("provider", providers, |w, v| w.stated.provider = v),
        each("model", models, |w, v| w.stated.model = v),
        each("host", ["", CANARY], |w, v| w.stated.host = v),
        each("run", ["", "run-8", CANARY], |w, v| w.stated.run = v),
        each("host file", files, |w, v| w.stated.host_file = v),
        each("expected policy", expectations, |w, v| {
            w.stated.expected_policy = v;
        }),
        each("credential source", sources, |w, v| {
            w.stated.credential_source = v;
        }),
    ]
    .concat()
}

fn of_the_process() -> Vec<Mutation> {
    use ScanTarget::{Argv, GeneratedConfig, TaskFile, Unstated};
    let coverages = [
        None,
        Some(vec![]),
        Some(vec![Argv, TaskFile]),
        Some(vec![Argv, GeneratedConfig]),
        Some(vec![TaskFile, GeneratedConfig]),
        Some(vec![Unstated, Argv, TaskFile]),
        Some(vec![GeneratedConfig, TaskFile, Argv, Argv]),
    ];
    let findings = [
        vec![],
        vec![Argv],
        vec![Unstated],
        vec![TaskFile, GeneratedConfig],
    ];
    let fixtures = [
        FixtureKind::Unstated,
        FixtureKind::CopiedArtificial,
        FixtureKind::ArtificialOriginal,
        FixtureKind::RealRepository,
    ];
    let credentials = [
        None,
        Some(vec![]),
        Some(vec!["ANTHROPIC_API_KEY"]),
        Some(vec!["ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"]),
        Some(vec!["OPENAI_API_KEY"]),
        Some(vec!["ANTHROPIC_API_KEY", "GITHUB_TOKEN"]),
        Some(vec!["AWS_PROFILE"]),
        Some(vec!["OPENCODE_API_KEY"]),
        Some(vec!["QWEN_LOCAL_API_KEY"]),
        Some(vec!["anthropic_api_key"]),
        Some(vec![""]),
        Some(vec![CANARY]),
    ];
    let runs = [
        None,
        Some(""),
        Some("run-6"),
        Some("run-7"),
        Some("RUN-7"),
        Some(CANARY),
    ];
    [
        each("scan", coverages, |w, v| w.stated.scan_covered = v),
        each("scan findings", findings, |w, v| w.stated.scan_findings = v),
        each("fixture", fixtures, |w, v| w.stated.fixture = v),
        each("target repository", PRESENCES, |w, v| {
            w.stated.target_repository = v;
        }),
        each("CASE_MODEL_OVERRIDE", PRESENCES, |w, v| {
            w.stated.model_override = v;
        }),
        each("--model", PRESENCES, |w, v| w.stated.model_flag = v),
        each("--agent", PRESENCES, |w, v| w.stated.agent_flag = v),
        each("credentials", credentials, |w, v| w.stated.credentials = v),
        each("baseline run", runs, |w, v| w.stated.baseline_run = v),
    ]
    .concat()
}

fn of_the_local_provider() -> Vec<Mutation> {
    let scopes = [
        None,
        Some(EndpointScope::Loopback),
        Some(EndpointScope::Private),
        Some(EndpointScope::Tailnet),
        Some(EndpointScope::Public),
    ];
    let adapters = [
        AdapterState::Absent,
        AdapterState::Valid,
        AdapterState::Malformed,
        AdapterState::PairAbsent,
        AdapterState::OtherEndpoint,
        AdapterState::ShellCommand,
    ];
    let served = [
        ServedModel::Unstated,
        ServedModel::NotProbed,
        ServedModel::Match,
        ServedModel::Mismatch,
    ];
    let classes = [
        vec![],
        vec![("spark-tailnet", vec![])],
        vec![("spark-tailnet", vec![EndpointScope::Loopback])],
        vec![("Spark-Tailnet", EndpointScope::ALL.to_vec())],
        vec![("other", EndpointScope::ALL.to_vec())],
    ];
    [
        each("base URL", PRESENCES, |w, v| w.stated.base_url = v),
        each("scope", scopes, |w, v| w.stated.scope = v),
        each("adapter", adapters, |w, v| w.stated.adapter = v),
        each("served model", served, |w, v| w.stated.served_model = v),
        each("network classes", classes, |w, v| w.network_classes = v),
    ]
    .concat()
}

/// The time, and how fresh the policy is.
fn of_the_moment() -> Vec<Mutation> {
    let times = [
        0,
        JUNE - 1,
        JUNE,
        JUNE + 30 * DAY - 1,
        JUNE + 30 * DAY,
        JUNE + 400 * DAY,
    ];
    [
        each("read", [false], |w, v| w.read = v),
        each("unverified", [0, 29, 30, 31, u64::MAX], |w, v| {
            w.unverified_s = v;
        }),
        each("staleness", [0, 1, 2, 3], |w, v| w.staleness_max_s = v),
        each("now", times, |w, v| w.now = v),
    ]
    .concat()
}
