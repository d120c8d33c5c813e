//! The bodies of the fuzz targets: each takes any bytes, and panics when something does not hold
//! that has to hold for all of them.
//!
//! - [`documents`], [`texts`]: what the policy core reads
//! - [`wire`], [`answers`]: messages, from request to record and span, and the client's view of answers
//! - [`audit`], [`files`], [`permits`]: what the daemon reads from files, and permits
//! - [`host`], [`run`]: what the client reads on a harness host
//!
//! `held` has what has to hold of any shown text, `bundle` is several files in one input, `example` is
//! the policy that requests are decided under, and `evidence` is the command's own module.
//! [`TARGETS`] lists them all. Deliberately absent: libFuzzer, which is in `fuzz/fuzz_targets`, and the
//! run over the seeds, which is an ordinary test.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a target fails loudly"
)]

pub mod answers;
pub mod audit;
mod bundle;
pub mod documents;
#[expect(dead_code, reason = "the command uses all of it, a target some")]
#[path = "../../../client/src/evidence/mod.rs"]
mod evidence;
mod example;
pub mod files;
mod held;
pub mod host;
pub mod permits;
pub mod run;
pub mod texts;
pub mod wire;

/// What a target does with bytes.
pub type Body = fn(&[u8]);

/// Every target, by its name. It has a folder of seeds and a program of the same name.
pub const TARGETS: [(&str, Body); 27] = [
    ("decision_record", documents::decision_record),
    ("admission", documents::admission),
    ("work_items", documents::work_items),
    ("snapshot", documents::snapshot),
    ("json", texts::json),
    ("case_config", texts::case_config),
    ("secrets", texts::secrets),
    ("small_texts", texts::small_texts),
    ("endpoints", texts::endpoints),
    ("admit_request", wire::admit_request),
    ("evidence_request", wire::evidence_request),
    ("watch_request", wire::watch_request),
    ("traceparent", wire::traceparent),
    ("admit_answer", answers::admit_answer),
    ("evidence_answer", answers::evidence_answer),
    ("audit_line", audit::audit_line),
    ("audit_log", audit::audit_log),
    ("basis", audit::basis),
    ("config", files::config),
    ("headers", files::headers),
    ("key_file", files::key_file),
    ("permit", permits::permit),
    ("key_set", permits::key_set),
    ("launch", host::launch),
    ("evidence_folder", run::evidence_folder),
    ("event_log", run::event_log),
    ("run_logs", run::run_logs),
];
