//! The facts of one launch, as the gates look at them.
//!
//! Every value set has a place for what was not stated, and no gate takes it for the good value.
//! Deliberately absent: the bytes that a caller sent ([`crate::launch`] has them), and any bound on
//! the texts; the border checks those.

use alloc::{string::String, vec::Vec};

use crate::{
    case_config::{CaseConfig, ConfigFault},
    digest::Digest,
};

/// Largest number of credential names in one request.
pub const CREDENTIAL_NAMES_MAX: usize = 256;

/// The lane of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Not stated, or not known.
    Unspecified,
    /// No model is used.
    Fake,
    /// Case runs with a model.
    Real,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nobody looked.
    Unstated,
    /// Looked for and not there.
    Absent,
    /// There.
    Present,
}

/// A place that is searched for secrets before a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanTarget {
    /// Not stated, or not known.
    Unstated,
    /// The arguments of the command.
    Argv,
    /// The task file.
    TaskFile,
    /// The configuration generated for Case and Pi.
    GeneratedConfig,
}

/// The result of the caller's search for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretScan {
    /// What was searched.
    pub covered: Vec<ScanTarget>,
    /// Where something was found.
    pub findings: Vec<ScanTarget>,
}

/// The kind of a fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixtureKind {
    /// Not stated, or not known.
    Unstated,
    /// A copy of an artificial fixture.
    CopiedArtificial,
    /// An artificial fixture that was not copied.
    ArtificialOriginal,
    /// A real repository, or a copy of one.
    RealRepository,
}

/// From where an endpoint can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointScope {
    /// The host itself.
    Loopback,
    /// A private network.
    Private,
    /// A Tailscale network.
    Tailnet,
    /// Anything else.
    Public,
}

impl EndpointScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Loopback, Self::Private, Self::Tailnet, Self::Public];

    /// The name that configurations use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Tailnet => "tailnet",
            Self::Public => "public",
        }
    }
}

/// What Pi's `models.json` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterState {
    /// It is not there, or nothing was stated.
    Absent,
    /// It has the pair and points at the base URL.
    Valid,
    /// It can not be read as Pi would read it.
    Malformed,
    /// It has no entry for the pair.
    PairAbsent,
    /// The entry points elsewhere.
    OtherEndpoint,
    /// A value would run a shell command.
    ShellCommand,
}

/// Whether the endpoint serves the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedModel {
    /// Not stated, or not known.
    Unstated,
    /// It was not asked.
    NotProbed,
    /// It serves the exact model id.
    Match,
    /// It does not.
    Mismatch,
}

/// What is known of the local provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalProvider {
    /// Whether its base URL is supplied.
    pub base_url: Presence,
    /// The scope of its endpoint; `None` when it was not stated.
    pub endpoint_scope: Option<EndpointScope>,
    /// What Pi's `models.json` holds.
    pub adapter: AdapterState,
    /// Whether the endpoint serves the model.
    pub served_model: ServedModel,
}

impl LocalProvider {
    /// What a caller that says nothing has said.
    pub const UNSTATED: Self = Self {
        base_url: Presence::Unstated,
        endpoint_scope: None,
        adapter: AdapterState::Absent,
        served_model: ServedModel::Unstated,
    };
}

/// The facts of one launch: everything that a gate looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The harness host.
    pub host: String,
    /// The harness run.
    pub run_id: String,
    /// The lane.
    pub lane: Lane,
    /// The stage of the harness.
    pub stage: u32,
    /// The digest that the policy is expected to have.
    pub expected_policy: Option<Digest>,
    /// The requested provider; empty when none is.
    pub provider: String,
    /// The requested model; empty when none is.
    pub model: String,
    /// The digest of the admission file on the host; `None` when it is unset or unreadable.
    pub admission_file: Option<Digest>,
    /// The class of the credential source; empty when it was not stated.
    pub credential_source_class: String,
    /// Case's `config.json`; `None` when there is none.
    pub case_config: Option<Result<CaseConfig, ConfigFault>>,
    /// Whether `CASE_MODEL_OVERRIDE` is set.
    pub case_model_override: Presence,
    /// Whether a `--model` flag is present.
    pub model_flag: Presence,
    /// Whether an `--agent` flag is present.
    pub agent_flag: Presence,
    /// The names of the credential variables in sight; `None` when nobody looked.
    pub visible_credentials: Option<Vec<String>>,
    /// Whether a Target Repository path is visible.
    pub target_repository: Presence,
    /// The caller's search for secrets; `None` when there was none.
    pub secret_scan: Option<SecretScan>,
    /// Whether something in the request itself looks like a secret.
    pub has_secret: bool,
    /// The kind of the fixture.
    pub fixture: FixtureKind,
    /// The run that the fake baseline belongs to; `None` when there is none.
    pub fake_baseline_run: Option<String>,
    /// What is known of the local provider.
    pub local_provider: LocalProvider,
}

