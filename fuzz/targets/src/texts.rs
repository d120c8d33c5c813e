//! The small languages: JSON, Case's config, secrets, digests, times, names, endpoints.

use std::net::Ipv6Addr;

use admit_client::{Endpoint, EndpointError, Endpoints};
use admit_policy::{
    Digest, Timestamp,
    case_config::CaseConfig,
    endpoint, escape,
    json::{self, Node},
    secret,
    text::{Source, is_invisible, shown},
};
use serde_json::Value;

use crate::held::check_visible;

/// Most characters of a shown text.
const SHOWN_CHARS_MAX: usize = 80;
/// Most endpoints of a list.
const ENDPOINTS_MAX: usize = 8;

/// JSON: another reader sees the same, and each value stands where it says.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match json::parse(text) {
        // What is missing at the end is missing behind it.
        Err(error) => assert!(error.span().start <= text.len(), "{error:?}"),
        Ok(node) => {
            check_node(text, &node);
            if let Ok(other) = serde_json::from_str::<Value>(text) {
                assert!(is_same(&node, &other), "{node:?} is not {other:?}");
            }
        }
    }
}

/// Each value, read from its span alone, is itself again.
fn check_node(text: &str, node: &Node) {
    let own = json::parse(&text[node.span.clone()]).unwrap();
    assert!(is_equal(&own, node), "{own:?} is not {node:?}");
    match &node.value {
        json::Value::Array(items) => items.iter().for_each(|item| check_node(text, item)),
        json::Value::Object(members) => members.iter().for_each(|member| {
            let key = json::parse(&text[member.key_span.clone()]).unwrap();
            assert_eq!(key.as_str(), Some(&*member.key));
            check_node(text, &member.value);
        }),
        json::Value::Null
        | json::Value::Bool(_)
        | json::Value::Number(_)
        | json::Value::String(_) => {}
    }
}

/// Whether two values are the same, wherever they stand.
fn is_equal(one: &Node, other: &Node) -> bool {
    use json::Value::{Array, Object};
    match (&one.value, &other.value) {
        (Array(ones), Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(a, b)| is_equal(a, b))
        }
        (Object(ones), Object(others)) => {
            let is_member = |(a, b): (&json::Member, &json::Member)| {
                a.key == b.key && is_equal(&a.value, &b.value)
            };
            ones.len() == others.len() && ones.iter().zip(others).all(is_member)
        }
        (one, other) => one == other,
    }
}

/// Whether another reader sees the same.
fn is_same(node: &Node, other: &Value) -> bool {
    match (&node.value, other) {
        (json::Value::Null, Value::Null) | (json::Value::Number(_), Value::Number(_)) => true,
        (json::Value::Bool(one), Value::Bool(other)) => one == other,
        (json::Value::String(one), Value::String(other)) => one == other,
        (json::Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(a, b)| is_same(a, b))
        }
        (json::Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones.iter().all(|member| {
                    let other = others.get(&member.key);
                    other.is_some_and(|other| is_same(&member.value, other))
                })
        }
        _ => false,
    }
}

/// Case's config: another JSON reader finds the same default, and an equal config when it writes it.
pub fn case_config(data: &[u8]) {
    let Ok(config) = CaseConfig::parse(data) else {
        return;
    };
    let text = std::str::from_utf8(data).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(other) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let default = &other["models"]["default"];
    if let (Some(provider), Some(model)) = (default["provider"].as_str(), default["model"].as_str())
    {
        assert!(config.default_is(provider, model));
        assert!(!config.malformed_entries().contains(&"default"));
        let elsewhere = config.roles_elsewhere(provider, model);
        let is_alone = other["models"].as_object().unwrap().len() == 1;
        assert!(!is_alone || elsewhere.is_empty(), "{elsewhere:?}");
    }
    assert_eq!(CaseConfig::parse(other.to_string().as_bytes()), Ok(config));
}

/// The search for secrets and endpoints: what is found stands in the text, and nothing of it is left
/// when it is quoted.
pub fn secrets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let found: Vec<_> = secret::find(&text)
        .into_iter()
        .map(|secret| secret.span)
        .collect();
    assert_eq!(secret::is_present(&text), !found.is_empty());
    let endpoints = endpoint::find(&text);
    assert_eq!(endpoint::is_present(&text), !endpoints.is_empty());
    for span in found.iter().chain(&endpoints) {
        assert!(!span.is_empty() && text.get(span.clone()).is_some());
    }
    // The text itself is one of its readings.
    assert!(found.is_empty() || escape::any_reading(&text, secret::is_present));
    let path = "a".into();
    let source = Source::new(&path, &text);
    for span in found {
        let place = source.place(&span);
        // No line is shown of a text that hides something behind escapes as well.
        let Some(excerpt) = source.excerpt_at(&place) else {
            continue;
        };
        let secret = &text[span];
        // Beside its own place, a secret may stand in another that does not look like one.
        let is_hidden = text.matches(secret).count() > 1 || !excerpt.text.contains(secret);
        assert!(is_hidden, "{excerpt:?}");
    }
    check_visible(&Source::quote(&text));
    let short = shown(&text, SHOWN_CHARS_MAX);
    assert!(!short.contains(is_invisible));
}

/// Digests and times: what is read is written as it was, or as an equal one.
pub fn small_texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(digest) = Digest::parse(text) {
        assert_eq!(digest.to_string(), text);
    }
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        let (seconds, nanos) = time.unix();
        assert_eq!(Timestamp::from_unix(seconds, nanos), Some(time));
    }
    if admit_permit::is_uuid_v7(text) {
        assert!(admit_permit::is_uuid(text));
    }
    if admit_permit::is_uuid(text) {
        let uuid = uuid::Uuid::try_parse(text).unwrap();
        assert_eq!(uuid.hyphenated().to_string(), text);
    }
}

/// Endpoints of a server: each is read again from what it prints, plaintext leads to this host, and no
/// error repeats a part.
pub fn endpoints(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<Endpoints>() {
        Err(error) => check_visible(&error.to_string()),
        Ok(endpoints) => {
            let printed: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            assert!((1..=ENDPOINTS_MAX).contains(&printed.len()));
            assert_eq!(printed.join(",").parse(), Ok(endpoints));
        }
    }
    let strict: Result<Endpoint, EndpointError> = text.parse();
    let lenient = Endpoint::allow_plaintext_beyond_loopback(text);
    match (strict, lenient) {
        (Ok(strict), lenient) => {
            assert_eq!(Ok(&strict), lenient.as_ref());
            let printed = strict.to_string();
            assert_eq!(printed.starts_with("https://"), strict.is_tls());
            if let Some(authority) = printed.strip_prefix("http://") {
                let (host, _) = authority.rsplit_once(':').unwrap();
                let is_here = host.eq_ignore_ascii_case("localhost")
                    || host.starts_with("127.")
                    || host.trim_matches(['[', ']']).parse() == Ok(Ipv6Addr::LOCALHOST);
                assert!(is_here, "{printed}");
            }
        }
        (Err(EndpointError::PlaintextBeyondLoopback), lenient) => assert!(lenient.is_ok()),
        (Err(error), lenient) => assert_eq!(Err(error), lenient),
    }
}
