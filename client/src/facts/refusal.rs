//! What the wrapper refuses by itself: traps of a launch that no gate of the server can be told of.
//!
//! A refusal holds whatever the server answers. What a gate can be told of is told it, or stays
//! unstated, which denies; the refusal then says the real reason beside the gate's.
//!
//! In the fake lane no model runs. There only those refusals hold whose trap lets other code run than
//! the command that was stated.

use admit_policy::{bounds::Bound, secret};
use admit_proto::v1::Lane;

/// A reason of the wrapper's own. The codes are fixed: scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The command is not Case itself.
    CommandNotCase,
    /// No explicit task file.
    TaskNotExplicit,
    /// No task that Case could run.
    TaskInvalid,
    /// Case would not say which model it uses.
    CaseQuietSet,
    /// Case would take its prompts from elsewhere.
    CaseAssetsRedirected,
    /// Bun would set variables by itself.
    DotenvInWorkingDirectory,
    /// Bun would load code by itself.
    BunConfigInWorkingDirectory,
    /// Bun would take further options.
    BunOptionsSet,
    /// A variable loads code.
    CodeInjectionVariable,
    /// A proxy stands before the base URL.
    ProxyConfigured,
    /// A variable leads a provider's client elsewhere.
    EndpointVariableSet,
    /// Certificates would not be checked.
    TlsNotVerified,
    /// Pi would look elsewhere for its files.
    PiPackageRedirected,
    /// Nobody can tell what Pi would make of its files.
    AdapterNotJudged,
    /// Pi would run a shell command.
    AdapterRunsCommand,
    /// Pi would send the model's requests elsewhere.
    AdapterRedirectsModel,
}

impl RefusalCode {
    /// Every code, in the order in which refusals are given.
    pub const ALL: [Self; 16] = [
        Self::CommandNotCase,
        Self::TaskNotExplicit,
        Self::TaskInvalid,
        Self::CaseQuietSet,
        Self::CaseAssetsRedirected,
        Self::DotenvInWorkingDirectory,
        Self::BunConfigInWorkingDirectory,
        Self::BunOptionsSet,
        Self::CodeInjectionVariable,
        Self::ProxyConfigured,
        Self::EndpointVariableSet,
        Self::TlsNotVerified,
        Self::PiPackageRedirected,
        Self::AdapterNotJudged,
        Self::AdapterRunsCommand,
        Self::AdapterRedirectsModel,
    ];

