//! Permits held against their own rules: what is signed verifies, and nothing else does.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]
#![expect(clippy::indexing_slicing, reason = "a test fails loudly")]

use admit_permit::{
    Claims, KeyFault, KeySet, KeySetError, Lane, Mismatch, PERMIT_CHARS_MAX, PermitError,
    PublicKey, SigningKey, is_plausible,
};
use admit_policy::Digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

/// The private key of RFC 8037, appendix A, as PKCS#8.
const RFC_8037_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const RFC_8037_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const RFC_8037_KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

fn pkcs8(seed: &[u8]) -> Vec<u8> {
    let prefix = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    [prefix.as_slice(), seed].concat()
}

fn seed() -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(RFC_8037_D).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&pkcs8(&seed())).unwrap()
}

fn other_key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap()
}

fn set(keys: &[&SigningKey]) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.public().clone()).collect()).unwrap()
}

fn claims() -> Claims {
    Claims {
        host: "spark-1".into(),
        run_id: "run:1".into(),
        decision_id: "0197f0a4-5c00-7abc-8def-0123456789ab".into(),
        issued_at: 1_780_315_200,
        expires_at: 1_780_315_260,
        lane: Lane::Real,
        provider: "qwen-local".into(),
        model: "org/model:tag".into(),
        admission_file: Some(Digest::of(b"admission")),
        policy: Some(Digest::of(b"policy")),
        case_config: Some(Digest::of(b"config")),
        stream_id: "0197f0a4-5c00-7abc-8def-0123456789ac".into(),
        seq: 7,
        record_hash: Digest::of(b"record"),
    }
}

fn header() -> Value {
    json!({ "typ": "admit-permit+jwt", "alg": "EdDSA", "kid": RFC_8037_KID })
}

/// A compact JWS over these bytes with a good signature by [`key`], whatever they are.
fn signed(header: &str, payload: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed()).unwrap();
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn claims_json() -> Value {
    serde_json::to_value(claims()).unwrap()
}

fn with(mut object: Value, member: &str, value: Value) -> String {
    object[member] = value;
    object.to_string()
}

fn without(mut object: Value, member: &str) -> String {
    object.as_object_mut().unwrap().remove(member).unwrap();
    object.to_string()
}

#[test]
fn a_permit_states_its_claims() {
    let permit = key().sign(&claims()).unwrap();
    assert!(is_plausible(&permit));
    assert_eq!(set(&[&key()]).verify(&permit), Ok(claims()));
    assert_eq!(set(&[&other_key(), &key()]).verify(&permit), Ok(claims()));
    let parts: Vec<&str> = permit.split('.').collect();
    let part = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[at]).unwrap()).unwrap()
    };
    assert_eq!(part(0), header());
    assert_eq!(part(1)["iss"], "admit");
    assert_eq!(part(1)["aud"], "spark-1");
    assert_eq!(part(1)["exp"], 1_780_315_260);
    // The same text made by hand is a permit too: the tests below differ from it in one thing.
    let by_hand = signed(&header().to_string(), &claims_json().to_string());
    assert_eq!(set(&[&key()]).verify(&by_hand), Ok(claims()));
}

#[test]
fn a_key_is_named_by_its_thumbprint() {
    // RFC 8037, appendix A.2 and A.3.
    let key = key();
    assert_eq!(key.kid(), RFC_8037_KID);
    let jwk: Value = serde_json::from_str(&key.public().to_jwk()).unwrap();
    assert_eq!(
        jwk,
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": RFC_8037_X, "kid": RFC_8037_KID,
            "use": "sig", "alg": "EdDSA",
        })
    );
    assert_eq!(
        PublicKey::parse(&key.public().to_jwk()).as_ref(),
        Ok(key.public())
    );
    assert!(format!("{key:?}").contains(RFC_8037_KID));
    assert!(!format!("{key:?}").contains(RFC_8037_D));
    assert_eq!(
        SigningKey::from_pkcs8(b"no key").unwrap_err(),
        KeyFault::NotPrivate
    );
}

