//! The keys of permits, each named by its own thumbprint.
//!
//! The name (`kid`) is the JWK thumbprint of RFC 7638, so a name and a key that do not belong together
//! are found out by anybody. Deliberately absent: files, and any way to show a private key.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{self, ED25519_PUBLIC_KEY_LEN},
};
use serde::{Deserialize, Serialize};

use crate::{
    PERMIT_CHARS_MAX, PERMIT_TYPE,
    claims::{Claims, ClaimsFault, ClaimsShape},
};

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The bytes are no private key.
    #[error("is not an Ed25519 private key in PKCS#8")]
    NotPrivate,
    /// The JSON is no public key.
    #[error("is not an Ed25519 public key as a JWK with its thumbprint as `kid`")]
    NotPublic,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The claims may not be stated.
    #[error(transparent)]
    Claims(#[from] ClaimsFault),
    /// The signature cannot be made.
    #[error("the signature cannot be made")]
    Signature,
}

/// A public key that permits are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kid: String,
    bytes: [u8; ED25519_PUBLIC_KEY_LEN],
}

impl PublicKey {
    fn new(bytes: [u8; ED25519_PUBLIC_KEY_LEN]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(bytes);
        // RFC 7638: the required members, in the order of their names, without white space.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let thumbprint = digest(&SHA256, canonical.as_bytes());
        Self {
            kid: URL_SAFE_NO_PAD.encode(thumbprint),
            bytes,
        }
    }

    /// Reads the key from a JWK.
    ///
    /// # Errors
    ///
    /// [`KeyFault::NotPublic`] for anything but an Ed25519 public key that is named by its
    /// thumbprint; a JWK with a private part too.
    pub fn parse(jwk: &str) -> Result<Self, KeyFault> {
        let shape: JwkShape = serde_json::from_str(jwk).map_err(|_| KeyFault::NotPublic)?;
        Self::from_shape(&shape)
    }

    pub(crate) fn from_shape(shape: &JwkShape) -> Result<Self, KeyFault> {
        let is_ours = shape.kty == "OKP"
            && shape.crv == "Ed25519"
            && shape
                .purpose
                .as_deref()
                .is_none_or(|purpose| purpose == "sig")
            && shape.alg.as_deref().is_none_or(|alg| alg == "EdDSA");
        let bytes = URL_SAFE_NO_PAD
            .decode(&shape.x)
            .ok()
            .and_then(|bytes| <[u8; ED25519_PUBLIC_KEY_LEN]>::try_from(bytes).ok());
        match bytes.map(Self::new) {
            Some(key) if is_ours && key.kid == shape.kid => Ok(key),
            Some(_) | None => Err(KeyFault::NotPublic),
        }
    }

    pub(crate) fn shape(&self) -> JwkShape {
        JwkShape {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(self.bytes),
            kid: self.kid.clone(),
            purpose: Some("sig".to_owned()),
            alg: Some("EdDSA".to_owned()),
        }
    }

    /// The name of the key: its JWK thumbprint, 43 characters of base64url.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key as a JWK, on one line.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        // A shape of texts has a JSON form.
        serde_json::to_string(&self.shape()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A JWK. What is not an Ed25519 public key for signatures has a member that is not here, or lacks
/// one that is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwkShape {
    kty: String,
    crv: String,
    x: String,
    kid: String,
    #[serde(rename = "use", default)]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
}

/// A key that signs permits.
pub struct SigningKey {
    private: Ed25519KeyPair,
    public: PublicKey,
    /// What stands before the claims in every permit of this key, with the full stop.
    before_claims: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public.kid).finish()
    }
}

impl SigningKey {
    /// A new private key, in PKCS#8 DER.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Random`].
    pub fn generate_pkcs8() -> Result<Vec<u8>, KeyFault> {
        signature::Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| KeyFault::Random)
    }

    /// Reads a private key in PKCS#8 DER.
    ///
    /// # Errors
    ///
    /// [`KeyFault::NotPrivate`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFault> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyFault::NotPrivate)?;
        let bytes = <[u8; ED25519_PUBLIC_KEY_LEN]>::try_from(pair.public_key().as_ref())
            .map_err(|_| KeyFault::NotPrivate)?;
        let public = PublicKey::new(bytes);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(PERMIT_TYPE.to_owned());
        header.kid = Some(public.kid.clone());
        // A header of texts has a JSON form.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        Ok(Self {
            private: pair,
            public,
            before_claims: format!("{}.", URL_SAFE_NO_PAD.encode(header)),
        })
    }

    /// The name of the key: its JWK thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The permit with these claims.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Claims`] when a claim is out of its bounds: nothing is signed that would not be
    /// accepted; [`KeyFault::Signature`] when the signature cannot be made.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyFault> {
        claims.check()?;
        let shape = ClaimsShape::from(claims);
        let payload = serde_json::to_vec(&shape).map_err(|_| KeyFault::Signature)?;
        // `jsonwebtoken` would derive the key pair from its seed anew for each permit, which costs as much
        // as the signature.
        let mut permit = self.before_claims.clone();
        URL_SAFE_NO_PAD.encode_string(payload, &mut permit);
        let signature = self.private.sign(permit.as_bytes());
        permit.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut permit);
        if permit.len() <= PERMIT_CHARS_MAX {
            Ok(permit)
        } else {
            Err(KeyFault::Signature)
        }
    }
}
