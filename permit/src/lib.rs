//! Permits: a signed statement of one ALLOW, which can be verified without the server.
//!
//! A permit is a JWT (RFC 7519) in the compact form, signed with Ed25519 (`EdDSA`, RFC 8037). In
//! reading order:
//!
//! - [`claims`]: what a permit states, and whether that is the launch at hand
//! - `id`: the form of the ids in it
//! - [`key`]: the keys, each named by its own thumbprint
//! - [`key_set`]: the public keys as a JWK Set, and verification
//! - `provider`: the cryptography of `jsonwebtoken`, done by ring
//!
//! Signatures are made by AWS-LC, which needs less than half the time of ring, and verified by ring.
//!
//! `jsonwebtoken` splits, decodes and verifies the compact form. What a permit may be is decided here
//! and is much narrower than what that library accepts: one algorithm, one type, no header that is not
//! known, every claim present once, nothing besides, and no leeway.
//!
//! Deliberately absent: files, the network, and the clock. Who verifies brings the keys and the time.

#![forbid(unsafe_code)]

pub mod claims;
mod id;
pub mod key;
pub mod key_set;
mod provider;

pub use claims::{Claims, ClaimsFault, Lane, Mismatch};
pub use id::{is_uuid, is_uuid_v7};
pub use key::{KeyFault, PublicKey, SigningKey};
pub use key_set::{KeySet, KeySetError, PermitError};

/// Longest permit, in characters.
pub const PERMIT_CHARS_MAX: usize = 4096;

/// The type that the header of a permit states. A JWT of another kind is no permit, whoever signed
/// it.
pub const PERMIT_TYPE: &str = "admit-permit+jwt";

/// Whether `text` could be a permit by its length and its characters alone; nothing is verified.
///
/// # Examples
///
/// ```
/// assert!(admit_permit::is_plausible("e30.e30.AA"));
/// assert!(!admit_permit::is_plausible("e30 e30"));
/// ```
#[must_use]
pub fn is_plausible(text: &str) -> bool {
    (1..=PERMIT_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
