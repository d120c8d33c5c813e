//! Secret shapes: texts that look like a credential.
//!
//! One pass over the bytes. The shapes are those of the providers that Case and Pi know, and the
//! general ones (bearer, JWT, PEM, URL with a password, key in a query, assignment to a name that
//! says what it is). A false alarm denies and can be mended; a miss could not be.
//!
//! Deliberately absent: the found text itself. A finding is a span and a kind.

use alloc::vec::Vec;
use core::ops::Range;

/// What a secret looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretShape {
    /// A provider's API key, by its prefix.
    ApiKey,
    /// A JSON Web Token.
    Jwt,
    /// A bearer credential.
    Bearer,
    /// A URL with a password.
    UrlPassword,
    /// A key or token in the query of a URL.
    UrlKey,
    /// A PEM block.
    Pem,
    /// A value assigned to a name that says that it is secret.
    Assignment,
}

impl SecretShape {
    /// The kind of secret, for a message.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::ApiKey => "a provider's API key",
            Self::Jwt => "a JSON Web Token",
            Self::Bearer => "a bearer credential",
            Self::UrlPassword => "a URL with a password",
            Self::UrlKey => "a URL with a key",
            Self::Pem => "a PEM block",
            Self::Assignment => "a value of a secret's name",
        }
    }
}

/// A place that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What it looks like.
    pub shape: SecretShape,
}

/// Prefixes of API keys, each with the fewest characters that have to follow it.
const KEY_PREFIXES: [(&str, usize); 17] = [
    ("sk-", 12),
    ("ghp_", 10),
    ("gho_", 10),
    ("ghu_", 10),
    ("ghs_", 10),
    ("ghr_", 10),
    ("github_pat_", 10),
    ("glpat-", 10),
    ("gsk_", 10),
    ("hf_", 10),
    ("xai-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("AIza", 16),
    ("AKIA", 12),
    ("ASIA", 12),
    ("tskey-", 10),
];

/// Names whose assigned value is a secret, without `_` and `-`, in lower case.
const SECRET_NAMES: [&str; 13] = [
    "apikey",
    "xapikey",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "bearertoken",
    "token",
    "clientsecret",
    "secret",
    "secretkey",
    "password",
    "passwd",
];
/// Longest of [`SECRET_NAMES`], in bytes.
const SIGNIFICANT_BYTES_MAX: usize = 12;

/// Shortest assigned value that counts, in bytes.
const ASSIGNED_BYTES_MIN: usize = 8;
/// How much of an assigned value is looked at, in bytes. Every look is bounded, so that the time of a
/// search grows with the length of its text and no faster.
const ASSIGNED_BYTES_LOOKED_AT: usize = 256;
/// Longest header of a JSON Web Token, in bytes.
const JWT_HEADER_BYTES_MAX: usize = 1024;

/// Every place in `text` that looks like a secret, in order.
#[must_use]
pub fn find(text: &str) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    for at in starts(text.as_bytes()) {
        if found.last().is_some_and(|last| at < last.span.end) {
            continue;
        }
        if let Some(secret) = at_offset(text, at) {
            found.push(secret);
        }
    }
    found
}

/// Whether any place in `text` looks like a secret.
#[must_use]
pub fn is_present(text: &str) -> bool {
    starts(text.as_bytes()).any(|at| at_offset(text, at).is_some())
}

/// The places at which a secret can start, in order: the few bytes that begin one, and of letters those
/// that begin a word.
fn starts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let positions = bytes.iter().enumerate();
    let wanted = positions.filter(move |(at, byte)| match byte {
        b's' | b'g' | b'h' | b'x' | b'A' | b't' | b'e' | b'B' | b'b' => starts_word(bytes, *at),
        b'?' | b'&' | b'-' | b':' | b'=' => true,
        _ => false,
    });
    wanted.map(|(at, _)| at)
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .and_then(|before| bytes.get(before))
        .is_none_or(|before| !before.is_ascii_alphanumeric())
}

