//! The bounds that the contract sets on the texts of a request. Who asks and who answers both keep to
//! these.
//!
//! Deliberately absent: bounds on bytes and on the number of entries, which stand beside what they
//! bound; and any judgment of a text that is within its bounds.

use crate::pair::{MODEL_BYTES_MAX, PROVIDER_BYTES_MAX};

/// Largest stage.
pub const STAGE_MAX: u32 = 1000;

/// A text of a request and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The harness host.
    Host,
    /// A harness run.
    RunId,
    /// A provider; empty when there is none.
    Provider,
    /// A model; empty when there is none.
    Model,
    /// A credential source class; empty when it is not stated.
    CredentialSourceClass,
    /// The name of a credential variable.
    VariableName,
    /// An agent that was seen at work.
    Agent,
    /// What a report states as `case_model_admission_status`; empty when it states nothing.
    AdmissionStatus,
    /// A permit; empty when there is none.
    Permit,
}

impl Bound {
    /// The bounds, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Host => "1 to 253 characters of `a-z A-Z 0-9 . -`",
            Self::RunId => "1 to 128 characters of `A-Z a-z 0-9 . _ : -`",
            Self::Provider => "at most 128 visible ASCII characters",
            Self::Model | Self::CredentialSourceClass => "at most 256 visible ASCII characters",
            Self::VariableName => "1 to 128 characters of `A-Z a-z 0-9 _`",
            Self::Agent => "1 to 64 characters of `a-z 0-9 -`",
            Self::AdmissionStatus => "at most 64 visible ASCII characters",
            Self::Permit => "at most 4096 characters of `A-Z a-z 0-9 - _ .`",
        }
    }

    /// Whether the text may be empty.
    #[must_use]
    pub fn may_be_empty(self) -> bool {
        match self {
            Self::Host | Self::RunId | Self::VariableName | Self::Agent => false,
            Self::Provider
            | Self::Model
            | Self::CredentialSourceClass
            | Self::AdmissionStatus
            | Self::Permit => true,
        }
    }

    /// The longest text, in bytes.
    #[must_use]
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Host => 253,
            Self::RunId | Self::VariableName => 128,
            Self::Provider => PROVIDER_BYTES_MAX,
            Self::Model => MODEL_BYTES_MAX,
            Self::CredentialSourceClass => 256,
            Self::Agent | Self::AdmissionStatus => 64,
            Self::Permit => 4096,
        }
    }

    /// Whether `byte` may be part of the text.
    #[must_use]
    pub fn allows(self, byte: u8) -> bool {
        match self {
            Self::Host => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'),
            Self::RunId => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-')
            }
            Self::Provider | Self::Model | Self::CredentialSourceClass | Self::AdmissionStatus => {
                byte.is_ascii_graphic()
            }
            Self::VariableName => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Agent => byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
            Self::Permit => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
        }
    }

    /// Whether `text` is within the bounds.
    #[must_use]
    pub fn holds(self, text: &str) -> bool {
        (self.may_be_empty() || !text.is_empty())
            && text.len() <= self.bytes_max()
            && text.bytes().all(|byte| self.allows(byte))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const ALL: [Bound; 9] = [
        Bound::Host,
        Bound::RunId,
        Bound::Provider,
        Bound::Model,
        Bound::CredentialSourceClass,
        Bound::VariableName,
        Bound::Agent,
        Bound::AdmissionStatus,
        Bound::Permit,
    ];

    #[test]
    fn each_text_has_its_bounds() {
        for (bound, good, bad) in [
            (Bound::Host, "spark-1.lan", "spark_1"),
            (Bound::Host, "h", ""),
            (Bound::RunId, "run:2026-06-01_a.b", "run 1"),
            (Bound::RunId, "r", ""),
            (Bound::Provider, "", "a b"),
            (Bound::Provider, "qwen-local", "é"),
            (Bound::Model, "org/model:tag", "a\n"),
            (Bound::CredentialSourceClass, "", "\u{7f}"),
            (Bound::VariableName, "AWS_a0", "A-B"),
            (Bound::VariableName, "_", ""),
            (Bound::Agent, "implementer-2", "Implementer"),
            (Bound::Agent, "a", ""),
            (Bound::AdmissionStatus, "", "not admitted"),
            (Bound::Permit, "", "a+b"),
            (Bound::Permit, "aZ0.-_", "a="),
        ] {
            assert!(bound.holds(good), "{bound:?} {good}");
            assert!(!bound.holds(bad), "{bound:?} {bad}");
        }
        for (bound, max) in [
            (Bound::Host, 253),
            (Bound::RunId, 128),
            (Bound::Provider, 128),
            (Bound::Model, 256),
            (Bound::CredentialSourceClass, 256),
            (Bound::VariableName, 128),
            (Bound::Agent, 64),
            (Bound::AdmissionStatus, 64),
            (Bound::Permit, 4096),
        ] {
            assert!(bound.holds(&"a".repeat(max)), "{bound:?}");
            assert!(!bound.holds(&"a".repeat(max + 1)), "{bound:?}");
        }
    }

    #[test]
    fn a_person_is_told_the_same_bounds() {
        for bound in ALL {
            let said = bound.describe();
            let max = bound.bytes_max();
            let length = if bound.may_be_empty() {
                format!("at most {max} ")
            } else {
                format!("1 to {max} ")
            };
            assert!(said.starts_with(&length), "{bound:?}: {said}");
            // Every punctuation mark that is allowed is named, and no other one.
            if let Some((_, named)) = said.split_once('`') {
                let named = named
                    .replace("A-Z", "")
                    .replace("a-z", "")
                    .replace("0-9", "");
                for mark in
                    (b'!'..=b'~').filter(|byte| !byte.is_ascii_alphanumeric() && *byte != b'`')
                {
                    let is_named = named.bytes().any(|byte| byte == mark);
                    assert_eq!(
                        bound.allows(mark),
                        is_named,
                        "{bound:?}: {}",
                        char::from(mark)
                    );
                }
            }
        }
    }
}