/// The provider whose credentials are known by the prefix of their variables, and that prefix.
const BEDROCK_PROVIDER: &str = "amazon-bedrock";
const BEDROCK_PREFIX: &str = "AWS_";

/// The credential variables that Pi maps to a provider.
const CREDENTIAL_VARIABLES: [(&str, &[&str]); 22] = [
    ("ANTHROPIC_OAUTH_TOKEN", &["anthropic"]),
    ("ANTHROPIC_API_KEY", &["anthropic"]),
    ("COPILOT_GITHUB_TOKEN", &["github-copilot"]),
    ("GH_TOKEN", &["github-copilot"]),
    ("GITHUB_TOKEN", &["github-copilot"]),
    ("GOOGLE_CLOUD_API_KEY", &["google-vertex"]),
    ("GOOGLE_APPLICATION_CREDENTIALS", &["google-vertex"]),
    ("GEMINI_API_KEY", &["google"]),
    ("HF_TOKEN", &["huggingface"]),
    ("AI_GATEWAY_API_KEY", &["vercel-ai-gateway"]),
    ("KIMI_API_KEY", &["kimi-coding"]),
    ("OPENCODE_API_KEY", &["opencode", "opencode-go"]),
    ("OPENAI_API_KEY", &["openai"]),
    ("GROQ_API_KEY", &["groq"]),
    ("CEREBRAS_API_KEY", &["cerebras"]),
    ("XAI_API_KEY", &["xai"]),
    ("OPENROUTER_API_KEY", &["openrouter"]),
    ("ZAI_API_KEY", &["zai"]),
    ("MISTRAL_API_KEY", &["mistral"]),
    ("MINIMAX_API_KEY", &["minimax"]),
    ("MINIMAX_CN_API_KEY", &["minimax-cn"]),
    ("AZURE_OPENAI_API_KEY", &["azure-openai-responses"]),
];

/// Words in a name that say that a variable holds a credential, whoever it belongs to.
const CREDENTIAL_WORDS: [&str; 11] = [
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PAT",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
];
/// Names that have such a word and hold no credential: the address of an agent.
const NO_CREDENTIALS: [&str; 1] = ["SSH_AUTH_SOCK"];

/// Whether a variable of this name holds a credential, as far as a name can tell.
#[must_use]
pub fn is_credential_variable(name: &str) -> bool {
    let has_word = name.split('_').any(|word| {
        CREDENTIAL_WORDS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word))
    });
    let is_bedrock = name
        .get(..BEDROCK_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(BEDROCK_PREFIX));
    let is_known = CREDENTIAL_VARIABLES.iter().any(|(known, _)| *known == name);
    (has_word && !NO_CREDENTIALS.contains(&name)) || is_bedrock || is_known
}

/// Whether the variable is a credential of exactly this provider.
#[must_use]
pub fn is_credential_of(name: &str, provider: &str) -> bool {
    let mapped = CREDENTIAL_VARIABLES
        .iter()
        .any(|(known, providers)| *known == name && providers.contains(&provider));
    mapped || (provider == BEDROCK_PROVIDER && is_bedrock_credential(name))
}

/// Every provider that some credential variable is known to belong to, some of them repeatedly.
pub fn known_providers() -> impl Iterator<Item = &'static str> {
    CREDENTIAL_VARIABLES
        .iter()
        .flat_map(|(_, providers)| providers.iter().copied())
        .chain([BEDROCK_PROVIDER])
}

/// Whether the name belongs to the provider whose credentials are known by their prefix.
#[must_use]
pub fn is_bedrock_credential(name: &str) -> bool {
    name.starts_with(BEDROCK_PREFIX)
}

/// Whether the name stands in the table of known variables, and so may be repeated in an answer.
#[must_use]
pub fn is_known_credential(name: &str) -> bool {
    CREDENTIAL_VARIABLES.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_belongs_to_its_own_provider_only() {
        assert!(is_credential_of("OPENAI_API_KEY", "openai"));
        assert!(is_credential_of("OPENCODE_API_KEY", "opencode-go"));
        assert!(is_credential_of("AWS_PROFILE", "amazon-bedrock"));
        assert!(!is_credential_of("OPENAI_API_KEY", "openai-codex"));
        assert!(!is_credential_of("OPENAI_API_KEY", "qwen-local"));
        assert!(!is_credential_of("AWS_PROFILE", "anthropic"));
        assert!(!is_credential_of("QWEN_LOCAL_API_KEY", "qwen-local"));
    }

    #[test]
    fn a_name_tells_a_credential() {
        for name in [
            "OPENAI_API_KEY",
            "AWS_PROFILE",
            "MY_TOKEN",
            "DB_PASSWORD",
            "GH_TOKEN",
        ] {
            assert!(is_credential_variable(name), "{name}");
        }
        for name in [
            "HOME",
            "PATH",
            "TOKENS",
            "CASE_DATA_DIR",
            "SSH_AUTH_SOCK",
            "KEYBOARD",
        ] {
            assert!(!is_credential_variable(name), "{name}");
        }
    }
}
