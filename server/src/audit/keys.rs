//! The two keys of a log: one signs its checkpoints, the other stands behind every `hmac:`.
//!
//! Both are made on the first start, readable by their owner only (0600). Deliberately absent: any
//! way to print a private key.

use std::{fmt, io, path::Path};

use admit_policy::Digest;
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};

pub use crate::key_file::{KEY_FILE_BYTES_MAX, KeyError};
use crate::key_file::{PRIVATE_KEY_FORM, from_pem, read_private, to_pem, write_private};

/// The file of the signing key, within the audit directory.
pub const SIGNING_KEY_FILE: &str = "signing-key.pem";
/// The file of the key behind every `hmac:`, within the audit directory.
pub const NAMES_KEY_FILE: &str = "names-key";

const NAMES_KEY_BYTES: usize = 32;

/// Signs checkpoints.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

impl SigningKey {
    /// Reads the key at `path` (PKCS#8, PEM), or makes one there if there is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be used, is open to others, or is no Ed25519 key.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        if let Some(pem) = read_private(path)? {
            return Self::parse(path, &pem);
        }
        let key =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        let pem = to_pem(key.as_ref());
        write_private(path, pem.as_bytes())?;
        Self::parse(path, &pem)
    }

    /// Reads the key at `path` (PKCS#8, PEM).
    ///
    /// # Errors
    ///
    /// When there is no file, it cannot be used, is open to others, or is no Ed25519 key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        match read_private(path)? {
            Some(pem) => Self::parse(path, &pem),
            None => Err(KeyError::File {
                path: path.into(),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    fn parse(path: &Path, pem: &str) -> Result<Self, KeyError> {
        let pair = from_pem(pem)
            .and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok())
            .ok_or_else(|| KeyError::Form {
                path: path.into(),
                form: PRIVATE_KEY_FORM,
            })?;
        Ok(Self { pair })
    }

    /// The public key, as 64 hexadecimal digits.
    #[must_use]
    pub fn public(&self) -> String {
        hex(self.pair.public_key().as_ref())
    }

    /// The signature over `message`, as 128 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        hex(self.pair.sign(message).as_ref())
    }
}

/// Whether `signature` over `message` is by the key `public`, both in hexadecimal digits.
#[must_use]
pub fn is_signed(public: &str, message: &[u8], signature: &str) -> bool {
    match (unhex(public), unhex(signature)) {
        (Some(public), Some(signature)) => UnparsedPublicKey::new(&ED25519, public)
            .verify(message, &signature)
            .is_ok(),
        (None, _) | (_, None) => false,
    }
}

/// Turns what could be guessed into what cannot be looked up without the key.
#[derive(Clone)]
pub struct NamesKey {
    key: hmac::Key,
    identity: String,
}

impl fmt::Debug for NamesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamesKey").field(&self.identity).finish()
    }
}

impl NamesKey {
    /// Reads the key at `path`, or makes one there if there is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be used, is open to others, or is no key.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let mut bytes = [0_u8; NAMES_KEY_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| KeyError::Random)?;
        write_private(path, format!("{}\n", hex(&bytes)).as_bytes())?;
        Ok(Self::new(&bytes))
    }

    /// Reads the key at `path`; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be used, is open to others, or is no key.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let Some(text) = read_private(path)? else {
            return Ok(None);
        };
        let bytes = unhex(text.trim_end()).filter(|bytes| bytes.len() == NAMES_KEY_BYTES);
        match bytes {
            Some(bytes) => Ok(Some(Self::new(&bytes))),
            None => Err(KeyError::Form {
                path: path.into(),
                form: "64 lowercase hexadecimal digits",
            }),
        }
    }

    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            identity: Digest::of(bytes).to_string().chars().take(16).collect(),
        }
    }

    /// Which key it is: the first 16 hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// HMAC-SHA-256 over `kind`, a zero byte and `text`: its first 32 hexadecimal digits.
    #[must_use]
    pub fn hmac(&self, kind: &str, text: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(text.as_bytes());
        let tag = context.sign();
        hex(tag.as_ref().get(..16).unwrap_or_default())
    }
}

/// The bytes as lowercase hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

/// The bytes of lowercase hexadecimal digits; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !text.len().is_multiple_of(2) || !text.bytes().all(is_hex) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SIGNING_KEY_FILE);
        let made = SigningKey::load_or_make(&path).unwrap();
        let read = SigningKey::load_or_make(&path).unwrap();
        assert_eq!(made.public(), read.public());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let signature = read.sign(b"message");
        assert!(is_signed(&made.public(), b"message", &signature));
        assert!(!is_signed(&made.public(), b"massage", &signature));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            SigningKey::load_or_make(&path),
            Err(KeyError::OpenToOthers { .. })
        ));
    }

    #[test]
    fn a_names_key_tells_kinds_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAMES_KEY_FILE);
        let made = NamesKey::load_or_make(&path).unwrap();
        let read = NamesKey::load_or_make(&path).unwrap();
        assert_eq!(made.hmac("host", "spark"), read.hmac("host", "spark"));
        assert_ne!(made.hmac("host", "spark"), made.hmac("run", "spark"));
        assert_eq!(made.hmac("host", "spark").len(), 32);
        fs::write(&path, "short\n").unwrap();
        assert!(matches!(
            NamesKey::load_or_make(&path),
            Err(KeyError::Form { .. })
        ));
    }
}
