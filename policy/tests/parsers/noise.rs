//! The inputs: what people, editors and merges do to documents, and then some.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use admit_policy::{SourceFile, document::Kind};
use proptest::{prelude::*, sample::select};

/// A document of the example policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) bytes: &'static [u8],
}

impl Document {
    pub(crate) fn file(&self) -> SourceFile {
        SourceFile {
            path: Arc::from(self.name),
            kind: self.kind,
            content: Ok(Arc::from(self.bytes)),
        }
    }
}

macro_rules! document {
    ($kind:ident, $name:literal) => {
        Document {
            name: $name,
            kind: Kind::$kind,
            bytes: include_bytes!(concat!("../../../deploy/example/sot/", $name)),
        }
    };
}

pub(crate) const DOCUMENTS: [Document; 5] = [
    document!(DecisionRecord, "CTO-CASE-PROVIDER-DECISION-RECORD.md"),
    document!(
        Admission,
        "CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"
    ),
    document!(
        Admission,
        "CTO-CASE-MODEL-PROVIDER-ADMISSION.openai-codex-gpt-5.5.json"
    ),
    document!(WorkItems, "CTO-CASE-MODEL-PROVIDER-ADMISSION-ISSUES.md"),
    document!(WorkItems, "CTO-CASE-LOCAL-PROVIDER-ROUTE-ISSUES.md"),
];

/// A secret and an endpoint that no finding may repeat.
pub(crate) const CANARIES: [&str; 2] = ["sk-ant-canary0123456789abcd", "http://10.9.8.7:8000/v1"];

/// Pieces of the languages that the parsers read, and of what editors leave behind.
const TOKENS: [&str; 96] = [
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "    ",
    "\0",
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "\u{a0}",
    "\u{2028}",
    "é",
    "𝔸",
    "e\u{301}",
    "- ",
    "* ",
    "+ ",
    "1. ",
    "  - ",
    "      - ",
    "> ",
    "> - ",
    "- `decision_status`: `not_decided`.\n",
    "- `decision_status`: `local_provider_required`.\n",
    "- `provider`: `evil`.\n",
    "- `model`: `m` and more\n",
    "- `fallback_provider`:\n",
    "- `evidence_sources`: `a`, `b`.\n",
    "- `sk-x`: http://example.com\n",
    "`",
    "``",
    "```\n",
    "~~~\n",
    "<!--",
    "-->",
    "<div>",
    "</div>\n",
    "<pre>",
    "<b>",
    "&#96;",
    "&amp;",
    "\\",
    "## Current Decision State\n",
    "## current decision state\n",
    "# ",
    "## CTO-WORK-020 - a\n",
    "### CTO-WORK-1 - \n",
    "===\n",
    "---\n",
    "***\n",
    "Status: blocked.\n",
    "Status:",
    "Blocked by:\n\n",
    "| a | b |\n|---|---|\n",
    "[x]: y\n",
    "![`a`](b)",
    "[a](<b>)",
    "**",
    "_",
    "~~",
    "title: x\n",
    "lifecycle_classification: sot\n",
    "a: &b c\n",
    "*b",
    "a: |\n  x\n",
    "? ",
    "!!str ",
    "%YAML 1.2\n",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"",
    "\":",
    ",",
    ":",
    "null",
    "true",
    "-1e9",
    "1e999",
    "\"a\":1,",
    "\"\\u0061\":2,",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"provider\": \"x\",",
    "\"role\": null,",
    "token=",
    "password: abc12345",
    "Bearer abcdef0123456789",
    "eyJ",
    "-----BEGIN X-----\n",
    "://",
    "http://a",
];

pub(crate) fn token_soup() -> impl Strategy<Value = String> {
    prop::collection::vec(select(&TOKENS[..]), 0..60).prop_map(|tokens| tokens.concat())
}

/// Bytes that print as text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Something to put into a document.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(&TOKENS[..]).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..8),
        1 => (select(&TOKENS[..]), 1..2000_usize).prop_map(|(token, times)| {
            token.repeat(times.min(4000 / token.len())).into_bytes()
        }),
        1 => Just("x".repeat(3000).into_bytes()),
    ]
}

