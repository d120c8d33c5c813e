//! The chain: how a line is linked to the line before it.
//!
//! A line is one JSON object. Its first members are `type`, `seq` (where it has one) and `prev`, the
//! hash of the line before; its last member is `hash`, the SHA-256 of the line's own bytes up to the
//! comma before `"hash"`. So the preimage is raw bytes, and no canonical JSON is needed to check it.

use admit_policy::Digest;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

/// The hash that the first line of a log follows.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Longest line, in bytes, without its line feed. An entry has fixed bounds far below it.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What stands between the preimage and the hash.
const BEFORE_HASH: &str = ",\"hash\":\"";
/// What stands behind the hash.
const AFTER_HASH: &str = "\"}";
const HASH_CHARS: usize = 64;
const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// The links of one line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Links {
    /// The sequence number; a segment's first and last line have none.
    pub seq: Option<u64>,
    /// The hash of the line before.
    pub prev: String,
    /// The line's own hash.
    pub hash: String,
}

/// Why a line is not a whole link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// It is longer than [`LINE_BYTES_MAX`].
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It does not end with a hash.
    #[error("the line does not end with a hash")]
    NoHash,
    /// Its bytes have another hash than it states.
    #[error("the line was changed: its bytes have another hash than it states")]
    Changed,
    /// It has a hash and is no JSON with links.
    #[error("the line is not an entry")]
    NoEntry,
}

/// Appends one line to `to`: `members` are the JSON members of the entry behind its links, without
/// braces. Returns the hash.
pub fn compose(
    to: &mut Vec<u8>,
    entry_type: &str,
    seq: Option<u64>,
    prev: &str,
    members: &[u8],
) -> String {
    let start = to.len();
    to.extend_from_slice(b"{\"type\":\"");
    to.extend_from_slice(entry_type.as_bytes());
    to.extend_from_slice(b"\",");
    if let Some(seq) = seq {
        to.extend_from_slice(format!("\"seq\":{seq},").as_bytes());
    }
    to.extend_from_slice(b"\"prev\":\"");
    to.extend_from_slice(prev.as_bytes());
    to.extend_from_slice(b"\",");
    to.extend_from_slice(members);
    let hash = Digest::of(to.get(start..).unwrap_or_default()).to_string();
    to.extend_from_slice(BEFORE_HASH.as_bytes());
    to.extend_from_slice(hash.as_bytes());
    to.extend_from_slice(AFTER_HASH.as_bytes());
    to.push(b'\n');
    hash
}

/// Checks that `line` (without its line feed) has the hash that it states; its links.
///
/// # Errors
///
/// When it is too long, has no hash or another one, or is no JSON with links.
pub fn check(line: &[u8]) -> Result<Links, LinkFault> {
    let stated = check_hash(line)?;
    let links: Links = serde_json::from_slice(line).map_err(|_| LinkFault::NoEntry)?;
    links.state(stated)
}

/// Checks that `line` (without its line feed) has the hash that stands at its end; that hash.
///
/// # Errors
///
/// When it is too long, has no hash or another one.
pub(super) fn check_hash(line: &[u8]) -> Result<&str, LinkFault> {
    if line.len() > LINE_BYTES_MAX {
        return Err(LinkFault::TooLong);
    }
    let (preimage, stated) = split(line).ok_or(LinkFault::NoHash)?;
    if are_digits_of(stated, digest(&SHA256, preimage).as_ref()) {
        Ok(stated)
    } else {
        Err(LinkFault::Changed)
    }
}

impl Links {
    /// The links themselves, if the hash that JSON finds is `stated`, the one at the end of the line.
    pub(super) fn state(self, stated: &str) -> Result<Self, LinkFault> {
        if self.hash == stated {
            Ok(self)
        } else {
            Err(LinkFault::NoEntry)
        }
    }
}

/// Whether `digits` are the lowercase hexadecimal digits of `bytes`.
fn are_digits_of(digits: &str, bytes: &[u8]) -> bool {
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied();
    let pairs = digits.as_bytes().chunks_exact(2);
    digits.len() == bytes.len().saturating_mul(2)
        && pairs.zip(bytes).all(|(pair, byte)| match pair {
            [high, low] => digit(byte >> 4) == Some(*high) && digit(byte & 0xf) == Some(*low),
            _ => false,
        })
}

/// The preimage and the hash of a line.
fn split(line: &[u8]) -> Option<(&[u8], &str)> {
    let line = line.strip_suffix(AFTER_HASH.as_bytes())?;
    let (line, hash) = line.split_at_checked(line.len().checked_sub(HASH_CHARS)?)?;
    let preimage = line.strip_suffix(BEFORE_HASH.as_bytes())?;
    Some((preimage, std::str::from_utf8(hash).ok()?))
}

/// Whether `bytes` begin with a whole line whose hash is right, with or without a line feed behind.
#[must_use]
pub fn begins_with_whole_line(bytes: &[u8]) -> bool {
    let end_of_line = AFTER_HASH.as_bytes();
    bytes
        .windows(end_of_line.len())
        .enumerate()
        .filter(|(_, window)| *window == end_of_line)
        .filter_map(|(at, window)| bytes.get(..at.checked_add(window.len())?))
        .any(|line| check(line).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Vec<u8> {
        let mut line = Vec::new();
        compose(&mut line, "gap", Some(7), GENESIS, br#""refused":2"#);
        line.pop();
        line
    }

    #[test]
    fn a_line_states_its_links() {
        let line = line();
        let links = check(&line).unwrap();
        assert_eq!((links.seq, links.prev.as_str()), (Some(7), GENESIS));
        let text = String::from_utf8(line).unwrap();
        assert!(
            text.ends_with(&format!(",\"hash\":\"{}\"}}", links.hash)),
            "{text}"
        );
    }

    #[test]
    fn no_byte_of_a_line_can_be_changed() {
        let line = line();
        for at in 0..line.len() {
            for change in [0x01, 0x20, 0x80] {
                let mut changed = line.clone();
                *changed.get_mut(at).unwrap() ^= change;
                assert!(check(&changed).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn the_longest_line_has_two_sides() {
        for (length, is_read) in [(LINE_BYTES_MAX, true), (LINE_BYTES_MAX + 1, false)] {
            let mut line = Vec::new();
            let empty = compose(&mut line, "x", None, GENESIS, b"\"a\":\"\"").len();
            assert_eq!(empty, HASH_CHARS);
            let fill = "a".repeat(length - (line.len() - 1));
            let members = format!("\"a\":\"{fill}\"");
            line.clear();
            compose(&mut line, "x", None, GENESIS, members.as_bytes());
            line.pop();
            assert_eq!((line.len(), check(&line).is_ok()), (length, is_read));
        }
    }
}
