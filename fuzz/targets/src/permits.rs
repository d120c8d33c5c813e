//! Permits and sets of keys.
//!
//! No mutation finds a signature, so `permit` signs what it is given, whatever it is: what is tested is
//! all that comes behind a right signature. Deliberately absent: the time, which a caller brings.

use std::sync::LazyLock;

use admit_permit::{Claims, KeySet, PERMIT_CHARS_MAX, PermitError, SigningKey, is_plausible};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::Ed25519KeyPair;

use crate::held::check_visible;

/// Most keys of a set.
const KEYS_MAX: usize = 64;
/// The length of a key's name.
const KID_CHARS: usize = 43;

/// A key of this process, for what is well-formed and for what is not.
struct Key {
    own: SigningKey,
    raw: Ed25519KeyPair,
    set: KeySet,
}

static KEY: LazyLock<Key> = LazyLock::new(|| {
    let der = SigningKey::generate_pkcs8().unwrap();
    let own = SigningKey::from_pkcs8(&der).unwrap();
    Key {
        raw: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap(),
        set: KeySet::new(vec![own.public().clone()]).unwrap(),
        own,
    }
});

/// A permit: as text, and, as two lines of JSON for its header and its claims, with a right signature.
/// `@kid` in the header is the name of the key.
pub fn permit(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    check_verified(text, KEY.set.verify(text));
    let Some((header, claims)) = text.split_once('\n') else {
        return;
    };
    let header = header.replace("@kid", KEY.own.kid());
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = KEY.raw.sign(message.as_bytes());
    let signed = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    let verified = KEY.set.verify(&signed);
    assert_ne!(verified, Err(PermitError::Signature));
    check_verified(&signed, verified.clone());
    let mut other = signature.as_ref().to_vec();
    other[5] ^= 4;
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other));
    assert!(KEY.set.verify(&forged).is_err());
    if verified.is_ok() {
        assert_eq!(KEY.set.verify(&forged), Err(PermitError::Signature));
    }
}

/// What is verified is within its bounds and would be signed as it is.
fn check_verified(text: &str, verified: Result<Claims, PermitError>) {
    match verified {
        Err(error) => check_visible(&format!("{error} {}", error.code())),
        Ok(claims) => {
            assert!(is_plausible(text) && text.len() <= PERMIT_CHARS_MAX);
            assert_eq!(claims.check(), Ok(()));
            let again = KEY.own.sign(&claims).unwrap();
            assert_eq!(KEY.set.verify(&again).as_ref(), Ok(&claims));
            assert!(
                claims
                    .holds_for(&claims.host, &claims.run_id, claims.issued_at)
                    .is_ok()
            );
            assert!(claims.holds_at(claims.expires_at).is_err());
        }
    }
}

/// A JWK Set: what is read is written, and read again as the same.
pub fn key_set(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match KeySet::parse(text) {
        Err(error) => check_visible(&error.to_string()),
        Ok(set) => {
            assert!((1..=KEYS_MAX).contains(&set.keys().len()));
            assert_eq!(KeySet::parse(&set.to_json()), Ok(set.clone()));
            for key in set.keys() {
                assert_eq!(key.kid().len(), KID_CHARS);
                assert_eq!(
                    admit_permit::PublicKey::parse(&key.to_jwk()).as_ref(),
                    Ok(key)
                );
            }
        }
    }
}