/// The secret that starts at byte `at`, one of [`starts`], if one does.
fn at_offset(text: &str, at: usize) -> Option<Secret> {
    let bytes = text.as_bytes();
    let found = |end: usize, shape| {
        Some(Secret {
            span: at..end,
            shape,
        })
    };
    match *bytes.get(at)? {
        b's' | b'g' | b'h' | b'x' | b'A' | b't' => {
            found(api_key_end(bytes, at)?, SecretShape::ApiKey)
        }
        b'e' => found(jwt_end(bytes, at)?, SecretShape::Jwt),
        b'B' | b'b' => found(bearer_end(bytes, at)?, SecretShape::Bearer),
        b'?' | b'&' => found(query_key_end(bytes, at)?, SecretShape::UrlKey),
        b'-' => found(pem_end(text, at)?, SecretShape::Pem),
        b':' => match url_password_end(text, at) {
            Some(end) => found(end, SecretShape::UrlPassword),
            None => assignment(text, at),
        },
        b'=' => assignment(text, at),
        _ => None,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The end of the run of bytes from `from` that `wanted` accepts.
fn run_end(bytes: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| !wanted(*byte))
        .unwrap_or(rest.len());
    from.saturating_add(length)
}

fn api_key_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    KEY_PREFIXES.iter().find_map(|(prefix, tail_min)| {
        if !rest.starts_with(prefix.as_bytes()) {
            return None;
        }
        let tail_start = at.saturating_add(prefix.len());
        let end = run_end(bytes, tail_start, is_word);
        (end.saturating_sub(tail_start) >= *tail_min).then_some(end)
    })
}

fn jwt_end(bytes: &[u8], at: usize) -> Option<usize> {
    if !bytes.get(at..)?.starts_with(b"eyJ") {
        return None;
    }
    let header_limit = at.saturating_add(JWT_HEADER_BYTES_MAX).min(bytes.len());
    let header = run_end(bytes.get(..header_limit)?, at, is_word);
    let payload = run_end(bytes, past_dot(bytes, header)?, is_word);
    let signature_start = past_dot(bytes, payload)?;
    let end = run_end(bytes, signature_start, is_word);
    (end > signature_start).then_some(end)
}

fn past_dot(bytes: &[u8], at: usize) -> Option<usize> {
    (bytes.get(at) == Some(&b'.')).then(|| at.saturating_add(1))
}

/// `Bearer` and a token. A short token has to have a digit, so that prose about bearers passes.
fn bearer_end(bytes: &[u8], at: usize) -> Option<usize> {
    const WORD: &[u8] = b"bearer";
    const TOKEN_BYTES_MIN: usize = 8;
    const TOKEN_BYTES_CERTAIN: usize = 20;
    let word_end = at.saturating_add(WORD.len());
    if !bytes.get(at..word_end)?.eq_ignore_ascii_case(WORD) {
        return None;
    }
    let token_start = run_end(bytes, word_end, |byte| byte == b' ' || byte == b'\t');
    if token_start == word_end {
        return None;
    }
    let is_token = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=');
    let run = bytes.get(token_start..run_end(bytes, token_start, is_token))?;
    // A full stop ends the sentence and not the token.
    let token = run.strip_suffix(b".").unwrap_or(run);
    let certain = token.len() >= TOKEN_BYTES_CERTAIN
        || (token.len() >= TOKEN_BYTES_MIN && token.iter().any(u8::is_ascii_digit));
    certain.then(|| token_start.saturating_add(token.len()))
}

fn query_key_end(bytes: &[u8], at: usize) -> Option<usize> {
    const NAMES: [&[u8]; 4] = [b"key=", b"token=", b"api_key=", b"access_token="];
    const VALUE_BYTES_MIN: usize = 6;
    let name_start = at.saturating_add(1);
    let rest = bytes.get(name_start..)?;
    let name = NAMES.iter().find(|name| rest.starts_with(name))?;
    let value_start = name_start.saturating_add(name.len());
    let end = run_end(bytes, value_start, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'&' | b'"' | b'`' | b')')
    });
    (end.saturating_sub(value_start) >= VALUE_BYTES_MIN).then_some(end)
}

