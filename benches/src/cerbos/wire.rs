//! The few messages of Cerbos that one question takes, by their numbers.

use std::collections::HashMap;

use admit_policy::Digest;
use prost::Message;
use prost_types::{ListValue, Value, value::Kind};

use crate::{
    launch::{CREDENTIAL_SOURCE_CLASS, HOST, MODEL, PROVIDER, admission},
    load::{Call, RUNS},
};

/// `EFFECT_ALLOW`.
const EFFECT_ALLOW: i32 = 1;
/// The one action.
const ACTION: &str = "admit";
/// How many models Case's configuration resolves to: one for the default and each role.
const CASE_MODELS: usize = 7;

/// `cerbos.request.v1.CheckResourcesRequest`.
#[derive(Clone, PartialEq, Message)]
struct CheckResources {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(message, optional, tag = "3")]
    principal: Option<Principal>,
    #[prost(message, repeated, tag = "4")]
    resources: Vec<Entry>,
}

/// `cerbos.engine.v1.Principal`.
#[derive(Clone, PartialEq, Message)]
struct Principal {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, repeated, tag = "3")]
    roles: Vec<String>,
    #[prost(map = "string, message", tag = "4")]
    attr: HashMap<String, Value>,
}

/// `cerbos.request.v1.CheckResourcesRequest.ResourceEntry`.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, repeated, tag = "1")]
    actions: Vec<String>,
    #[prost(message, optional, tag = "2")]
    resource: Option<Resource>,
}

/// `cerbos.engine.v1.Resource`.
#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(map = "string, message", tag = "4")]
    attr: HashMap<String, Value>,
}

/// `cerbos.response.v1.CheckResourcesResponse`.
#[derive(Clone, PartialEq, Message)]
struct Checked {
    #[prost(message, repeated, tag = "2")]
    results: Vec<CheckedEntry>,
}

/// `cerbos.response.v1.CheckResourcesResponse.ResultEntry`.
#[derive(Clone, PartialEq, Message)]
struct CheckedEntry {
    #[prost(map = "string, int32", tag = "2")]
    actions: HashMap<String, i32>,
}

/// The same launches as [`Call::admit`] asks for, asked of Cerbos: one principal, one resource, one action.
pub(crate) fn call() -> Call {
    let requests: Vec<_> = (0..RUNS)
        .map(|run| request(&format!("run-{run:04}")))
        .collect();
    Call::new(
        "/cerbos.svc.v1.CerbosService/CheckResources",
        &requests,
        is_allow,
    )
}

fn is_allow(answer: &[u8]) -> bool {
    Checked::decode(answer).is_ok_and(|answer| {
        let mut results = answer.results.iter();
        results
            .next()
            .is_some_and(|entry| entry.actions.get(ACTION) == Some(&EFFECT_ALLOW))
            && results.next().is_none()
    })
}

fn request(run: &str) -> CheckResources {
    CheckResources {
        request_id: run.to_owned(),
        principal: Some(Principal {
            id: "hermes".to_owned(),
            roles: vec!["harness".to_owned()],
            attr: HashMap::from([("host".to_owned(), text(HOST))]),
        }),
        resources: vec![Entry {
            actions: vec![ACTION.to_owned()],
            resource: Some(Resource {
                kind: "launch".to_owned(),
                id: run.to_owned(),
                attr: attributes(run),
            }),
        }],
    }
}

fn attributes(run: &str) -> HashMap<String, Value> {
    let pair = format!("{PROVIDER}/{MODEL}");
    let digest = Digest::of(admission(0).as_bytes()).to_string();
    let attributes = [
        ("lane", text("real")),
        (
            "scan_covered",
            list(&["argv", "task-file", "generated-config"]),
        ),
        ("scan_findings", list(&[])),
        ("fixture", text("copied-artificial")),
        ("target_repository", text("absent")),
        (
            "stage",
            Value {
                kind: Some(Kind::NumberValue(2.0)),
            },
        ),
        ("provider", text(PROVIDER)),
        ("model", text(MODEL)),
        ("admission_file_digest", text(&digest)),
        ("credential_source_class", text(CREDENTIAL_SOURCE_CLASS)),
        ("case_models", list(&[pair.as_str(); CASE_MODELS])),
        ("case_model_override", text("absent")),
        ("model_flag", text("absent")),
        ("agent_flag", text("absent")),
        ("visible_credentials", list(&[])),
        ("base_url", text("present")),
        ("endpoint_scope", text("loopback")),
        ("adapter", text("valid")),
        ("served_model", text("match")),
        ("fake_baseline", text(run)),
    ];
    attributes
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn list(texts: &[&str]) -> Value {
    let values = texts.iter().map(|entry| text(entry)).collect();
    Value {
        kind: Some(Kind::ListValue(ListValue { values })),
    }
}
