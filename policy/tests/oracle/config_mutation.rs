//! Every single change of Case's `config.json`: what stands in it, and how it is broken.

use crate::{
    mutation::{Mutation, each},
    world::{Config, Entry, Models, SILENT, World},
};

const ROLES: [&str; 6] = [
    "implementer",
    "verifier",
    "reviewer",
    "closer",
    "retrospective",
    "orchestrator",
];

/// Bytes that are not one JSON object with each key once.
const BROKEN: [&[u8]; 11] = [
    b"",
    b"null",
    b"[]",
    b"\"text\"",
    b"{\"models\":{},}",
    b"{\"models\":{}} x",
    b"{\"models\":{},\"models\":{}}",
    b"{\"models\":{\"default\":{\"provider\":\"a\",\"provider\":\"b\",\"model\":\"c\"}}}",
    b"{\"a\":\"\xff\"}",
    b"sk-ant-canary0123456789abcd",
    b"{\"a\":\"sk\\u002dant\\u002dcanary0123456789abcd\",}",
];

/// Every change of the config of `base`.
pub(crate) fn of_the_config(base: &World) -> Vec<Mutation> {
    let own = Entry::Pair(base.stated.provider, base.stated.model);
    let mut configs = vec![Config::Missing];
    configs.extend(BROKEN.map(Config::Broken));
    configs.extend(around(own));
    configs.extend(defaults(base));
    configs.extend(roles(own));
    each("config", configs, |w, v| w.stated.config = v)
}

/// One config of each kind, for the searches that combine two changes.
pub(crate) fn of_each_kind(base: &World) -> Vec<Mutation> {
    let own = Entry::Pair(base.stated.provider, base.stated.model);
    let silent = Entry::Pair(SILENT.0, SILENT.1);
    let other = Entry::Pair("other", "other");
    let malformed = Entry::Malformed("{\"provider\":\"qwen-local\"}");
    let mut configs = vec![
        Config::Missing,
        Config::Broken(b"{\"models\":{},}"),
        Config::Broken(b"{\"models\":{},\"models\":{}}"),
        Config::Broken(b"{\"a\":\"\xff\"}"),
        object(Models::NotAnObject("null"), None),
    ];
    configs.extend(around(own).into_iter().take(6));
    for default in [
        silent,
        other,
        Entry::Falsy("null"),
        Entry::Falsy("0"),
        malformed,
    ] {
        configs.push(entries(vec![("default", default)]));
    }
    for role in [silent, other, Entry::Falsy("null"), malformed] {
        configs.push(entries(vec![("default", own), ("reviewer", role)]));
    }
    configs.push(entries(vec![]));
    configs.push(entries(ROLES.map(|role| (role, own)).to_vec()));
    each("config", configs, |w, v| w.stated.config = v)
}

fn object(models: Models, beside: Option<&'static str>) -> Config {
    Config::Object {
        byte_order_mark: false,
        models,
        beside,
    }
}

fn entries(entries: Vec<(&'static str, Entry)>) -> Config {
    object(Models::Entries(entries), None)
}

/// What stands around and in place of `models`.
fn around(own: Entry) -> Vec<Config> {
    let default = Models::Entries(vec![("default", own)]);
    let default_model = "\"defaultModel\":\"claude-sonnet-4-6\"";
    let mut configs = vec![
        Config::Object {
            byte_order_mark: true,
            models: default.clone(),
            beside: None,
        },
        object(Models::Absent, None),
        object(Models::Absent, Some(default_model)),
        object(default.clone(), Some("\"version\":1")),
        object(
            default.clone(),
            Some("\"note\":\"sk-ant-canary0123456789abcd\""),
        ),
        object(
            default,
            Some("\"note\":[{\"sk\\u002dant\\u002dcanary0123456789abcd\":1}]"),
        ),
    ];
    for json in [
        "null",
        "[]",
        "\"default\"",
        "7",
        "0",
        "true",
        "[{\"default\":null}]",
    ] {
        configs.push(object(Models::NotAnObject(json), None));
    }
    configs
}

/// What `models.default` may be.
fn defaults(base: &World) -> Vec<Config> {
    let own = Entry::Pair(base.stated.provider, base.stated.model);
    let mut configs = vec![
        entries(vec![]),
        entries(vec![("Default", own)]),
        entries(vec![(
            "default",
            Entry::Pair(base.stated.provider, "other"),
        )]),
        entries(vec![("default", Entry::Pair("other", base.stated.model))]),
        entries(vec![
            ("planner", Entry::Pair("other", "other")),
            ("default", own),
        ]),
        entries(vec![("planner", Entry::Malformed("7")), ("default", own)]),
    ];
    for entry in odd_entries() {
        configs.push(entries(vec![("default", entry)]));
    }
    configs
}

/// What the roles may be: every odd entry for one role, a few for each.
fn roles(own: Entry) -> Vec<Config> {
    let mut configs = Vec::new();
    for entry in odd_entries() {
        configs.push(entries(vec![("default", own), ("reviewer", entry)]));
    }
    for role in ROLES {
        for entry in [
            own,
            Entry::Pair("other", "other"),
            Entry::Falsy("null"),
            Entry::Malformed("{}"),
        ] {
            configs.push(entries(vec![("default", own), (role, entry)]));
        }
        configs.push(entries(vec![
            (role, own),
            ("default", Entry::Falsy("null")),
        ]));
        configs.push(entries(vec![(role, own)]));
    }
    configs.push(entries(ROLES.map(|role| (role, own)).to_vec()));
    configs
}

fn odd_entries() -> Vec<Entry> {
    vec![
        Entry::Pair(SILENT.0, SILENT.1),
        Entry::Pair("other", "other"),
        Entry::Pair("", ""),
        Entry::Falsy("null"),
        Entry::Falsy("false"),
        Entry::Falsy("0"),
        Entry::Falsy("-0.0"),
        Entry::Falsy("1e-400"),
        Entry::Falsy("\"\""),
        Entry::Malformed("true"),
        Entry::Malformed("1"),
        Entry::Malformed("[]"),
        Entry::Malformed("{}"),
        Entry::Malformed("\"qwen-local\""),
        Entry::Malformed("{\"provider\":\"qwen-local\"}"),
        Entry::Malformed("{\"provider\":\"qwen-local\",\"model\":null}"),
        Entry::Malformed("{\"provider\":7,\"model\":\"qwen3.6-35b-a3b\"}"),
    ]
}
