//! The environment that the command really gets: what surrounds it without the credentials of others.
//!
//! The facts have to be gathered of this environment, not of the one that the wrapper itself has.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use admit_policy::facts::{is_credential_of, is_credential_variable};

use super::{Surroundings, has_secret};

/// The variables of `surroundings` without every credential that is not `provider`'s: what has the name
/// of one, and what has a value that looks like one. Nothing else is taken out or changed: what a gate
/// or a refusal has to see stays.
#[must_use]
pub fn child_environment(
    surroundings: &Surroundings,
    provider: &str,
) -> BTreeMap<OsString, OsString> {
    surroundings
        .variables
        .iter()
        .filter(|(name, value)| !is_foreign_credential(name, value, provider))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_foreign_credential(name: &OsStr, value: &OsStr, provider: &str) -> bool {
    let name = name.to_string_lossy();
    let is_credential = is_credential_variable(&name) || has_secret(&value.to_string_lossy());
    is_credential && !is_credential_of(&name, provider)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn kept(provider: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let mut variables: BTreeMap<OsString, OsString> = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        variables.insert(OsString::from_vec(b"\xff_TOKEN".to_vec()), "x".into());
        let surroundings = Surroundings {
            variables,
            working_dir: "/".into(),
            argv: Vec::new(),
        };
        child_environment(&surroundings, provider)
            .into_keys()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn only_the_credentials_of_the_provider_stay() {
        let variables = [
            ("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef"),
            ("ANTHROPIC_OAUTH_TOKEN", ""),
            ("AWS_PROFILE", "default"),
            ("CASE_MODEL_OVERRIDE", "x"),
            (
                "CTO_HARNESS_CASE_LOCAL_BASE_URL",
                "http://127.0.0.1:8000/v1",
            ),
            ("DATABASE", "postgres://jp:hunter2@db/x"),
            ("GH_TOKEN", "x"),
            ("HOME", "/home/jp"),
            ("HTTP_PROXY", "http://10.0.0.1:3128"),
            ("MY_PASSWORD", "x"),
            ("OPENAI_API_KEY", "sk-0123456789abcdef"),
            ("SSH_AUTH_SOCK", "/run/agent"),
        ];
        let others = [
            "CASE_MODEL_OVERRIDE",
            "CTO_HARNESS_CASE_LOCAL_BASE_URL",
            "HOME",
            "HTTP_PROXY",
            "SSH_AUTH_SOCK",
        ];
        for (provider, own) in [
            ("openai", &["OPENAI_API_KEY"][..]),
            ("anthropic", &["ANTHROPIC_API_KEY", "ANTHROPIC_OAUTH_TOKEN"]),
            ("amazon-bedrock", &["AWS_PROFILE"]),
            ("qwen-local", &[]),
            ("", &[]),
        ] {
            let mut due = [&others[..], own].concat();
            due.sort_unstable();
            assert_eq!(kept(provider, &variables), due, "{provider}");
        }
    }
}
