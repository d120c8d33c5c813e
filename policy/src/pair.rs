//! Provider and model: the names that policy is about.

use alloc::string::String;
use core::fmt;

/// The provider that Case falls back to in silence.
pub const SILENT_PROVIDER: &str = "anthropic";
/// The model that Case falls back to in silence.
pub const SILENT_MODEL: &str = "claude-sonnet-4-6";
/// The one provider that the fake lane may name.
pub const FAKE_PROVIDER: &str = "fake";
/// Longest provider, in bytes.
pub const PROVIDER_BYTES_MAX: usize = 128;
/// Longest model id, in bytes.
pub const MODEL_BYTES_MAX: usize = 256;

/// A provider and an exact model id, compared byte for byte: no trimming, no case folding, no
/// wildcard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The provider.
    pub provider: String,
    /// The exact model id.
    pub model: String,
}

impl Pair {
    /// Whether this is exactly the pair of `provider` and `model`.
    #[must_use]
    pub fn is(&self, provider: &str, model: &str) -> bool {
        self.provider == provider && self.model == model
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` / `{}`", self.provider, self.model)
    }
}

/// Why `name` can not be a provider or a model of a policy document; `None` when it can.
#[must_use]
pub fn name_fault(name: &str, bytes_max: usize) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > bytes_max {
        Some("is too long")
    } else if name.contains(['*', '?']) {
        Some("has a wildcard; a pair is always exact")
    } else if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has a character that is not visible ASCII")
    } else {
        None
    }
}
