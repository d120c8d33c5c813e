//! How Case itself resolves the model of each role from its `config.json`.
//!
//! For a role: `models.<role>` if JavaScript takes it for true, else `models.default`, else the
//! silent default, without a word. A missing file, a `models` that is no object and a misspelled or
//! null `default` all end in the silent default. This module reproduces that, and names what Case
//! would not even notice.

use alloc::{borrow::Cow, vec::Vec};

use crate::{
    json::{self, JsonError, Node, Value},
    pair::{Pair, SILENT_MODEL, SILENT_PROVIDER},
};

/// Largest `config.json`, in bytes.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;

/// The roles that Case runs agents in.
pub const ROLES: [&str; 6] = [
    "implementer",
    "verifier",
    "reviewer",
    "closer",
    "retrospective",
    "orchestrator",
];

/// What stands under `models` for one name, as far as Case looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing, or null.
    Absent,
    /// What JavaScript takes for false: `false`, `0`, an empty text.
    Falsy,
    /// Something else that is no object with two texts `provider` and `model`.
    Malformed,
    /// A pair.
    Pair(Pair),
}

/// A parsed `config.json`: what Case would use of it, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseConfig {
    /// The entry `default`.
    pub default: Entry,
    /// The entries of the roles, in the order of [`ROLES`].
    pub roles: [Entry; ROLES.len()],
}

/// Why a `config.json` can not be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFault {
    /// It is larger than [`CONFIG_BYTES_MAX`].
    TooLarge,
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON; Case would fall back in silence.
    NotJson,
    /// An object has a key twice; Case would take the last one.
    DuplicateKey,
    /// It is not an object; Case would fall back in silence.
    NotAnObject,
}

impl ConfigFault {
    /// The fault, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::TooLarge => "is larger than 256 KiB",
            Self::NotUtf8 => "is not UTF-8",
            Self::NotJson => "is not JSON",
            Self::DuplicateKey => "has a key twice in one object",
            Self::NotAnObject => "is not an object",
        }
    }
}

/// What Case would use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution<'a> {
    /// This pair.
    Pair {
        /// The provider.
        provider: &'a str,
        /// The model.
        model: &'a str,
    },
    /// Nothing: Case would stop with an error.
    Error,
}

impl Resolution<'_> {
    const SILENT: Self = Resolution::Pair {
        provider: SILENT_PROVIDER,
        model: SILENT_MODEL,
    };
}

impl CaseConfig {
    /// Parses the bytes of a `config.json`. A leading byte order mark is accepted, as Case does.
    ///
    /// # Errors
    ///
    /// When the bytes are too many, not UTF-8, not one JSON object, or repeat a key.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigFault> {
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(ConfigFault::TooLarge);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| ConfigFault::NotUtf8)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = json::parse_borrowed(text).map_err(|error| match error {
            JsonError::Malformed { .. } | JsonError::TooDeep { .. } => ConfigFault::NotJson,
            JsonError::DuplicateKey { .. } => ConfigFault::DuplicateKey,
        })?;
        match root.value {
            Value::Object(_) => {}
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => return Err(ConfigFault::NotAnObject),
        }
        // JavaScript finds no entry in a `models` that is an array, a text or a number either.
        let models = root.get("models");
        let entry = |name: &str| Entry::of(models.and_then(|models| models.get(name)));
        Ok(Self {
            default: entry("default"),
            roles: ROLES.map(entry),
        })
    }

    /// The names of `default` and of the roles whose entry is there but can not be a model.
    #[must_use]
    pub fn malformed_entries(&self) -> Vec<&'static str> {
        core::iter::once(("default", &self.default))
            .chain(self.by_role())
            .filter(|(_, entry)| **entry == Entry::Malformed)
            .map(|(name, _)| name)
            .collect()
    }

    /// Whether `models.default` is exactly this pair.
    #[must_use]
    pub fn default_is(&self, provider: &str, model: &str) -> bool {
        self.default.names() == Some((provider, model))
    }

    /// The roles for which Case would use another pair than this one.
    #[must_use]
    pub fn roles_elsewhere(&self, provider: &str, model: &str) -> Vec<&'static str> {
        self.by_role()
            .filter(|(_, entry)| match self.resolve(entry) {
                Resolution::Pair {
                    provider: resolved_provider,
                    model: resolved_model,
                } => (resolved_provider, resolved_model) != (provider, model),
                Resolution::Error => false,
            })
            .map(|(role, _)| role)
            .collect()
    }

    fn by_role(&self) -> impl Iterator<Item = (&'static str, &Entry)> {
        ROLES.into_iter().zip(&self.roles)
    }

    /// What Case would use for a role with this entry.
    fn resolve<'a>(&'a self, entry: &'a Entry) -> Resolution<'a> {
        let used = match entry {
            Entry::Absent | Entry::Falsy => &self.default,
            Entry::Malformed | Entry::Pair(_) => entry,
        };
        match used {
            Entry::Absent => Resolution::SILENT,
            Entry::Falsy | Entry::Malformed => Resolution::Error,
            Entry::Pair(pair) => Resolution::Pair {
                provider: &pair.provider,
                model: &pair.model,
            },
        }
    }
}

