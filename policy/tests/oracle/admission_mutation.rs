//! Every single change of the requested pair's admission: how it is written, and what each field
//! says.

use crate::{
    mutation::{Mutation, each},
    world::{
        Admission, AdmissionForm, CANARY, JULY_TIME, JUNE_TIME_ELSEWHERE, NO_TIME, Time, World,
    },
};

/// Every form but the plain one.
const FORMS: [AdmissionForm; 11] = [
    AdmissionForm::Escaped,
    AdmissionForm::UnknownField,
    AdmissionForm::UnknownInnerField,
    AdmissionForm::DuplicateField,
    AdmissionForm::DuplicateInnerField,
    AdmissionForm::ModelIsANumber,
    AdmissionForm::ByteOrderMark,
    AdmissionForm::NotUtf8,
    AdmissionForm::Truncated,
    AdmissionForm::NotAnObject,
    AdmissionForm::Unreadable,
];

/// What may stand in a text that is free.
const FILLINGS: [Option<&str>; 5] = [
    None,
    Some(""),
    Some("other"),
    Some(CANARY),
    Some("at http://10.9.8.7:8000/v1"),
];

/// What may stand as a provider or a model.
const NAMES: [Option<&str>; 12] = [
    None,
    Some(""),
    Some("other"),
    Some("*"),
    Some("two words"),
    Some("qwen-l\u{043e}cal"),
    Some("qwen-local\u{200b}"),
    Some("anthropic"),
    Some("openai-codex"),
    Some("latest"),
    Some("Latest"),
    Some(CANARY),
];

const CLASSES: [Option<&str>; 6] = [
    None,
    Some("local_case_compatible"),
    Some("external_anthropic"),
    Some("external_fallback"),
    Some("external"),
    Some(""),
];

const BRIDGES: [Option<(&str, &str)>; 6] = [
    None,
    Some(("proven", "an experiment")),
    Some(("unproven", "an experiment")),
    Some(("Proven", "an experiment")),
    Some(("proven", "")),
    Some(("proven", CANARY)),
];

const TIMES: [Option<Time>; 4] = [
    None,
    Some(JUNE_TIME_ELSEWHERE),
    Some(JULY_TIME),
    Some(NO_TIME),
];

fn on_first(change: impl FnOnce(&mut Admission)) -> impl FnOnce(&mut World) {
    move |world| {
        world.policy.admissions.first_mut().map(change);
    }
}

/// Changes of the first admission, the one of the requested pair.
pub(crate) fn of_the_admission() -> Vec<Mutation> {
    let evidence = [
        None,
        Some(vec![]),
        Some(vec![""]),
        Some(vec!["a", "b"]),
        Some(vec!["a", CANARY]),
    ];
    let statuses = [None, Some("revoked"), Some("Admitted"), Some("")];
    let roles = [None, Some("primary"), Some("fallback"), Some("any")];
    let versions = [None, Some("2"), Some("\"1\""), Some("1.0"), Some("true")];
    [
        each("admission form", FORMS, |w, v| on_first(|a| a.form = v)(w)),
        each("schema version", versions, |w, v| {
            on_first(|a| a.schema_version = v)(w);
        }),
        each("work item", [None, Some("CTO-WORK-022")], |w, v| {
            on_first(|a| a.work_item = v)(w);
        }),
        each("status", statuses, |w, v| on_first(|a| a.status = v)(w)),
        each("class", CLASSES, |w, v| on_first(|a| a.class = v)(w)),
        each("admitted provider", NAMES, |w, v| {
            on_first(|a| a.provider = v)(w);
        }),
        each("admitted model", NAMES, |w, v| on_first(|a| a.model = v)(w)),
        each("role", roles, |w, v| on_first(|a| a.role = v)(w)),
        each("admitted source", FILLINGS, |w, v| {
            on_first(|a| a.credential_source = v)(w);
        }),
        each("network", FILLINGS, |w, v| on_first(|a| a.network = v)(w)),
        each("approval", FILLINGS, |w, v| {
            on_first(|a| a.approval_source = v)(w);
        }),
        each("condition", FILLINGS, |w, v| {
            on_first(|a| a.review_condition = v)(w);
        }),
        each("from", TIMES, |w, v| on_first(|a| a.from = v)(w)),
        each("review at", TIMES, |w, v| {
            on_first(|a| a.review_at = v)(w);
        }),
        each("evidence", evidence, |w, v| on_first(|a| a.evidence = v)(w)),
        each("bridge", BRIDGES, |w, v| on_first(|a| a.bridge = v)(w)),
    ]
    .concat()
}