#[test]
fn another_key_verifies_nothing() {
    let permit = key().sign(&claims()).unwrap();
    assert_eq!(
        set(&[&other_key()]).verify(&permit),
        Err(PermitError::UnknownKey)
    );
    // A stranger's signature under the name of a known key.
    let stranger = other_key().sign(&claims()).unwrap();
    let (_, rest) = stranger.split_once('.').unwrap();
    let renamed = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header().to_string()));
    assert_eq!(set(&[&key()]).verify(&renamed), Err(PermitError::Signature));
}

#[test]
fn no_other_algorithm_is_a_signature() {
    let keys = set(&[&key()]);
    let payload = URL_SAFE_NO_PAD.encode(claims_json().to_string());
    let public = Ed25519KeyPair::from_seed_unchecked(&seed()).unwrap();
    for alg in ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", ""] {
        let head = URL_SAFE_NO_PAD.encode(with(header(), "alg", json!(alg)));
        let message = format!("{head}.{payload}");
        // What a verifier would compute that takes the public key for a shared secret.
        let secret = hmac::Key::new(hmac::HMAC_SHA256, public.public_key().as_ref());
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes()));
        let good = URL_SAFE_NO_PAD.encode(public.sign(message.as_bytes()));
        for signature in ["", &tag, &good] {
            assert_eq!(
                keys.verify(&format!("{message}.{signature}")),
                Err(PermitError::Header),
                "{alg}"
            );
        }
    }
}

#[test]
fn a_header_is_closed() {
    let keys = set(&[&key()]);
    let twice = header()
        .to_string()
        .replace("{\"alg\":\"EdDSA\"", "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"");
    assert_ne!(twice, header().to_string());
    for header in [
        without(header(), "kid"),
        without(header(), "typ"),
        without(header(), "alg"),
        with(header(), "typ", json!("JWT")),
        with(header(), "typ", json!("ADMIT-PERMIT+JWT")),
        with(header(), "kid", Value::Null),
        with(header(), "kid", json!([RFC_8037_KID])),
        with(header(), "crit", json!(["b64"])),
        with(header(), "jwk", json!({ "kty": "OKP" })),
        with(header(), "jku", json!("https://example.com/keys")),
        with(header(), "b64", json!(false)),
        twice,
        "[]".into(),
        "{".into(),
        String::new(),
    ] {
        let permit = signed(&header, &claims_json().to_string());
        assert_eq!(keys.verify(&permit), Err(PermitError::Header), "{header}");
    }
    let permit = signed(
        &with(header(), "kid", json!("another")),
        &claims_json().to_string(),
    );
    assert_eq!(keys.verify(&permit), Err(PermitError::UnknownKey));
}

#[test]
fn claims_are_closed() {
    let keys = set(&[&key()]);
    let members: Vec<String> = claims_json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 15);
    let mut payloads: Vec<String> = members
        .iter()
        .map(|member| without(claims_json(), member))
        .collect();
    for member in &members {
        let value = &claims_json()[member];
        let text = claims_json().to_string();
        let twice = text.replacen('{', &format!("{{\"{member}\":{value},"), 1);
        payloads.push(twice);
        payloads.push(with(claims_json(), member, json!([value])));
        payloads.push(with(claims_json(), member, json!({})));
    }
    for claim in ["nbf", "scope", "AUD"] {
        payloads.push(with(claims_json(), claim, json!(1)));
    }
    payloads.push(with(claims_json(), "exp", json!(1_780_315_260.5)));
    payloads.push(with(claims_json(), "exp", json!("1780315260")));
    payloads.push(with(claims_json(), "seq", json!(-1)));
    payloads.extend(["", "null", "{}", "7", "\u{feff}{}"].map(String::from));
    payloads.push(format!("{} {{}}", claims_json()));
    for payload in payloads {
        let permit = signed(&header().to_string(), &payload);
        assert_eq!(
            keys.verify(&permit),
            Err(PermitError::ClaimsForm),
            "{payload}"
        );
    }
}