impl Entry {
    fn of(node: Option<&Node<Cow<'_, str>>>) -> Self {
        match node {
            None => Self::Absent,
            Some(node) if node.value == Value::Null => Self::Absent,
            Some(node) if !node.is_truthy() => Self::Falsy,
            Some(node) => pair_of(node).map_or(Self::Malformed, Self::Pair),
        }
    }

    fn names(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(pair) => Some((&pair.provider, &pair.model)),
            Self::Absent | Self::Falsy | Self::Malformed => None,
        }
    }
}

fn pair_of(entry: &Node<Cow<'_, str>>) -> Option<Pair> {
    Some(Pair {
        provider: entry.get("provider")?.as_str()?.into(),
        model: entry.get("model")?.as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Resolution<'_> = Resolution::Pair {
        provider: "p",
        model: "m",
    };

    fn reviewer(json: &str) -> Resolution<'static> {
        let config = CaseConfig::parse(json.as_bytes()).unwrap();
        let [_, _, reviewer, ..] = &config.roles;
        match config.resolve(reviewer) {
            LOCAL => LOCAL,
            Resolution::SILENT => Resolution::SILENT,
            Resolution::Error => Resolution::Error,
            other @ Resolution::Pair { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_role_is_resolved_as_case_resolves_it() {
        for (json, expected) in [
            (r#"{}"#, Resolution::SILENT),
            (r#"{"models":null}"#, Resolution::SILENT),
            (r#"{"models":[]}"#, Resolution::SILENT),
            (r#"{"models":"default"}"#, Resolution::SILENT),
            (r#"{"models":7}"#, Resolution::SILENT),
            (r#"{"models":{}}"#, Resolution::SILENT),
            (r#"{"models":{"default":null}}"#, Resolution::SILENT),
            (
                r#"{"models":{"Default":{"provider":"p","model":"m"}}}"#,
                Resolution::SILENT,
            ),
            (r#"{"defaultModel":"m"}"#, Resolution::SILENT),
            (
                r#"{"models":{"default":{"provider":"p","model":"m"}}}"#,
                LOCAL,
            ),
            (
                r#"{"models":{"default":{"provider":"p","model":"m"},"reviewer":null}}"#,
                LOCAL,
            ),
            (
                r#"{"models":{"default":{"provider":"p","model":"m"},"reviewer":0}}"#,
                LOCAL,
            ),
            (
                r#"{"models":{"default":{"provider":"p","model":"m"},"reviewer":""}}"#,
                LOCAL,
            ),
            (
                r#"{"models":{"default":null,"reviewer":{"provider":"p","model":"m"}}}"#,
                LOCAL,
            ),
            (
                r#"{"models":{"default":{"provider":"p","model":"m"},"reviewer":{}}}"#,
                Resolution::Error,
            ),
            (r#"{"models":{"default":"p/m"}}"#, Resolution::Error),
            (r#"{"models":{"default":false}}"#, Resolution::Error),
            (
                r#"{"models":{"default":{"provider":"p"}}}"#,
                Resolution::Error,
            ),
        ] {
            assert_eq!(reviewer(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_a_fault() {
        use ConfigFault::{DuplicateKey, NotAnObject, NotJson, NotUtf8, TooLarge};
        let large = [b' '; CONFIG_BYTES_MAX + 1];
        for (bytes, fault) in [
            (&b""[..], NotJson),
            (b"{\"models\":{},}", NotJson),
            (b"[]", NotAnObject),
            (b"null", NotAnObject),
            (b"{\"models\":{},\"models\":{}}", DuplicateKey),
            (b"{\"a\":\"\xff\"}", NotUtf8),
            (&large, TooLarge),
        ] {
            assert_eq!(CaseConfig::parse(bytes).unwrap_err(), fault);
        }
        assert!(CaseConfig::parse("\u{feff}{}".as_bytes()).is_ok());
    }

    #[test]
    fn a_config_of_just_the_largest_size_is_read() {
        let mut largest = [b' '; CONFIG_BYTES_MAX];
        largest
            .first_chunk_mut::<2>()
            .unwrap()
            .copy_from_slice(b"{}");
        assert!(CaseConfig::parse(&largest).is_ok());
    }
}