/// The whole block; where its end is missing, all that follows.
fn pem_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    if !rest.starts_with("-----BEGIN ") {
        return None;
    }
    let length = rest
        .find("-----END ")
        .and_then(|end| {
            let last_line = rest.get(end..)?.find('\n')?;
            Some(end.saturating_add(last_line))
        })
        .unwrap_or(rest.len());
    Some(at.saturating_add(length))
}

/// `://user:password@`, from its first colon.
fn url_password_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?.strip_prefix("://")?;
    let authority_end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '`' | '"'))
        .unwrap_or(rest.len());
    let authority = rest.get(..authority_end)?;
    let (user_info, _) = authority.rsplit_once('@')?;
    let (_, password) = user_info.split_once(':')?;
    (!password.is_empty()).then(|| at.saturating_add(3).saturating_add(user_info.len()))
}

/// `name: value` or `name=value`, seen from the sign between them; the span is the value.
fn assignment(text: &str, sign: usize) -> Option<Secret> {
    let before = text.get(..sign)?.trim_end_matches(BETWEEN);
    let name_start = before
        .bytes()
        .rposition(|byte| !is_word(byte))
        .map_or(0, |at| at.saturating_add(1));
    if !is_secret_name(before.get(name_start..)?) {
        return None;
    }
    let after = text.get(sign.saturating_add(1)..)?;
    let value_from = after.trim_start_matches(BETWEEN);
    let start = text.len().saturating_sub(value_from.len());
    let value_end =
        |limit: usize| run_end(text.as_bytes().get(..limit)?, start, is_value).checked_sub(start);
    let looked_at = start
        .saturating_add(ASSIGNED_BYTES_LOOKED_AT)
        .min(text.len());
    let value = value_from.as_bytes().get(..value_end(looked_at)?)?;
    let looks_secret = value.len() >= ASSIGNED_BYTES_MIN
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
        && !matches!(value.first(), Some(b'$' | b'<' | b'{'));
    if !looks_secret {
        return None;
    }
    Some(Secret {
        span: start..start.saturating_add(value_end(text.len())?),
        shape: SecretShape::Assignment,
    })
}

/// What may stand between a name, the sign of assignment and the value; a backslash too, for JSON
/// within a text.
const BETWEEN: [char; 6] = [' ', '\t', '"', '\'', '`', '\\'];

/// Whether the byte can be part of an assigned value. Bytes of other alphabets can, so that a value
/// ends between characters.
fn is_value(byte: u8) -> bool {
    !(byte.is_ascii_whitespace()
        || matches!(
            byte,
            b'"' | b'\'' | b'`' | b',' | b';' | b'}' | b')' | b'\\'
        ))
}