#[test]
fn every_claim_has_its_bounds() {
    let keys = set(&[&key()]);
    let digest = "0a".repeat(32);
    for (claim, good, bad) in [
        ("iss", json!("admit"), json!("admitd")),
        ("aud", json!("h".repeat(253)), json!("h".repeat(254))),
        ("aud", json!("h"), json!("")),
        ("aud", json!("spark.lan"), json!("spark_1")),
        ("sub", json!("r".repeat(128)), json!("r".repeat(129))),
        ("sub", json!("run:1"), json!("run 1")),
        (
            "jti",
            json!("0197f0a4-5c00-7abc-bdef-0123456789ab"),
            json!("0197f0a4-5c00-4abc-8def-0123456789ab"),
        ),
        (
            "jti",
            json!("0197f0a4-5c00-7abc-8def-0123456789ab"),
            json!("0197F0A4-5C00-7ABC-8DEF-0123456789AB"),
        ),
        ("exp", json!(1_780_315_201), json!(1_780_315_200)),
        ("exp", json!(1_780_315_800), json!(1_780_315_801)),
        ("exp", json!(1_780_315_800), json!(i64::MAX)),
        ("iat", json!(1_780_315_259), json!(1_780_315_260)),
        ("iat", json!(1_780_314_660), json!(1_780_314_659)),
        ("iat", json!(1_780_315_200), json!(i64::MIN)),
        ("lane", json!("real"), json!("REAL")),
        ("provider", json!("p".repeat(128)), json!("p".repeat(129))),
        ("provider", json!("p"), json!("")),
        ("model", json!("m".repeat(256)), json!("m".repeat(257))),
        ("model", json!("m"), json!("")),
        ("model", json!("\"\\~"), json!("a b")),
        ("admission_file", json!(digest), Value::Null),
        ("policy", json!(digest), Value::Null),
        ("case_config", json!(digest), Value::Null),
        ("policy", json!(digest), json!("0A".repeat(32))),
        ("record_hash", json!(digest), json!("0a".repeat(31))),
        (
            "stream_id",
            json!("0197f0a4-5c00-4abc-8def-0123456789ab"),
            json!("0197f0a4"),
        ),
        ("seq", json!(u64::MAX), json!(0)),
    ] {
        let verified = |value: &Value| {
            let payload = with(claims_json(), claim, value.clone());
            keys.verify(&signed(&header().to_string(), &payload))
        };
        let claims = verified(&good).unwrap();
        assert!(key().sign(&claims).is_ok(), "{claim} {good}");
        match verified(&bad) {
            Err(PermitError::Claims(fault)) => {
                assert!(fault.claim == claim || fault.claim == "exp", "{fault}");
            }
            other => panic!("{claim} {bad}: {other:?}"),
        }
    }
}

#[test]
fn the_fake_lane_has_no_pair() {
    let fake = |provider: &str, model: &str| Claims {
        lane: Lane::Fake,
        provider: provider.into(),
        model: model.into(),
        admission_file: None,
        policy: None,
        case_config: None,
        ..claims()
    };
    for good in [fake("", ""), fake("fake", ""), fake("fake", "any")] {
        let permit = key().sign(&good).unwrap();
        assert_eq!(set(&[&key()]).verify(&permit), Ok(good));
    }
    for bad in [fake("", "m"), fake("qwen", "m"), fake("fake", "a b")] {
        assert!(matches!(key().sign(&bad), Err(KeyFault::Claims(_))));
    }
}

