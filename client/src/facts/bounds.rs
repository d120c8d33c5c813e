//! The bounds that the contract sets on the texts of a request.

use admit_policy::pair::{MODEL_BYTES_MAX, PROVIDER_BYTES_MAX};

/// Largest stage.
pub const STAGE_MAX: u32 = 1000;

/// A text of the request and its bounds.
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
        }
    }

    /// Whether `text` is within the bounds.
    #[must_use]
    pub fn holds(self, text: &str) -> bool {
        let (bytes_min, bytes_max) = match self {
            Self::Host => (1, 253),
            Self::RunId => (1, 128),
            Self::Provider => (0, PROVIDER_BYTES_MAX),
            Self::Model | Self::CredentialSourceClass => (0, MODEL_BYTES_MAX),
        };
        let is_allowed = |byte: u8| match self {
            Self::Host => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'),
            Self::RunId => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-')
            }
            Self::Provider | Self::Model | Self::CredentialSourceClass => byte.is_ascii_graphic(),
        };
        (bytes_min..=bytes_max).contains(&text.len()) && text.bytes().all(is_allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(bound.holds(good), "{bound:?} {good}");
            assert!(!bound.holds(bad), "{bound:?} {bad}");
        }
        for (bound, max) in [
            (Bound::Host, 253),
            (Bound::RunId, 128),
            (Bound::Provider, 128),
            (Bound::Model, 256),
        ] {
            assert!(bound.holds(&"a".repeat(max)));
            assert!(!bound.holds(&"a".repeat(max + 1)));
        }
    }
}
