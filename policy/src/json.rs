//! Strict JSON with the place of every value, where a repeated key is an error.
//!
//! The syntax is judged by `serde_json`, as is every escape; the places come from one walk through what
//! it found to be JSON.
//! Deliberately absent: any repair. What is not strict JSON is an error with a place.

use alloc::{borrow::Cow, collections::BTreeSet, format, string::String, vec::Vec};
use core::ops::Range;

use serde::de::IgnoredAny;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 32;

/// Keys of an object that are compared one by one; further ones are searched, so that the time of
/// reading an object grows little faster than its length.
const KEYS_COMPARED: usize = 16;

/// A value and its place in bytes. `T` holds its texts: owned, or borrowed from the text where that has
/// no escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<T = String> {
    /// Where the value stands.
    pub span: Range<usize>,
    /// The value.
    pub value: Value<T>,
}

/// A JSON value. Numbers keep their text: nothing here computes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<T = String> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(T),
    /// A string, unescaped.
    String(T),
    /// An array.
    Array(Vec<Node<T>>),
    /// An object, in the order of the text, each key once.
    Object(Vec<Member<T>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<T = String> {
    /// The key, unescaped.
    pub key: T,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node<T>,
}

impl<T: AsRef<str>> Node<T> {
    /// The value of `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Object(members) = &self.value else {
            return None;
        };
        members
            .iter()
            .find(|member| member.key.as_ref() == key)
            .map(|member| &member.value)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text.as_ref()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// Whether JavaScript takes the value for true.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match &self.value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(text) => !is_zero(text.as_ref()),
            Value::String(text) => !text.as_ref().is_empty(),
            Value::Array(_) | Value::Object(_) => true,
        }
    }
}

/// Whether JavaScript reads the JSON number `text` as zero. A number too small for a double reads as
/// zero too, so this asks the same question of the same kind of number.
fn is_zero(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// Why a text is not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The syntax is wrong.
    #[error("is not JSON: {message}")]
    Malformed {
        /// Where, in bytes.
        at: usize,
        /// What the parser says.
        message: String,
    },
    /// An object has a key twice.
    #[error("has a key twice in one object")]
    DuplicateKey {
        /// Where the second one stands.
        span: Range<usize>,
    },
    /// It is nested more deeply than [`DEPTH_MAX`].
    #[error("is nested more than {DEPTH_MAX} levels deep")]
    TooDeep {
        /// Where, in bytes.
        at: usize,
    },
}

impl JsonError {
    /// Where the fault stands.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Malformed { at, .. } | Self::TooDeep { at } => *at..at.saturating_add(1),
            Self::DuplicateKey { span } => span.clone(),
        }
    }
}

/// Parses `text`.
///
/// # Errors
///
/// When `text` is not strict JSON, repeats a key or is nested too deeply.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    parse_into(text)
}

/// Parses `text`, and borrows from it what has no escape.
///
/// # Errors
///
/// Those of [`parse`].
pub fn parse_borrowed(text: &str) -> Result<Node<Cow<'_, str>>, JsonError> {
    parse_into(text)
}

fn parse_into<'a, T: Text<'a>>(text: &'a str) -> Result<Node<T>, JsonError> {
    let judged: Result<IgnoredAny, _> = serde_json::from_str(text);
    judged.map_err(|error| malformed(text, 0, &error))?;
    let mut reader = Reader { text, at: 0 };
    reader.skip_while(is_space);
    reader.node(0)
}

/// What holds the texts of a value.
trait Text<'a>: AsRef<str> + From<Cow<'a, str>> {}

impl<'a, T: AsRef<str> + From<Cow<'a, str>>> Text<'a> for T {}