fn is_secret_name(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return false;
    }
    let mut significant = [0_u8; SIGNIFICANT_BYTES_MAX];
    let mut places = significant.iter_mut();
    for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')) {
        let Some(place) = places.next() else {
            return false;
        };
        *place = byte.to_ascii_lowercase();
    }
    let length = SIGNIFICANT_BYTES_MAX.saturating_sub(places.len());
    let significant = significant.get(..length).unwrap_or_default();
    SECRET_NAMES
        .iter()
        .any(|secret| secret.as_bytes() == significant)
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use super::*;

    #[test]
    fn every_shape_is_found_where_it_stands() {
        for (secret, shape) in [
            ("sk-0123456789abcdef", SecretShape::ApiKey),
            ("sk-ant-api03-abcdefgh", SecretShape::ApiKey),
            ("sk-or-v1-abcdefghij", SecretShape::ApiKey),
            ("ghp_abcdefghij0123456789", SecretShape::ApiKey),
            ("github_pat_11ABCDEFG0123", SecretShape::ApiKey),
            ("hf_abcdefghijklmnop", SecretShape::ApiKey),
            ("AIzaSyA0123456789abcdef", SecretShape::ApiKey),
            ("gsk_abcdefghijklmnop", SecretShape::ApiKey),
            ("xai-abcdefghijklmnop", SecretShape::ApiKey),
            ("AKIAIOSFODNN7EXAMPLE", SecretShape::ApiKey),
            ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", SecretShape::Jwt),
            ("Bearer abcdef0123456789", SecretShape::Bearer),
            ("bearer 0123456789", SecretShape::Bearer),
            ("?key=abcdef", SecretShape::UrlKey),
            ("&token=abcdef", SecretShape::UrlKey),
        ] {
            let text = format!("é {secret} é");
            assert_eq!(
                find(&text),
                vec![Secret {
                    span: 3..3 + secret.len(),
                    shape
                }],
                "{secret}"
            );
            assert!(is_present(&text));
        }
    }

    #[test]
    fn the_span_of_an_assignment_is_its_value() {
        for text in [
            "apiKey: s3cr3t-value",
            "\"api_key\": \"s3cr3t-value\"",
            "password=s3cr3t-value",
            "`X-Api-Key`: `s3cr3t-value`",
            r#"{\"api_key\": \"s3cr3t-value\"}"#,
        ] {
            let found = find(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(
                found.first().and_then(|f| text.get(f.span.clone())),
                Some("s3cr3t-value"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_in_a_url_is_found() {
        assert!(is_present("https://jp:hunter2@example.com/"));
        assert!(!is_present("https://jp@example.com/"));
    }

    #[test]
    fn a_pem_block_is_found_to_its_end() {
        let block = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----";
        let found = find(&format!("a\n{block}\nb"));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found.first().map(|f| f.span.clone()),
            Some(2..2 + block.len())
        );
        assert_eq!(
            find("-----BEGIN X\nabc").first().map(|f| f.span.end),
            Some(16)
        );
    }

    #[test]
    fn each_prefix_has_a_shortest_tail() {
        for (prefix, tail_min) in KEY_PREFIXES {
            let long = format!("{prefix}{}", "a".repeat(tail_min));
            let short: String = format!("{prefix}{}", "a".repeat(tail_min - 1));
            assert!(is_present(&long), "{long}");
            assert!(!is_present(&short), "{short}");
        }
    }

    #[test]
    fn every_name_says_that_its_value_is_secret_however_it_is_written() {
        for name in SECRET_NAMES {
            let (first, rest) = name.split_at(1);
            for written in [name, &name.to_uppercase(), &format!("__{first}-_{rest}--")] {
                let text = format!("{written}=s3cr3t-value");
                assert!(is_present(&text), "{text}");
                assert!(!is_present(&format!("a{text}")), "a{text}");
                assert!(!is_present(&format!("{written}s=s3cr3t-value")), "{text}");
            }
        }
    }

    #[test]
    fn a_long_text_of_false_starts_is_searched_in_linear_time() {
        // With a look that is not bounded these take minutes.
        for start in [
            "token=",
            "eyJ-",
            "eyJ.",
            "sk-",
            "bearer ",
            "a://",
            "-----BEGIN",
            "?key=",
        ] {
            assert!(find(&start.repeat(1024 * 1024 / start.len())).len() < 1024 * 1024);
        }
    }

    #[test]
    fn prose_and_policy_words_pass() {
        for text in [
            "no secret: everything is in order",
            "`credential_source_class`: `pi-models-json-local-provider-no-secret`; no secret value.",
            "task-0123456789abcdef and risk-0123456789abcdef",
            "bearer of bad news, Bearer authentication",
            "token: none",
            "apiKey: ollama",
            "api_key: $OPENAI_API_KEY_2",
            "hf_home, sk-learn, AKIA",
            "https://example.com/?key=x",
            "- item\n--- rule",
            "eyJust a word. And. Another.",
        ] {
            assert!(find(text).is_empty(), "{text}: {:?}", find(text));
        }
    }
}
