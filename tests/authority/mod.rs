//! A certificate authority for one test.
//!
//! Just enough DER for Ed25519 certificates of X.509.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BITS: u8 = 0x03;
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];
const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];
const ED25519: [u8; 3] = [0x2b, 0x65, 0x70];
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// A day far off, as certificates write it.
pub(crate) const FUTURE: &str = "490101000000Z";

/// An authority.
pub(crate) struct Authority {
    key: Ed25519KeyPair,
    /// Its certificate in PEM.
    pub(crate) certificate: String,
}

/// What an authority gives to others, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (key, _) = key();
        let is_authority = [
            &der(OBJECT_ID, &BASIC_CONSTRAINTS)[..],
            &TRUE,
            &der(OCTETS, &der(SEQUENCE, &TRUE)),
        ];
        let certificate = certificate("authority", FUTURE, &key, &is_authority.concat(), &key);
        Self { key, certificate }
    }

    /// Vouches for somebody of the name `name`, and of the address 127.0.0.1 if that is this host,
    /// from the first day of 2025 until `end`.
    pub(crate) fn issue(&self, name: &str, end: &str) -> Issued {
        let (key, pkcs8) = key();
        let mut names = der(0x82, name.as_bytes());
        if name == "localhost" {
            names.extend(der(0x87, &[127, 0, 0, 1]));
        }
        let is_named = [
            der(OBJECT_ID, &SUBJECT_ALT_NAME),
            der(OCTETS, &der(SEQUENCE, &names)),
        ];
        Issued {
            certificate: certificate(name, end, &key, &is_named.concat(), &self.key),
            key: pem("PRIVATE KEY", &pkcs8),
        }
    }
}

fn key() -> (Ed25519KeyPair, Vec<u8>) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    (pair, pkcs8.as_ref().to_vec())
}

fn certificate(
    subject: &str,
    end: &str,
    key: &Ed25519KeyPair,
    extension: &[u8],
    issuer_key: &Ed25519KeyPair,
) -> String {
    let algorithm = der(SEQUENCE, &der(OBJECT_ID, &ED25519));
    let validity = [der(0x17, b"250101000000Z"), der(0x17, end.as_bytes())].concat();
    let public = [&[0][..], key.public_key().as_ref()].concat();
    let to_sign = der(
        SEQUENCE,
        &[
            VERSION_3.to_vec(),
            der(0x02, &[1]),
            algorithm.clone(),
            name("authority"),
            der(SEQUENCE, &validity),
            name(subject),
            der(SEQUENCE, &[algorithm.clone(), der(BITS, &public)].concat()),
            der(0xa3, &der(SEQUENCE, &der(SEQUENCE, extension))),
        ]
        .concat(),
    );
    let signature = [&[0][..], issuer_key.sign(&to_sign).as_ref()].concat();
    let signed = [to_sign, algorithm, der(BITS, &signature)].concat();
    pem("CERTIFICATE", &der(SEQUENCE, &signed))
}

fn name(text: &str) -> Vec<u8> {
    let attribute = [der(OBJECT_ID, &COMMON_NAME), der(0x0c, text.as_bytes())].concat();
    der(SEQUENCE, &der(SET, &der(SEQUENCE, &attribute)))
}

/// One value of DER, shorter than 64 KiB.
fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let [.., high, low] = body.len().to_be_bytes();
    let head = match (high, low) {
        (0, 0..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        (_, _) => vec![tag, 0x82, high, low],
    };
    [&head, body].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
