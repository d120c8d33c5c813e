//! Every single change of the decision record: how it is written, and what each key says.

use crate::{
    mutation::{Mutation, each},
    world::{CANARY, CODEX, LOCAL, Record, RecordForm, SILENT, World},
};

/// Every form but the plain one.
const FORMS: [RecordForm; 20] = [
    RecordForm::Crlf,
    RecordForm::WithHistory,
    RecordForm::WithProse,
    RecordForm::WithOtherBullets,
    RecordForm::KeysFenced,
    RecordForm::KeysCommented,
    RecordForm::KeysQuoted,
    RecordForm::KeysUnderOtherHeading,
    RecordForm::KeysNumbered,
    RecordForm::SecondSection,
    RecordForm::LookalikeSection,
    RecordForm::TrailingText,
    RecordForm::ByteOrderMark,
    RecordForm::NotUtf8,
    RecordForm::NoFrontMatter,
    RecordForm::SecretInHistory,
    RecordForm::EndpointInHistory,
    RecordForm::Unreadable,
    RecordForm::TooLarge,
    RecordForm::LinkNotFollowed,
];

const LIFECYCLES: [Option<&str>; 4] = [None, Some("draft"), Some("SOT"), Some("sot.")];

/// Values of keys; an empty one leaves the key without a value.
const VALUES: [(&str, &str); 33] = [
    ("decision_status", "not_decided"),
    ("decision_status", "external_provider_approved"),
    ("decision_status", "local_provider_required"),
    ("decision_status", "Local_Provider_Required"),
    ("decision_status", "approved"),
    ("decision_status", ""),
    ("provider_class", "external_anthropic"),
    ("provider_class", "local_case_compatible"),
    ("provider_class", "external_fallback"),
    ("provider_class", ""),
    ("provider", ""),
    ("provider", "anthropic"),
    ("provider", "qwen-l\u{043e}cal"),
    ("provider", "qwen-local\u{200b}"),
    ("provider", LOCAL.0),
    ("provider", CODEX.0),
    ("model", ""),
    ("model", "qwen3.6-35b-a3b-other"),
    ("model", "qwen*"),
    ("model", SILENT.1),
    ("model", CODEX.1),
    ("fallback_provider", LOCAL.0),
    ("fallback_provider", "anthropic"),
    ("fallback_model", LOCAL.1),
    ("fallback_model", "gpt-5.5-other"),
    ("approval_source", ""),
    ("credential_source_class", ""),
    ("allowed_network_class", ""),
    ("review_trigger", ""),
    ("evidence_sources", ""),
    ("effect", ""),
    ("effect", CANARY),
    ("effect", "see http://10.9.8.7:8000/v1"),
];

const KEYS: [&str; 12] = [
    "decision_status",
    "provider_class",
    "provider",
    "model",
    "fallback_provider",
    "fallback_model",
    "approval_source",
    "credential_source_class",
    "allowed_network_class",
    "review_trigger",
    "evidence_sources",
    "effect",
];

/// Lines that are added.
const REPEATED: [(&str, &str); 3] = [
    ("provider", "qwen-local"),
    ("effect", "blocked"),
    ("providers", "x"),
];

fn on_records(change: impl Fn(&mut Record)) -> impl FnOnce(&mut World) {
    move |world| world.policy.records.iter_mut().for_each(change)
}

/// Every change of the decision record.
pub(crate) fn of_the_record() -> Vec<Mutation> {
    let pairs = [
        ("provider", "model"),
        ("fallback_provider", "fallback_model"),
    ];
    [
        each("record form", FORMS, |w, v| on_records(|r| r.form = v)(w)),
        each("lifecycle", LIFECYCLES, |w, v| {
            on_records(|r| r.lifecycle = v)(w);
        }),
        each("record key", VALUES, |w, (key, value)| {
            on_records(|r| r.set(key, value))(w);
        }),
        each("record without", KEYS, |w, key| {
            on_records(|r| r.remove(key))(w);
        }),
        each("record without", pairs, |w, (provider, model)| {
            on_records(|r| {
                r.remove(provider);
                r.remove(model);
            })(w);
        }),
        each("record with one more", REPEATED, |w, v| {
            on_records(|r| r.keys.push(v))(w);
        }),
        each("record with swapped pairs", [()], |w, ()| {
            on_records(swap_pairs)(w);
        }),
        each(
            "record pair",
            [LOCAL, CODEX, SILENT],
            |w, (provider, model)| {
                on_records(|r| {
                    r.set("provider", provider);
                    r.set("model", model);
                })(w);
            },
        ),
    ]
    .concat()
}

fn swap_pairs(record: &mut Record) {
    for (name, _) in &mut record.keys {
        *name = match *name {
            "provider" => "fallback_provider",
            "model" => "fallback_model",
            "fallback_provider" => "provider",
            "fallback_model" => "model",
            other => other,
        };
    }
}