#[test]
fn the_largest_claims_fit() {
    let largest = Claims {
        host: "h".repeat(253),
        run_id: "r".repeat(128),
        provider: "\\".repeat(128),
        model: "\"".repeat(256),
        issued_at: 253_402_300_799,
        expires_at: 253_402_301_399,
        seq: u64::MAX,
        ..claims()
    };
    let permit = key().sign(&largest).unwrap();
    assert_eq!(set(&[&key()]).verify(&permit), Ok(largest));
}

#[test]
fn a_permit_is_not_too_long_and_has_three_parts() {
    let keys = set(&[&key()]);
    let good = key().sign(&claims()).unwrap();
    let padded = |length: usize| {
        let mut payload = claims_json().to_string();
        loop {
            let permit = signed(&header().to_string(), &payload);
            if permit.len() >= length {
                return permit;
            }
            payload.push(' ');
        }
    };
    let longest = padded(PERMIT_CHARS_MAX - 1);
    assert!(longest.len() <= PERMIT_CHARS_MAX, "{}", longest.len());
    assert_eq!(keys.verify(&longest), Ok(claims()));
    for bad in [
        padded(PERMIT_CHARS_MAX + 1),
        String::new(),
        "..".into(),
        good.replace('.', ""),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}\n"),
        format!("{good}="),
        good.replacen('.', "..", 1),
        good.rsplit_once('.').unwrap().0.into(),
    ] {
        let is_refused = matches!(
            keys.verify(&bad),
            Err(PermitError::Form | PermitError::Header)
        );
        assert!(is_refused, "{bad}");
    }
}

#[test]
fn a_permit_holds_for_one_launch_and_ends_at_its_end() {
    let claims = claims();
    for (host, run, now, expected) in [
        ("spark-1", "run:1", claims.issued_at, Ok(())),
        ("spark-1", "run:1", claims.expires_at - 1, Ok(())),
        (
            "spark-1",
            "run:1",
            claims.expires_at,
            Err(Mismatch::Expired),
        ),
        ("spark-1", "run:1", i64::MAX, Err(Mismatch::Expired)),
        ("spark-1", "run:1", claims.issued_at - 30, Ok(())),
        (
            "spark-1",
            "run:1",
            claims.issued_at - 31,
            Err(Mismatch::IssuedInFuture),
        ),
        ("spark-1", "run:1", i64::MIN, Err(Mismatch::IssuedInFuture)),
        ("Spark-1", "run:1", 0, Err(Mismatch::OtherHost)),
        ("spark-1", "run:11", 0, Err(Mismatch::OtherRun)),
        ("", "", 0, Err(Mismatch::OtherHost)),
    ] {
        assert_eq!(claims.holds_for(host, run, now), expected, "{now}");
    }
    assert!(!claims.is_expired(claims.expires_at - 1));
    assert!(claims.is_expired(claims.expires_at));
}

#[test]
fn a_key_set_is_closed() {
    let jwk: Value = serde_json::from_str(&key().public().to_jwk()).unwrap();
    let keys = |keys: Vec<Value>| json!({ "keys": keys }).to_string();
    let parsed = KeySet::parse(&keys(vec![jwk.clone()])).unwrap();
    assert_eq!(parsed, set(&[&key()]));
    assert_eq!(KeySet::parse(&parsed.to_json()), Ok(parsed));
    let changed = |member: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[member] = value;
        keys(vec![jwk])
    };
    // `use` and `alg` may be left out.
    for optional in ["use", "alg"] {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(optional);
        assert!(KeySet::parse(&keys(vec![jwk])).is_ok(), "{optional}");
    }
    let other_x: Value = serde_json::from_str(&other_key().public().to_jwk()).unwrap();
    for (jwks, error) in [
        (changed("kty", json!("EC")), KeySetError::Key(1)),
        (changed("crv", json!("X25519")), KeySetError::Key(1)),
        (changed("use", json!("enc")), KeySetError::Key(1)),
        (changed("alg", json!("HS256")), KeySetError::Key(1)),
        (changed("kid", json!("k")), KeySetError::Key(1)),
        (changed("x", other_x["x"].clone()), KeySetError::Key(1)),
        (changed("x", json!("AAAA")), KeySetError::Key(1)),
        (changed("d", json!(RFC_8037_D)), KeySetError::Form),
        (
            keys(vec![jwk.clone(), json!({ "kty": "RSA", "n": "", "e": "" })]),
            KeySetError::Form,
        ),
        (keys(vec![jwk.clone(), jwk.clone()]), KeySetError::Twice(2)),
        (keys(vec![]), KeySetError::Count(0)),
        (jwk.to_string(), KeySetError::Form),
        (String::new(), KeySetError::Form),
        (
            keys(vec![jwk.clone()]).replacen('{', "{\"keys\":[],", 1),
            KeySetError::Form,
        ),
    ] {
        assert_eq!(KeySet::parse(&jwks), Err(error), "{jwks}");
    }
}

