//! The pure core of Admit: what the documents say, and the one function that decides.
//!
//! Values in, values out. The crate is `no_std`, so that files, clocks, the network and the
//! environment are compile errors here and not a matter of discipline. In reading order:
//!
//! - [`text`], [`finding`]: places in a document, and what is wrong there
//! - [`secret`], [`endpoint`], [`escape`]: what must never stand in a document or a request
//! - [`json`], [`document`]: from bytes to a decision record, an admission, work items
//! - [`source_file`], [`judged`], [`snapshot`]: everything read at one moment, with its digest and its contradictions
//! - [`case_config`]: how Case itself resolves a model
//! - [`bounds`], [`launch`], [`facts`]: a launch as it is stated, and what the gates look at
//! - [`standing`], [`gate`], [`mod@decide`]: the policy of the moment, the rules, the verdict
//! - [`evidence`]: what a finished run hands in, and the judgment on it
//!
//! Deliberately absent: any wire type, any I/O, any default verdict.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bounds;
pub mod case_config;
mod codes;
mod contradiction;
pub mod decide;
pub mod digest;
pub mod document;
pub mod endpoint;
pub mod escape;
pub mod evidence;
pub mod facts;
pub mod finding;
pub mod gate;
pub mod json;
pub mod judged;
pub mod launch;
pub mod pair;
mod rendered;
pub mod secret;
pub mod snapshot;
pub mod source_file;
pub mod standing;
pub mod text;
pub mod timestamp;

pub use decide::{Decision, Verdict, decide, pair_objections};
pub use digest::Digest;
pub use evidence::{Evidence, EvidenceCode, EvidenceVerdict, judge};
pub use facts::Facts;
pub use finding::{Finding, FindingCode, Place};
pub use gate::{Code, Reason};
pub use judged::Judged;
pub use launch::Launch;
pub use pair::Pair;
pub use snapshot::Snapshot;
pub use source_file::{ContentFault, SourceFile};
pub use standing::{Standing, Terms};
pub use timestamp::Timestamp;
