//! A launch and the policy that it meets, described as plain data.
//!
//! Deliberately absent: documents, digests and verdicts. `render` makes the documents, `expected`
//! states the verdict.

use admit_policy::facts::{
    AdapterState, EndpointScope, FixtureKind, Lane, Presence, ScanTarget, ServedModel,
};

/// A text that every search for secrets has to find.
pub(crate) const CANARY: &str = "sk-ant-canary0123456789abcd";

/// A point in time as a document writes it; `unix` is `None` where that is not RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) text: &'static str,
    pub(crate) unix: Option<i64>,
}

/// 2026-06-01, noon, in seconds.
pub(crate) const JUNE: i64 = 1_780_315_200;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const JUNE_TIME: Time = Time {
    text: "2026-06-01T12:00:00Z",
    unix: Some(JUNE),
};
pub(crate) const JUNE_TIME_ELSEWHERE: Time = Time {
    text: "2026-06-01T08:00:00-04:00",
    unix: Some(JUNE),
};
pub(crate) const JULY_TIME: Time = Time {
    text: "2026-07-01T12:00:00Z",
    unix: Some(JUNE + 30 * DAY),
};
pub(crate) const NO_TIME: Time = Time {
    text: "next summer",
    unix: None,
};

/// How a decision record is written. The first few are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordForm {
    Plain,
    Crlf,
    WithHistory,
    WithProse,
    WithOtherBullets,
    KeysFenced,
    KeysCommented,
    KeysQuoted,
    KeysUnderOtherHeading,
    KeysNumbered,
    SecondSection,
    LookalikeSection,
    TrailingText,
    ByteOrderMark,
    NotUtf8,
    NoFrontMatter,
    SecretInHistory,
    EndpointInHistory,
    Unreadable,
    TooLarge,
    LinkNotFollowed,
}

/// A decision record: its keys in order, each as often as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) form: RecordForm,
    pub(crate) lifecycle: Option<&'static str>,
    pub(crate) keys: Vec<(&'static str, &'static str)>,
}

impl Record {
    pub(crate) fn set(&mut self, key: &'static str, value: &'static str) {
        match self.keys.iter_mut().find(|(name, _)| *name == key) {
            Some(found) => found.1 = value,
            None => self.keys.push((key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &'static str) {
        self.keys.retain(|(name, _)| *name != key);
    }
}

/// How an admission file is written. The first two are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmissionForm {
    Plain,
    Escaped,
    UnknownField,
    UnknownInnerField,
    DuplicateField,
    DuplicateInnerField,
    ModelIsANumber,
    ByteOrderMark,
    NotUtf8,
    Truncated,
    NotAnObject,
    Unreadable,
}

/// An admission file; a field that is `None` is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) form: AdmissionForm,
    /// As JSON.
    pub(crate) schema_version: Option<&'static str>,
    pub(crate) work_item: Option<&'static str>,
    pub(crate) status: Option<&'static str>,
    pub(crate) class: Option<&'static str>,
    pub(crate) provider: Option<&'static str>,
    pub(crate) model: Option<&'static str>,
    pub(crate) role: Option<&'static str>,
    pub(crate) credential_source: Option<&'static str>,
    pub(crate) network: Option<&'static str>,
    pub(crate) approval_source: Option<&'static str>,
    pub(crate) from: Option<Time>,
    pub(crate) review_condition: Option<&'static str>,
    pub(crate) review_at: Option<Time>,
    pub(crate) evidence: Option<Vec<&'static str>>,
    /// Status and evidence.
    pub(crate) bridge: Option<(&'static str, &'static str)>,
}

/// The files of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) records: Vec<Record>,
    pub(crate) admissions: Vec<Admission>,
    pub(crate) work_items: Option<&'static str>,
}

/// The admission file on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostFile {
    Unset,
    /// A copy of the policy's file at this index.
    CopyOf(usize),
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpectedPolicy {
    Unset,
    Same,
    Other,
}