/// One thing that happens to a document. Places are thousandths of its length.
#[derive(Clone, Debug)]
enum Accident {
    Insert(usize, Vec<u8>),
    Delete(usize, usize),
    Duplicate(usize, usize, usize),
    Splice(usize, usize, usize, usize),
    Replace(usize, u8),
    Truncate(usize),
    Endings(&'static str),
}

fn accident() -> impl Strategy<Value = Accident> {
    let place = || 0..1000_usize;
    let length = || prop_oneof![1..8_usize, 8..400_usize];
    prop_oneof![
        5 => (place(), piece()).prop_map(|(at, piece)| Accident::Insert(at, piece)),
        3 => (place(), length()).prop_map(|(at, length)| Accident::Delete(at, length)),
        2 => (place(), length(), place()).prop_map(|(from, length, to)| Accident::Duplicate(from, length, to)),
        2 => (place(), 0..DOCUMENTS.len(), place(), length())
            .prop_map(|(at, other, from, length)| Accident::Splice(at, other, from, length)),
        2 => (place(), any::<u8>()).prop_map(|(at, byte)| Accident::Replace(at, byte)),
        1 => place().prop_map(Accident::Truncate),
        1 => select(&["\r\n", "\r", "\n\n", "\u{2028}"][..]).prop_map(Accident::Endings),
    ]
}

/// The place in `bytes` at a fraction of its length in thousandths, on a character boundary where there is one.
fn place(bytes: &[u8], fraction: usize) -> usize {
    let at = fraction * (bytes.len() + 1) / 1000;
    let is_boundary = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at..=bytes.len()).find(is_boundary).unwrap_or(at)
}

fn piece_of(bytes: &[u8], from: usize, length: usize) -> Vec<u8> {
    let start = place(bytes, from);
    bytes[start..bytes.len().min(start + length)].to_vec()
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: Vec<u8>) {
    bytes.splice(at..at, piece);
}

fn happen(bytes: &mut Vec<u8>, accident: Accident) {
    match accident {
        Accident::Insert(at, piece) => insert(bytes, place(bytes, at), piece),
        Accident::Delete(at, length) => {
            let start = place(bytes, at);
            bytes.drain(start..bytes.len().min(start + length));
        }
        Accident::Duplicate(from, length, to) => {
            let piece = piece_of(bytes, from, length);
            insert(bytes, place(bytes, to), piece);
        }
        Accident::Splice(at, other, from, length) => {
            let piece = piece_of(DOCUMENTS[other].bytes, from, length);
            insert(bytes, place(bytes, at), piece);
        }
        Accident::Replace(at, byte) => {
            let at = place(bytes, at);
            if let Some(found) = bytes.get_mut(at) {
                *found = byte;
            }
        }
        Accident::Truncate(at) => bytes.truncate(place(bytes, at)),
        Accident::Endings(ending) => {
            let text = String::from_utf8_lossy(bytes).replace('\n', ending);
            *bytes = text.into_bytes();
        }
    }
}

/// An example document after a few accidents, and which one it was.
pub(crate) fn dirty_documents() -> impl Strategy<Value = (usize, Bytes)> {
    let accidents = prop::collection::vec(accident(), 0..6);
    (0..DOCUMENTS.len(), accidents).prop_map(|(index, accidents)| {
        let mut bytes = DOCUMENTS[index].bytes.to_vec();
        for accident in accidents {
            happen(&mut bytes, accident);
        }
        (index, Bytes(bytes))
    })
}

/// A dirty document that is UTF-8, with canaries where a word may start.
pub(crate) fn planted_documents() -> impl Strategy<Value = (usize, Bytes)> {
    let before = select(
        &[
            " ", "\n", "\"", "`", "(", "/", "_", "-", "*", "=", ": ", "é", "\u{200b}",
        ][..],
    );
    let plants = prop::collection::vec((0..1000_usize, before, select(&CANARIES[..])), 1..4);
    (dirty_documents(), plants).prop_map(|((index, Bytes(bytes)), plants)| {
        let mut bytes = String::from_utf8_lossy(&bytes).into_owned().into_bytes();
        let mut plants: Vec<_> = plants
            .iter()
            .map(|(at, before, canary)| (place(&bytes, *at), format!("{before}{canary}")))
            .collect();
        // From the end on, so that no canary comes to stand inside another one.
        plants.sort_by(|a, b| b.cmp(a));
        for (at, plant) in plants {
            insert(&mut bytes, at, plant.into_bytes());
        }
        (index, Bytes(bytes))
    })
}