    /// The code as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandNotCase => "command-not-case",
            Self::TaskNotExplicit => "task-not-explicit",
            Self::TaskInvalid => "task-invalid",
            Self::CaseQuietSet => "case-quiet-set",
            Self::CaseAssetsRedirected => "case-assets-redirected",
            Self::DotenvInWorkingDirectory => "dotenv-in-working-directory",
            Self::BunConfigInWorkingDirectory => "bun-config-in-working-directory",
            Self::BunOptionsSet => "bun-options-set",
            Self::CodeInjectionVariable => "code-injection-variable",
            Self::ProxyConfigured => "proxy-configured",
            Self::EndpointVariableSet => "endpoint-variable-set",
            Self::TlsNotVerified => "tls-not-verified",
            Self::PiPackageRedirected => "pi-package-redirected",
            Self::AdapterNotJudged => "adapter-not-judged",
            Self::AdapterRunsCommand => "adapter-runs-command",
            Self::AdapterRedirectsModel => "adapter-redirects-model",
        }
    }

    /// When it refuses.
    #[must_use]
    pub fn refuses(self) -> &'static str {
        match self {
            Self::CommandNotCase => {
                "the command is not `case`, `ca`, or `bun` with a script and no flag that loads more"
            }
            Self::TaskNotExplicit => {
                "the arguments are not Case's `run` with exactly one `--task FILE`; without it Case \
                 silences itself"
            }
            Self::TaskInvalid => {
                "there is not exactly one task file, or it is not a JSON object with `id`, `status`, \
                 `created` and `repo`"
            }
            Self::CaseQuietSet => {
                "CASE_QUIET is set: Case would not say which model it uses, and nothing could be proved"
            }
            Self::CaseAssetsRedirected => {
                "CASE_PACKAGE_ROOT is set: Case would take its prompts from another folder"
            }
            Self::DotenvInWorkingDirectory => {
                "a `.env` file of the working directory would be loaded, which can set any variable"
            }
            Self::BunConfigInWorkingDirectory => {
                "there is a `bunfig.toml` in the working directory, which can load any code"
            }
            Self::BunOptionsSet => "BUN_OPTIONS is set, which can load any code",
            Self::CodeInjectionVariable => {
                "a variable is set that loads code into programs or changes how they run, such as \
                 LD_PRELOAD or NODE_OPTIONS"
            }
            Self::ProxyConfigured => {
                "a proxy variable is set while a base URL is: the requests would take another way"
            }
            Self::EndpointVariableSet => {
                "a variable is set that leads the client of a provider to another endpoint"
            }
            Self::TlsNotVerified => {
                "NODE_TLS_REJECT_UNAUTHORIZED is set: whoever answers would be believed"
            }
            Self::PiPackageRedirected => {
                "PI_PACKAGE_DIR is set, or Case's `pi-package` folder names other folders than Pi's own"
            }
            Self::AdapterNotJudged => {
                "Pi's models.json or auth.json is there, and cannot be read as Pi would read it"
            }
            Self::AdapterRunsCommand => {
                "a value in Pi's models.json or auth.json would run a shell command"
            }
            Self::AdapterRedirectsModel => {
                "Pi's models.json sends the requested model to another endpoint than the base URL, or \
                 to one of its own while no base URL is supplied"
            }
        }
    }

    /// How it is mended.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::CommandNotCase => {
                "start `bun --no-env-file <case>/src/index.ts run --task FILE --mode unattended`"
            }
            Self::TaskNotExplicit => "give `run --task FILE` once, as words of their own",
            Self::TaskInvalid => "name one task file that Case wrote or would take",
            Self::CaseQuietSet => "unset CASE_QUIET",
            Self::CaseAssetsRedirected => "unset CASE_PACKAGE_ROOT",
            Self::DotenvInWorkingDirectory => {
                "remove the file, or start Case as `bun --no-env-file …`"
            }
            Self::BunConfigInWorkingDirectory => "start Case in a folder without it",
            Self::BunOptionsSet => "unset BUN_OPTIONS",
            Self::CodeInjectionVariable => "unset the variable",
            Self::ProxyConfigured => "unset the variable; NO_PROXY does not help",
            Self::EndpointVariableSet => {
                "unset the variable; models.json is where an endpoint is set"
            }
            Self::TlsNotVerified => {
                "unset it, and name the certificate authority in NODE_EXTRA_CA_CERTS"
            }
            Self::PiPackageRedirected => "unset PI_PACKAGE_DIR, and remove the folder",
            Self::AdapterNotJudged => "mend the file, or let the command read it",
            Self::AdapterRunsCommand => "name a variable or a placeholder instead of `!command`",
            Self::AdapterRedirectsModel => {
                "let `baseUrl` be the value of CTO_HARNESS_CASE_LOCAL_BASE_URL, or remove it"
            }
        }
    }

    /// Whether it holds in the fake lane too: other code would run than the command that was stated.
    #[must_use]
    pub fn lets_other_code_run(self) -> bool {
        match self {
            Self::BunConfigInWorkingDirectory
            | Self::BunOptionsSet
            | Self::CodeInjectionVariable => true,
            Self::CommandNotCase
            | Self::TaskNotExplicit
            | Self::TaskInvalid
            | Self::CaseQuietSet
            | Self::CaseAssetsRedirected
            | Self::DotenvInWorkingDirectory
            | Self::ProxyConfigured
            | Self::EndpointVariableSet
            | Self::TlsNotVerified
            | Self::PiPackageRedirected
            | Self::AdapterNotJudged
            | Self::AdapterRunsCommand
            | Self::AdapterRedirectsModel => false,
        }
    }

    fn holds_in(self, lane: Lane) -> bool {
        match lane {
            Lane::Fake => self.lets_other_code_run(),
            Lane::Unspecified | Lane::Real => true,
        }
    }
}

/// Why the wrapper does not start the command, whatever the server answers. Holds no value and no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub code: RefusalCode,
    /// What it is about: the name of a variable, a flag or a file.
    pub about: String,
}

/// Most refusals of one code that are given.
const PER_CODE_MAX: usize = 16;

/// The refusals that hold in `lane`, in the order of their codes.
pub(super) fn in_order(refusals: &[Refusal], lane: Lane) -> Vec<Refusal> {
    RefusalCode::ALL
        .into_iter()
        .filter(|code| code.holds_in(lane))
        .flat_map(|code| {
            refusals
                .iter()
                .filter(move |refusal| refusal.code == code)
                .take(PER_CODE_MAX)
        })
        .cloned()
        .collect()
}

/// The name of a variable, unless it cannot be shown.
pub(super) fn shown_name(name: &str) -> String {
    if Bound::VariableName.holds(name) && !secret::is_present(name) {
        name.to_owned()
    } else {
        "a variable whose name cannot be shown".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_its_own_and_says_how_it_is_mended() {
        let codes: BTreeSet<&str> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), RefusalCode::ALL.len());
        for code in RefusalCode::ALL {
            let is_kebab = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(code.as_str().bytes().all(is_kebab), "{code:?}");
            assert!(!code.refuses().contains(['|', '\n']), "{code:?}");
            assert!(!code.help().contains(['|', '\n']), "{code:?}");
        }
    }
}