/// Walks once through a text that is JSON, so that the first byte of a value tells what it is.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn node<T: Text<'a>>(&mut self, depth: usize) -> Result<Node<T>, JsonError> {
        let start = self.at;
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep { at: start });
        }
        let value = match self.byte() {
            Some(b'{') => Value::Object(self.members(depth)?),
            Some(b'[') => Value::Array(self.items(depth)?),
            Some(b'"') => Value::String(self.string()?.into()),
            Some(_) | None => {
                self.skip_while(|byte| !ends_scalar(byte));
                match self.since(start) {
                    "null" => Value::Null,
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    number => Value::Number(Cow::Borrowed(number).into()),
                }
            }
        };
        let span = start..self.at;
        Ok(Node { span, value })
    }

    fn members<T: Text<'a>>(&mut self, depth: usize) -> Result<Vec<Member<T>>, JsonError> {
        let mut members: Vec<Member<T>> = Vec::new();
        let mut searched = BTreeSet::new();
        self.step();
        while self.is_at_item() {
            let start = self.at;
            let key = self.string()?;
            let key_span = start..self.at;
            let mut compared = members.iter().take(KEYS_COMPARED);
            let is_repeated = compared.any(|member| member.key.as_ref() == &*key)
                || (members.len() >= KEYS_COMPARED && !searched.insert(key.clone()));
            if is_repeated {
                return Err(JsonError::DuplicateKey { span: key_span });
            }
            self.skip_while(|byte| is_space(byte) || byte == b':');
            members.push(Member {
                key: key.into(),
                key_span,
                value: self.node(depth.saturating_add(1))?,
            });
        }
        self.step();
        Ok(members)
    }

    fn items<T: Text<'a>>(&mut self, depth: usize) -> Result<Vec<Node<T>>, JsonError> {
        let mut items = Vec::new();
        self.step();
        while self.is_at_item() {
            items.push(self.node(depth.saturating_add(1))?);
        }
        self.step();
        Ok(items)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at;
        let mut has_escape = false;
        self.step();
        self.skip_while(|byte| !matches!(byte, b'"' | b'\\'));
        while self.byte() == Some(b'\\') {
            has_escape = true;
            self.step();
            self.step();
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\'));
        }
        self.step();
        let raw = self.since(start);
        if has_escape {
            let text: Result<String, _> = serde_json::from_str(raw);
            text.map(Cow::Owned)
                .map_err(|error| malformed(raw, start, &error))
        } else {
            let text = raw.get(1..raw.len().saturating_sub(1));
            Ok(Cow::Borrowed(text.unwrap_or_default()))
        }
    }

    /// Goes on to the next member or item; `false` at the end of the array or object.
    fn is_at_item(&mut self) -> bool {
        self.skip_while(|byte| is_space(byte) || byte == b',');
        !matches!(self.byte(), Some(b'}' | b']') | None)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn skip_while(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_skipped(*byte));
        self.at = self.at.saturating_add(length.unwrap_or(rest.len()));
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn ends_scalar(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b'}' | b']')
}

/// The error of `serde_json` about `slice`, which stands at `start`, with its place in bytes.
fn malformed(slice: &str, start: usize, error: &serde_json::Error) -> JsonError {
    let line_start = match error.line().checked_sub(2) {
        None => 0,
        Some(index) => slice
            .match_indices('\n')
            .nth(index)
            .map_or(slice.len(), |(at, _)| at.saturating_add(1)),
    };
    let within = line_start.saturating_add(error.column().saturating_sub(1));
    let full = format!("{error}");
    let message = full
        .split_once(" at line ")
        .map_or(full.as_str(), |(message, _)| message);
    let at = slice.floor_char_boundary(within);
    JsonError::Malformed {
        at: start.saturating_add(at),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "{\n \"a\": [1, {\"b\\u0063\": \"é\"}],\n \"d\": null }";
        let root = parse(text).unwrap();
        let node = root.get("a").unwrap();
        assert_eq!(
            text.get(node.span.clone()),
            Some("[1, {\"b\\u0063\": \"é\"}]")
        );
        let Value::Array(items) = &node.value else {
            panic!("an array")
        };
        let inner = items.get(1).unwrap().get("bc").unwrap();
        assert_eq!(text.get(inner.span.clone()), Some("\"é\""));
        assert_eq!(inner.as_str(), Some("é"));
    }

    #[test]
    fn a_repeated_key_is_found_at_every_level_and_under_every_escape() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"\u0061":2}}"#,
            r#"[[{"a":1,"b":2,"a":3}]]"#,
        ] {
            assert!(
                matches!(parse(text), Err(JsonError::DuplicateKey { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_strict_is_an_error_with_a_place() {
        for (text, at) in [
            ("", 0),
            ("{\"a\": 1,}", 8),
            ("{\n\"a\": tru\n}", 10),
            ("[1] x", 4),
            ("\u{feff}{}", 0),
            ("// no\n{}", 0),
            ("\"\\ud800\"", 0),
            ("[\"\\ud800\"]", 1),
            ("{'a':1}", 1),
            ("NaN", 0),
        ] {
            let error = parse(text).unwrap_err();
            let JsonError::Malformed { at: found, .. } = &error else {
                panic!("{text}: {error}")
            };
            assert!(found.abs_diff(at) <= 8, "{text:?} at {found}, {error}");
            assert!(*found <= text.len());
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX + 1)).is_ok());
        assert!(matches!(
            parse(&nested(DEPTH_MAX + 2)),
            Err(JsonError::TooDeep { .. })
        ));
        assert!(parse(&nested(100_000)).is_err());
    }

    #[test]
    fn truth_is_that_of_javascript() {
        for (text, truthy) in [
            ("null", false),
            ("false", false),
            ("0", false),
            ("-0.0e5", false),
            ("1e-999", false),
            ("\"\"", false),
            ("true", true),
            ("1", true),
            ("\"0\"", true),
            ("[]", true),
            ("{}", true),
        ] {
            assert_eq!(parse(text).unwrap().is_truthy(), truthy, "{}", text);
        }
    }
}
