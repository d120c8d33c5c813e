//! The public keys of a server as a JWK Set (RFC 7517), and the verification of permits with them.
//!
//! Deliberately absent: any trust in a permit before its signature holds. Its header is read only to
//! find the key, and a key that is not in the set is not looked for elsewhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, errors::ErrorKind};
use serde::{Deserialize, Serialize};

use crate::{
    PERMIT_CHARS_MAX, PERMIT_TYPE,
    claims::{Claims, ClaimsFault, ClaimsShape},
    is_plausible,
    key::{JwkShape, PublicKey},
    provider,
};

/// Largest JWK Set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;
/// Most keys of a JWK Set.
pub const KEYS_MAX: usize = 64;

/// Why a text is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is too large.
    #[error("the key set has more than {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// It is not a JWK Set.
    #[error("the key set is not a JWK Set of Ed25519 public keys")]
    Form,
    /// It has no key, or too many.
    #[error("the key set has {0} keys; it has to have 1 to {KEYS_MAX}")]
    Count(usize),
    /// A key is not one that permits are signed with.
    #[error(
        "key {0} of the set is not an Ed25519 public key with its thumbprint as `kid`, counted from 1"
    )]
    Key(usize),
    /// A key is there twice.
    #[error("key {0} of the set is there twice, counted from 1")]
    Twice(usize),
}

/// Why a text is not a permit by one of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// It is empty or too long, or not three parts of base64url with a point between them.
    #[error("it is not 1 to {PERMIT_CHARS_MAX} characters of three base64url parts")]
    Form,
    /// Its header is not that of a permit.
    #[error("its header is not that of a permit")]
    Header,
    /// It was signed by a key that is not in the set.
    #[error("it names a key that is not among those given")]
    UnknownKey,
    /// Its signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// The claims have not the form of those of a permit.
    #[error("its claims are not those of a permit")]
    ClaimsForm,
    /// A claim is out of its bounds.
    #[error(transparent)]
    Claims(#[from] ClaimsFault),
}

impl PermitError {
    /// A stable code, in kebab-case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Form => "permit-malformed",
            Self::Header => "permit-header-invalid",
            Self::UnknownKey => "permit-key-unknown",
            Self::Signature => "permit-signature-invalid",
            Self::ClaimsForm | Self::Claims(_) => "permit-claims-invalid",
        }
    }
}

/// The public keys of a server: the one that signs now, first, and former ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySetShape {
    keys: Vec<JwkShape>,
}

/// The header of a permit, and nothing besides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderShape {
    typ: String,
    alg: String,
    kid: String,
}

impl KeySet {
    /// The set of `keys`.
    ///
    /// # Errors
    ///
    /// When there is none, there are more than [`KEYS_MAX`], or one is there twice.
    pub fn new(keys: Vec<PublicKey>) -> Result<Self, KeySetError> {
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(KeySetError::Count(keys.len()));
        }
        let mut seen: Vec<&str> = Vec::with_capacity(keys.len());
        for (at, key) in (1_usize..).zip(&keys) {
            if seen.contains(&key.kid()) {
                return Err(KeySetError::Twice(at));
            }
            seen.push(key.kid());
        }
        Ok(Self { keys })
    }

    /// Reads a JWK Set.
    ///
    /// # Errors
    ///
    /// For anything but a set of Ed25519 public keys, each named by its thumbprint.
    pub fn parse(jwks: &str) -> Result<Self, KeySetError> {
        if jwks.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let shape: KeySetShape = serde_json::from_str(jwks).map_err(|_| KeySetError::Form)?;
        let keys: Result<Vec<PublicKey>, KeySetError> = (1_usize..)
            .zip(&shape.keys)
            .map(|(at, key)| PublicKey::from_shape(key).map_err(|_| KeySetError::Key(at)))
            .collect();
        Self::new(keys?)
    }

    /// The set as JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let shape = KeySetShape {
            keys: self.keys.iter().map(PublicKey::shape).collect(),
        };
        // A shape of texts has a JSON form.
        serde_json::to_string(&shape).unwrap_or_default()
    }

    /// The keys; never empty.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The claims of `permit`, once its form, its signature and its claims were found good. Whether
    /// it is for the launch at hand, and still holds, is for [`Claims::holds_for`] to say.
    ///
    /// # Errors
    ///
    /// For anything but a permit that one of the keys signed.
    pub fn verify(&self, permit: &str) -> Result<Claims, PermitError> {
        provider::install();
        let kid = kid_of(permit)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.kid() == kid)
            .ok_or(PermitError::UnknownKey)?;
        // The claims have rules of their own, and the time is the caller's: the library's defaults,
        // which have a leeway, are all off.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let key = DecodingKey::from_ed_der(key.as_bytes());
        let token = decode::<ClaimsShape>(permit, &key, &validation).map_err(|error| {
            if matches!(error.kind(), ErrorKind::InvalidSignature) {
                PermitError::Signature
            } else if matches!(error.kind(), ErrorKind::Json(_)) {
                PermitError::ClaimsForm
            } else {
                PermitError::Form
            }
        })?;
        Ok(Claims::try_from(token.claims)?)
    }
}

/// The key that a permit names, once its form and its header were found good.
fn kid_of(permit: &str) -> Result<String, PermitError> {
    if !is_plausible(permit) {
        return Err(PermitError::Form);
    }
    let mut parts = permit.split('.');
    let (Some(header), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(PermitError::Form);
    };
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| PermitError::Form)?;
    let header: HeaderShape = serde_json::from_slice(&header).map_err(|_| PermitError::Header)?;
    if header.typ != PERMIT_TYPE || header.alg != "EdDSA" {
        return Err(PermitError::Header);
    }
    Ok(header.kid)
}
