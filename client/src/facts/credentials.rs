//! The credential variables in sight: their names, never a value.

use admit_policy::{
    bounds::Bound,
    facts::{CREDENTIAL_NAMES_MAX, is_credential_of, is_credential_variable},
    secret,
};
use admit_proto::v1::AdmitRequest;

use super::{Ledger, Surroundings};

/// Most names of other providers that a note shows.
const FOREIGN_SHOWN_MAX: usize = 16;

/// What stands for a credential variable whose name cannot be stated: one with a character that the
/// contract does not allow, one that is too long or looks like a secret itself, and all those beyond
/// the number that can be stated. It is a credential of no provider, and so it denies.
const UNNAMED: &str = "UNNAMED_CREDENTIALS";

/// The names of the credential variables, as they can be stated. A variable counts whatever its
/// value is, an empty one too.
pub(super) fn visible(surroundings: &Surroundings) -> Vec<String> {
    let mut names: Vec<String> = surroundings
        .variables
        .keys()
        .map(|name| name.to_string_lossy())
        .filter(|name| is_credential_variable(name))
        .map(|name| {
            if is_statable(&name) {
                name.into_owned()
            } else {
                UNNAMED.to_owned()
            }
        })
        .collect();
    if names.len() > CREDENTIAL_NAMES_MAX {
        names.truncate(CREDENTIAL_NAMES_MAX.saturating_sub(1));
        names.push(UNNAMED.to_owned());
    }
    names
}

/// Ledger the names in `request` that are no credentials of its provider.
pub(super) fn note_foreign(request: &AdmitRequest, ledger: &mut Ledger) {
    let names: Vec<&str> = request
        .visible_credentials
        .iter()
        .flat_map(|seen| &seen.names)
        .map(String::as_str)
        .filter(|name| !is_credential_of(name, &request.provider))
        .take(FOREIGN_SHOWN_MAX)
        .collect();
    if !names.is_empty() {
        let names = names.join(", ");
        let message = format!("has what the requested provider does not use: {names}");
        ledger.note("the environment", message);
    }
}

fn is_statable(name: &str) -> bool {
    Bound::VariableName.holds(name) && !secret::is_present(name)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use super::*;

    fn with_names(names: impl IntoIterator<Item = OsString>) -> Surroundings {
        Surroundings {
            variables: names
                .into_iter()
                .map(|name| (name, "value-canary".into()))
                .collect(),
            working_dir: "/".into(),
            argv: Vec::new(),
        }
    }

    #[test]
    fn only_credentials_are_named() {
        let surroundings =
            with_names(["HOME", "OPENAI_API_KEY", "AWS_PROFILE", "PATH"].map(OsString::from));
        assert_eq!(visible(&surroundings), ["AWS_PROFILE", "OPENAI_API_KEY"]);
    }

    #[test]
    fn a_name_that_cannot_be_stated_still_counts() {
        let names = [
            "MY-OWN_API_KEY".into(),
            "ghp_abcdefghij0123456789_TOKEN".into(),
            format!("{}_TOKEN", "A".repeat(Bound::VariableName.bytes_max())).into(),
            OsString::from_vec(b"\xff\x1b_TOKEN".to_vec()),
        ];
        for name in names {
            assert_eq!(visible(&with_names([name.clone()])), [UNNAMED], "{name:?}");
        }
        assert!(is_credential_variable(UNNAMED));
        assert!(!is_credential_of(UNNAMED, "amazon-bedrock"));
    }

    #[test]
    fn names_beyond_the_bound_deny() {
        let names = (0..=CREDENTIAL_NAMES_MAX).map(|n| format!("AWS_{n:04}").into());
        let visible = visible(&with_names(names));
        assert_eq!(visible.len(), CREDENTIAL_NAMES_MAX);
        assert_eq!(visible.last().map(String::as_str), Some(UNNAMED));
    }
}