/// An entry of `models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Pair(&'static str, &'static str),
    /// JSON that JavaScript takes for false.
    Falsy(&'static str),
    /// JSON that JavaScript takes for true, and that is no pair.
    Malformed(&'static str),
}

/// What `models` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Models {
    Absent,
    /// JSON that is no object.
    NotAnObject(&'static str),
    Entries(Vec<(&'static str, Entry)>),
}

/// Case's `config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Config {
    Missing,
    /// Bytes that are not one JSON object with each key once.
    Broken(&'static [u8]),
    Object {
        byte_order_mark: bool,
        models: Models,
        /// One more member, as JSON.
        beside: Option<&'static str>,
    },
}

/// What the caller states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) host: &'static str,
    pub(crate) run: &'static str,
    pub(crate) lane: Lane,
    pub(crate) stage: u32,
    pub(crate) expected_policy: ExpectedPolicy,
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    pub(crate) host_file: HostFile,
    pub(crate) credential_source: &'static str,
    pub(crate) config: Config,
    pub(crate) model_override: Presence,
    pub(crate) model_flag: Presence,
    pub(crate) agent_flag: Presence,
    pub(crate) credentials: Option<Vec<&'static str>>,
    pub(crate) target_repository: Presence,
    pub(crate) scan_covered: Option<Vec<ScanTarget>>,
    pub(crate) scan_findings: Vec<ScanTarget>,
    pub(crate) fixture: FixtureKind,
    pub(crate) baseline_run: Option<&'static str>,
    pub(crate) base_url: Presence,
    pub(crate) scope: Option<EndpointScope>,
    pub(crate) adapter: AdapterState,
    pub(crate) served_model: ServedModel,
}

/// Everything that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct World {
    /// Whether a snapshot was ever read.
    pub(crate) read: bool,
    pub(crate) policy: Policy,
    pub(crate) unverified_s: u64,
    pub(crate) staleness_max_s: u64,
    pub(crate) network_classes: Vec<(&'static str, Vec<EndpointScope>)>,
    pub(crate) now: i64,
    pub(crate) stated: Stated,
}

pub(crate) const LOCAL: (&str, &str) = ("qwen-local", "qwen3.6-35b-a3b");
pub(crate) const CODEX: (&str, &str) = ("openai-codex", "gpt-5.5");
pub(crate) const EXTERNAL: (&str, &str) = ("anthropic", "claude-opus-4-1");
pub(crate) const SILENT: (&str, &str) = ("anthropic", "claude-sonnet-4-6");
pub(crate) const ALL_TARGETS: [ScanTarget; 3] = [
    ScanTarget::Argv,
    ScanTarget::TaskFile,
    ScanTarget::GeneratedConfig,
];

fn record(
    status: &'static str,
    class: &'static str,
    primary: (&'static str, &'static str),
) -> Record {
    Record {
        form: RecordForm::Plain,
        lifecycle: Some("sot"),
        keys: vec![
            ("decision_status", status),
            ("provider_class", class),
            ("provider", primary.0),
            ("model", primary.1),
            ("fallback_provider", CODEX.0),
            ("fallback_model", CODEX.1),
            ("approval_source", "review of 2026-06-01"),
            ("credential_source_class", "some-class"),
            ("allowed_network_class", "some-network"),
            ("review_trigger", "any change"),
            ("evidence_sources", "A.md"),
            ("effect", "blocked until admitted"),
        ],
    }
}

fn admission(
    class: &'static str,
    role: &'static str,
    (provider, model): (&'static str, &'static str),
    credential_source: &'static str,
) -> Admission {
    Admission {
        form: AdmissionForm::Plain,
        schema_version: Some("1"),
        work_item: Some("CTO-WORK-020"),
        status: Some("admitted"),
        class: Some(class),
        provider: Some(provider),
        model: Some(model),
        role: Some(role),
        credential_source: Some(credential_source),
        network: Some("spark-tailnet"),
        approval_source: Some("review of 2026-06-01"),
        from: Some(JUNE_TIME),
        review_condition: Some("any change"),
        review_at: Some(JULY_TIME),
        evidence: Some(vec!["the pair stands in the report"]),
        bridge: None,
    }
}

/// A launch in the real lane of the pair that the first admission admits.
fn real(
    policy: Policy,
    (provider, model): (&'static str, &'static str),
    credential_source: &'static str,
) -> World {
    World {
        read: true,
        policy,
        unverified_s: 2,
        staleness_max_s: 30,
        network_classes: vec![(
            "spark-tailnet",
            vec![EndpointScope::Loopback, EndpointScope::Tailnet],
        )],
        now: JUNE + DAY,
        stated: Stated {
            host: "spark-1",
            run: "run-7",
            lane: Lane::Real,
            stage: 2,
            expected_policy: ExpectedPolicy::Same,
            provider,
            model,
            host_file: HostFile::CopyOf(0),
            credential_source,
            config: Config::Object {
                byte_order_mark: false,
                models: Models::Entries(vec![("default", Entry::Pair(provider, model))]),
                beside: None,
            },
            model_override: Presence::Absent,
            model_flag: Presence::Absent,
            agent_flag: Presence::Absent,
            credentials: Some(Vec::new()),
            target_repository: Presence::Absent,
            scan_covered: Some(ALL_TARGETS.to_vec()),
            scan_findings: Vec::new(),
            fixture: FixtureKind::CopiedArtificial,
            baseline_run: Some("run-7"),
            base_url: Presence::Present,
            scope: Some(EndpointScope::Tailnet),
            adapter: AdapterState::Valid,
            served_model: ServedModel::Match,
        },
    }
}

fn local_policy(fallback_bridge: &'static str) -> Policy {
    let mut fallback = admission("external_fallback", "fallback", CODEX, "codex-oauth");
    fallback.bridge = Some((fallback_bridge, "an experiment of June"));
    Policy {
        records: vec![record(
            "local_provider_required",
            "local_case_compatible",
            LOCAL,
        )],
        admissions: vec![
            admission("local_case_compatible", "primary", LOCAL, "local-no-secret"),
            fallback,
        ],
        work_items: None,
    }
}

/// The local primary pair, allowed.
pub(crate) fn local_primary() -> World {
    real(local_policy("unproven"), LOCAL, "local-no-secret")
}

/// An external pair, allowed; nothing of a local provider is stated.
pub(crate) fn external(pair: (&'static str, &'static str)) -> World {
    let policy = Policy {
        records: vec![record(
            "external_provider_approved",
            "external_anthropic",
            pair,
        )],
        admissions: vec![admission(
            "external_anthropic",
            "primary",
            pair,
            "environment",
        )],
        work_items: None,
    };
    let mut world = real(policy, pair, "environment");
    world.stated.credentials = Some(vec!["ANTHROPIC_API_KEY"]);
    world.stated.base_url = Presence::Unstated;
    world.stated.scope = None;
    world.stated.adapter = AdapterState::Absent;
    world.stated.served_model = ServedModel::Unstated;
    world
}

/// The fallback pair with a proven bridge, allowed.
pub(crate) fn bridged_fallback() -> World {
    let mut policy = local_policy("proven");
    policy.admissions.reverse();
    real(policy, CODEX, "codex-oauth")
}

/// The fake lane, allowed.
pub(crate) fn fake() -> World {
    let mut world = local_primary();
    world.stated.lane = Lane::Fake;
    world.stated.provider = "";
    world.stated.model = "";
    world
}