#[test]
fn a_key_set_is_bounded() {
    let many: Vec<PublicKey> = (0..65).map(|_| other_key().public().clone()).collect();
    let most = KeySet::new(many[..64].to_vec()).unwrap();
    assert!(most.to_json().len() <= 64 * 1024);
    assert_eq!(KeySet::parse(&most.to_json()), Ok(most.clone()));
    assert_eq!(KeySet::new(many), Err(KeySetError::Count(65)));
    let pad = |length: usize| {
        let text = most.to_json();
        let spaces = " ".repeat(length - text.len());
        text + &spaces
    };
    assert!(KeySet::parse(&pad(64 * 1024)).is_ok());
    assert_eq!(
        KeySet::parse(&pad(64 * 1024 + 1)),
        Err(KeySetError::TooLarge)
    );
}

proptest! {
    #[test]
    fn one_changed_byte_is_found(at in 0_usize..2000, byte in any::<u8>()) {
        let permit = key().sign(&claims()).unwrap();
        let mut bytes = permit.into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert!(set(&[&key()]).verify(&changed).is_err());
    }

    #[test]
    fn one_byte_more_or_less_is_found(at in 0_usize..2000, byte in any::<char>()) {
        let permit = key().sign(&claims()).unwrap();
        let at = at % permit.len();
        let mut more = permit.clone();
        more.insert(at, byte);
        prop_assert!(set(&[&key()]).verify(&more).is_err());
        let mut less = permit;
        less.remove(at);
        prop_assert!(set(&[&key()]).verify(&less).is_err());
    }

    #[test]
    fn no_text_is_a_permit(text in "\\PC{0,200}") {
        prop_assert!(set(&[&key()]).verify(&text).is_err());
        prop_assert!(KeySet::parse(&text).is_err());
    }

    #[test]
    fn what_is_signed_verifies(
        host in "[a-zA-Z0-9.-]{1,253}",
        run_id in "[A-Za-z0-9._:-]{1,128}",
        provider in "[!-~]{1,128}",
        model in "[!-~]{1,256}",
        issued_at in 1_i64..253_402_300_800,
        lifetime in 1_i64..=600,
        seq in 1_u64..,
    ) {
        let stated = Claims {
            host,
            run_id,
            provider,
            model,
            issued_at,
            expires_at: issued_at + lifetime,
            seq,
            ..claims()
        };
        let permit = key().sign(&stated).unwrap();
        prop_assert_eq!(set(&[&key()]).verify(&permit), Ok(stated));
    }
}

#[test]
fn every_last_character_is_significant() {
    // The last character of a part carries unused bits; only one spelling of them is right.
    let permit = key().sign(&claims()).unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = permit.split_at(permit.len() - 1);
    for character in alphabet.chars().filter(|c| !last.contains(*c)) {
        let changed = format!("{head}{character}");
        assert!(set(&[&key()]).verify(&changed).is_err(), "{changed}");
    }
}
