//! Permits: the keys that sign them, and what a permit states of an answer.
//!
//! # On the disk
//!
//! ```text
//! permit-keys/<kid>.json   a public key and when it was made, for as long as permits by it verify
//! permit-keys/<kid>.pem    its private half (PKCS#8, 0600), while it signs
//! ```
//!
//! The newest key with a private half signs. A key that a newer one has superseded keeps its public
//! half until `verify_for` has passed, so that what was started under an older permit can still be
//! judged. In reading order: [`directory`], [`keyring`], [`claims`], [`verified`].
//!
//! Deliberately absent: the form and the signature of a permit. They are in `admit-permit`.

pub mod claims;
pub mod directory;
pub mod keyring;
pub mod verified;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use directory::DirectoryError;
pub use keyring::{Keyring, KeyringFollower};

/// The folder of the keys, within the audit directory, unless another one is configured.
pub const KEYS_FOLDER: &str = "permit-keys";

/// What permits need to know.
#[derive(Clone, Debug)]
pub struct PermitConfig {
    /// The directory of the keys; `None`: [`KEYS_FOLDER`] within the audit directory.
    pub keys: Option<PathBuf>,
    /// From the decision to the end of a permit.
    pub lifetime: Duration,
    /// From which age on a key is superseded by a new one.
    pub rotate_after: Duration,
    /// How long permits by a superseded key can still be verified.
    pub verify_for: Duration,
}

impl PermitConfig {
    /// The directory of the keys, beside the audit log in `audit_dir` unless configured.
    #[must_use]
    pub fn dir(&self, audit_dir: &Path) -> PathBuf {
        self.keys
            .clone()
            .unwrap_or_else(|| audit_dir.join(KEYS_FOLDER))
    }
}
