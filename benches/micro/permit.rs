//! What permits cost, beside the bare signature of the same bytes.

use std::time::Duration;

use admit_permit::{Claims, KeySet, SigningKey};
use admit_policy::Digest;
use admit_server::permit::claims::claims;
use divan::Bencher;
use ring::{
    digest::{SHA512, digest},
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};

use crate::{subject, wire};

fn key() -> (Vec<u8>, SigningKey) {
    let pkcs8 = SigningKey::generate_pkcs8().expect("random bytes");
    let key = SigningKey::from_pkcs8(&pkcs8).expect("a key just made");
    (pkcs8, key)
}

fn stated() -> Claims {
    let facts = subject::allowed().observe();
    let config = Some(Digest::of(b"{}"));
    claims(&wire::answer(), &facts, config, Duration::from_secs(300)).expect("an allowed launch")
}

/// What a permit signs: its header and its claims in base64url.
fn signed_part(permit: &str) -> &[u8] {
    let (signed, _) = permit.rsplit_once('.').expect("three parts");
    signed.as_bytes()
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let ((_, key), claims) = (key(), stated());
    bencher.bench_local(|| key.sign(&claims));
}

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let (_, key) = key();
    let permit = key.sign(&stated()).expect("claims within their bounds");
    let keys = KeySet::new(vec![key.public().clone()]).expect("one key");
    assert!(keys.verify(&permit).is_ok());
    bencher.bench_local(|| keys.verify(&permit));
}

/// Reading the key and making its public half, which signing does each time.
#[divan::bench]
fn ring_read_key(bencher: Bencher<'_, '_>) {
    let (pkcs8, _) = key();
    bencher.bench_local(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8));
}

#[divan::bench]
fn ring_sign(bencher: Bencher<'_, '_>) {
    let (pkcs8, key) = key();
    let permit = key.sign(&stated()).expect("claims within their bounds");
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).expect("a key just made");
    bencher.bench_local(|| pair.sign(signed_part(&permit)));
}

#[divan::bench]
fn ring_verify(bencher: Bencher<'_, '_>) {
    let (pkcs8, key) = key();
    let permit = key.sign(&stated()).expect("claims within their bounds");
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).expect("a key just made");
    let signature = pair.sign(signed_part(&permit));
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
    bencher.bench_local(|| public.verify(signed_part(&permit), signature.as_ref()));
}

/// The hash of what a permit signs, of which a signature takes two and a check one.
#[divan::bench]
fn sha512_of_payload(bencher: Bencher<'_, '_>) {
    let (_, key) = key();
    let permit = key.sign(&stated()).expect("claims within their bounds");
    bencher.bench_local(|| digest(&SHA512, signed_part(&permit)));
}
