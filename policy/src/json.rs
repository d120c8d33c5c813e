//! Strict JSON with the place of every value, where a repeated key is an error.
//!
//! The syntax is judged by `serde_json`; the places come from the raw slices that it hands out.
//! Deliberately absent: any repair. What is not strict JSON is an error with a place.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::{fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 32;

/// A value and its place in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where the value stands.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A JSON value. Numbers keep their text: nothing here computes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object, in the order of the text, each key once.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key, unescaped.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Object(members) = &self.value else {
            return None;
        };
        members
            .iter()
            .find(|member| member.key == key)
            .map(|member| &member.value)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
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
            Value::Number(text) => !is_zero(text),
            Value::String(text) => !text.is_empty(),
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
    let root: &RawValue = serde_json::from_str(text).map_err(|error| malformed(text, 0, &error))?;
    Reader { text }.node(root, 0)
}

struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn node(&self, raw: &'a RawValue, depth: usize) -> Result<Node, JsonError> {
        let span = self.span(raw);
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep { at: span.start });
        }
        let value = match raw.get().as_bytes().first() {
            Some(b'{') => Value::Object(self.members(raw, &span, depth)?),
            Some(b'[') => Value::Array(self.items(raw, &span, depth)?),
            Some(b'"') => Value::String(self.scalar(raw, &span)?),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            Some(_) | None => Value::Number(raw.get().into()),
        };
        Ok(Node { span, value })
    }

    fn members(
        &self,
        raw: &'a RawValue,
        span: &Range<usize>,
        depth: usize,
    ) -> Result<Vec<Member>, JsonError> {
        let RawMembers(pairs) = self.scalar(raw, span)?;
        let mut seen = BTreeMap::new();
        let mut members = Vec::with_capacity(pairs.len());
        for (raw_key, raw_value) in pairs {
            let key_span = self.span(raw_key);
            let key: String = self.scalar(raw_key, &key_span)?;
            if seen.insert(key.clone(), ()).is_some() {
                return Err(JsonError::DuplicateKey { span: key_span });
            }
            let value = self.node(raw_value, depth.saturating_add(1))?;
            members.push(Member {
                key,
                key_span,
                value,
            });
        }
        Ok(members)
    }

    fn items(
        &self,
        raw: &'a RawValue,
        span: &Range<usize>,
        depth: usize,
    ) -> Result<Vec<Node>, JsonError> {
        let RawItems(items) = self.scalar(raw, span)?;
        items
            .into_iter()
            .map(|item| self.node(item, depth.saturating_add(1)))
            .collect()
    }

    fn scalar<T: Deserialize<'a>>(
        &self,
        raw: &'a RawValue,
        span: &Range<usize>,
    ) -> Result<T, JsonError> {
        serde_json::from_str(raw.get()).map_err(|error| malformed(raw.get(), span.start, &error))
    }

    /// Where `raw`, a slice of the text, stands in it.
    fn span(&self, raw: &RawValue) -> Range<usize> {
        let start = raw
            .get()
            .as_ptr()
            .addr()
            .saturating_sub(self.text.as_ptr().addr());
        start..start.saturating_add(raw.get().len())
    }
}

struct RawMembers<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(RawMembers(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

struct RawItems<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for RawItems<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = RawItems<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(RawItems(items))
            }
        }
        deserializer.deserialize_seq(Items)
    }
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
