//! Files of keys: for their owner only, whole or not there at all, and in one form.
//!
//! Deliberately absent: what a key is for.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::audit::private::replace;

/// Largest file of a key, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;
/// What the file of a private key has to be.
pub(crate) const PRIVATE_KEY_FORM: &str = "an Ed25519 private key in PKCS#8 PEM";

const PEM_START: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// Access for others than the owner.
const OTHERS_MODE: u32 = 0o077;

/// Why a key is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("the key file `{}` cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may use the file.
    #[error("the key file `{}` may be read by others than its owner; `chmod 600` it", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// It is not a key of the form that is needed.
    #[error("the key file `{}` is not {form}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it has to be.
        form: &'static str,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A private key in PKCS#8 DER, as PEM.
pub(crate) fn to_pem(der: &[u8]) -> String {
    format!("{PEM_START}\n{}\n{PEM_END}\n", STANDARD.encode(der))
}

/// The PKCS#8 DER of a private key in PEM; `None` for anything else.
pub(crate) fn from_pem(pem: &str) -> Option<Vec<u8>> {
    let body = pem
        .trim()
        .strip_prefix(PEM_START)
        .and_then(|rest| rest.strip_suffix(PEM_END))?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}

/// The text of a private file; `None` if there is none.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>, KeyError> {
    let file = |source| KeyError::File {
        path: path.into(),
        source,
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(error)),
    };
    if metadata.permissions().mode() & OTHERS_MODE != 0 {
        return Err(KeyError::OpenToOthers { path: path.into() });
    }
    if metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(file(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map(Some).map_err(file)
}

/// Makes a private file in one step: it is there whole, or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    replace(path, bytes).map_err(|source| KeyError::File {
        path: path.into(),
        source,
    })
}
