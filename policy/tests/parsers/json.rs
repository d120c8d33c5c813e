//! The JSON reader and Case's configuration: totality, places, and agreement with another reader.

use std::{collections::BTreeMap, ops::Range};

use admit_policy::{
    case_config::{CaseConfig, ROLES},
    json::{self, DEPTH_MAX, JsonError, Node, Value},
};
use proptest::{prelude::*, sample::select};

use crate::{
    config,
    noise::{Bytes, dirty_documents, token_soup},
};

/// Checks that every span is in `text`, inside `outer` and after the one before it.
fn check_spans(text: &str, node: &Node, outer: &Range<usize>) {
    let slice = text
        .get(node.span.clone())
        .expect("the span is in the text");
    assert!(outer.start <= node.span.start && node.span.end <= outer.end);
    assert!(!slice.is_empty() && slice == slice.trim(), "{slice:?}");
    let mut from = node.span.start;
    let mut next = |span: &Range<usize>| {
        assert!(
            from <= span.start && span.start < span.end,
            "{span:?} after {from}"
        );
        from = span.end;
    };
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => {
            for item in items {
                next(&item.span);
                check_spans(text, item, &node.span);
            }
        }
        Value::Object(members) => {
            for member in members {
                next(&member.key_span);
                next(&member.value.span);
                let key = text
                    .get(member.key_span.clone())
                    .expect("the key is in the text");
                assert!(key.starts_with('"') && key.ends_with('"'));
                check_spans(text, &member.value, &node.span);
            }
        }
    }
}

/// The value as the other reader has it; numbers as that reader prints them.
fn as_serde(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(text) => serde_json::from_str(text).unwrap(),
        Value::String(text) => text.clone().into(),
        Value::Array(items) => items.iter().map(as_serde).collect(),
        Value::Object(members) => members
            .iter()
            .map(|member| (member.key.clone(), as_serde(&member.value)))
            .collect(),
    }
}

/// Reads `text` with both readers and compares them.
fn compare(text: &str) {
    let other = serde_json::from_str::<serde_json::Value>(text);
    match json::parse(text) {
        Ok(root) => {
            check_spans(text, &root, &(0..text.len()));
            match other {
                Ok(other) => assert_eq!(as_serde(&root), other, "{text:?}"),
                // JavaScript reads such a number as infinity, so Case does not fall over it.
                Err(error) => assert!(
                    error.to_string().starts_with("number out of range"),
                    "only the product reads {text:?}: {error}"
                ),
            }
        }
        Err(JsonError::Malformed { at, message }) => {
            assert!(
                other.is_err(),
                "only the product refuses {text:?}: {message}"
            );
            assert!(text.is_char_boundary(at), "{at} in {text:?}");
        }
        Err(error @ (JsonError::DuplicateKey { .. } | JsonError::TooDeep { .. })) => {
            assert!(text.is_char_boundary(error.span().start), "{error:?}");
        }
    }
}

/// Reads `bytes` as Case's configuration and asks it everything.
fn ask_config(bytes: &[u8]) {
    let Ok(config) = CaseConfig::parse(bytes) else {
        return;
    };
    assert!(config.malformed_entries().len() <= ROLES.len() + 1);
    assert!(config.roles_elsewhere("p", "m").len() <= ROLES.len());
}

/// A JSON text of at most 6 levels, each key once in its object, in every spelling.
fn valid_json() -> impl Strategy<Value = String> {
    let space = || select(&["", "", " ", "\n", "\r\n\t"][..]);
    let key = select(
        &[
            "a",
            "b",
            "é",
            "𝔸",
            "",
            "models",
            "default",
            "\\n",
            "\\u0041",
            "\\ud834\\udd1e",
            "\\\"",
            "a b",
        ][..],
    );
    let scalar = select(
        &[
            "null",
            "true",
            "false",
            "0",
            "-0",
            "7",
            "1.5e3",
            "1E-9",
            "123456789012345678901",
            "\"\"",
            "\"é\\u0000\"",
            "\"\\/\"",
        ][..],
    )
    .prop_map(str::to_owned);
    scalar.prop_recursive(6, 40, 5, move |inner| {
        let items = prop::collection::vec((space(), inner.clone()), 0..5).prop_map(|items| {
            let items: Vec<String> = items
                .iter()
                .map(|(space, item)| format!("{space}{item}{space}"))
                .collect();
            format!("[{}]", items.join(","))
        });
        let members = prop::collection::btree_map(key.clone(), (space(), inner), 0..5);
        let members = members.prop_map(|members: BTreeMap<&str, (&str, String)>| {
            let members: Vec<String> = members
                .iter()
                .map(|(key, (space, value))| format!("{space}\"{key}\"{space}:{value}{space}"))
                .collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![items, members]
    })
}

/// A JSON text with a few characters put in, taken out or doubled.
fn broken_json() -> impl Strategy<Value = String> {
    let noise = select(
        &[
            "", "", ",", ":", "{", "}", "[", "]", "\"", "\\", "0", "-", ".", "e", "\n", "\0",
            "\u{7f}", "é", "//", "nul", "1e400",
        ][..],
    );
    let edits = prop::collection::vec((any::<prop::sample::Index>(), noise, 0..3_usize), 1..4);
    (valid_json(), edits).prop_map(|(mut text, edits)| {
        for (at, noise, removed) in edits {
            let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            places.push(text.len());
            let index = at.index(places.len());
            let end = places[(index + removed).min(places.len() - 1)];
            text.replace_range(places[index]..end, noise);
        }
        text
    })
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn valid_json_is_read_as_another_reader_does(text in valid_json()) {
        prop_assert!(json::parse(&text).is_ok(), "{text:?}");
        compare(&text);
        ask_config(text.as_bytes());
    }

    #[test]
    fn broken_json_is_judged_as_another_reader_does(text in broken_json()) {
        compare(&text);
        ask_config(text.as_bytes());
    }

    #[test]
    fn a_repeated_key_is_found_wherever_it_stands(
        outer in valid_json(), inner in valid_json(), key in select(&["a", "\\u0061"][..]),
    ) {
        let text = format!("[{outer},{{\"b\":[{{\"a\":{inner},\"c\":0,\"{key}\":1}}]}}]");
        let Err(JsonError::DuplicateKey { span }) = json::parse(&text) else {
            panic!("not found in {text}");
        };
        prop_assert_eq!(&text[span], format!("\"{key}\""));
    }

    #[test]
    fn a_soup_of_tokens_is_judged_as_another_reader_does(text in token_soup()) {
        compare(&text);
        ask_config(text.as_bytes());
    }

    #[test]
    fn a_dirty_document_is_a_config((_, Bytes(bytes)) in dirty_documents()) {
        ask_config(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            compare(text);
        }
    }

    #[test]
    fn nesting_is_bounded(depth in 0..80_usize, is_object: bool) {
        let (open, close) = if is_object { ("{\"a\":", "}") } else { ("[", "]") };
        let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
        match json::parse(&text) {
            Ok(root) => {
                prop_assert!(depth <= DEPTH_MAX);
                check_spans(&text, &root, &(0..text.len()));
            }
            Err(error) => {
                let is_too_deep = matches!(error, JsonError::TooDeep { .. });
                prop_assert!(is_too_deep && depth > DEPTH_MAX);
            }
        }
    }
}
