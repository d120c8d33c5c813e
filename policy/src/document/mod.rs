//! The documents: from the bytes of a file to what it says, and to findings where it says it badly.
//!
//! Every parser is total: it never panics, and what it can not read is a finding with a place.

pub mod admission;
mod current_state;
pub mod decision_record;
mod front_matter;
mod outline;
pub mod work_item;

use alloc::{borrow::ToOwned as _, format, sync::Arc, vec::Vec};

use crate::{
    finding::{Finding, FindingCode},
    text::Source,
};

/// The file name of the decision record.
pub const DECISION_RECORD_NAME: &str = "CTO-CASE-PROVIDER-DECISION-RECORD.md";
/// How the file name of an admission starts.
pub const ADMISSION_NAME_PREFIX: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.";
/// How the file name of an admission ends.
pub const ADMISSION_NAME_SUFFIX: &str = ".json";
/// How the file name of a document with work items ends.
pub const WORK_ITEMS_NAME_SUFFIX: &str = "-ISSUES.md";

/// Longest Markdown document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Longest admission file, in bytes.
pub const ADMISSION_BYTES_MAX: usize = 64 * 1024;

/// Most findings of one kind of check in one document; one is enough to make it invalid.
pub const FINDINGS_MAX: usize = 100;

/// What a file of the policy directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The decision record.
    DecisionRecord,
    /// An admission.
    Admission,
    /// A document with work items.
    WorkItems,
}

impl Kind {
    /// The kind of a file with this name; `None` for a file that is no policy.
    #[must_use]
    pub fn of(file_name: &str) -> Option<Self> {
        if file_name == DECISION_RECORD_NAME {
            Some(Self::DecisionRecord)
        } else if file_name.starts_with(ADMISSION_NAME_PREFIX)
            && file_name.ends_with(ADMISSION_NAME_SUFFIX)
            && file_name.len() > ADMISSION_NAME_PREFIX.len() + ADMISSION_NAME_SUFFIX.len() - 1
        {
            Some(Self::Admission)
        } else if file_name.ends_with(WORK_ITEMS_NAME_SUFFIX) {
            Some(Self::WorkItems)
        } else {
            None
        }
    }

    /// The longest file of this kind, in bytes.
    #[must_use]
    pub fn bytes_max(self) -> usize {
        match self {
            Self::DecisionRecord | Self::WorkItems => DOCUMENT_BYTES_MAX,
            Self::Admission => ADMISSION_BYTES_MAX,
        }
    }
}

/// The text of a file, if it is UTF-8 without a byte order mark.
fn decode<'a>(path: &Arc<str>, bytes: &'a [u8]) -> Result<&'a str, Finding> {
    let text = core::str::from_utf8(bytes).map_err(|error| {
        let message = format!("the file is not UTF-8 from byte {}", error.valid_up_to());
        Finding::whole(FindingCode::NotUtf8, path, message)
    })?;
    if text.starts_with('\u{feff}') {
        let message = "the file starts with a byte order mark".to_owned();
        return Err(Finding::whole(FindingCode::ByteOrderMark, path, message));
    }
    Ok(text)
}

/// Findings for every secret and endpoint, anywhere in the document, as written or behind escapes and
/// entities.
fn forbidden(source: &Source<'_>) -> Vec<Finding> {
    let secrets = source.secrets().iter().take(FINDINGS_MAX).map(|found| {
        let message = format!("this looks like {}", found.shape.describe());
        source.finding(FindingCode::SecretFound, &found.span, message)
    });
    let endpoints = source.endpoints().iter().take(FINDINGS_MAX).map(|span| {
        let message = "this is the address of an endpoint".to_owned();
        source.finding(FindingCode::EndpointFound, span, message)
    });
    let behind_escapes = source.behind_escapes();
    let behind = [
        (
            behind_escapes.secret,
            FindingCode::SecretFound,
            "behind escapes or entities, something looks like a secret",
        ),
        (
            behind_escapes.endpoint,
            FindingCode::EndpointFound,
            "behind escapes or entities, there is the address of an endpoint",
        ),
    ];
    let behind = behind
        .into_iter()
        .filter(|(is_there, ..)| *is_there)
        .map(|(_, code, message)| Finding::whole(code, source.path(), message.to_owned()));
    secrets.chain(endpoints).chain(behind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_policy() {
        assert_eq!(
            Kind::of("CTO-CASE-PROVIDER-DECISION-RECORD.md"),
            Some(Kind::DecisionRecord)
        );
        assert_eq!(
            Kind::of("CTO-CASE-MODEL-PROVIDER-ADMISSION.a.json"),
            Some(Kind::Admission)
        );
        assert_eq!(
            Kind::of("CTO-CASE-MODEL-PROVIDER-ADMISSION-ISSUES.md"),
            Some(Kind::WorkItems)
        );
        for other in [
            "CTO-CASE-PROVIDER-DECISION-RECORD.md.bak",
            "cto-case-provider-decision-record.md",
            "CTO-CASE-MODEL-PROVIDER-ADMISSION.json",
            "CTO-CASE-MODEL-PROVIDER-ADMISSION.a.json~",
            ".CTO-CASE-MODEL-PROVIDER-ADMISSION.a.json.swp",
            "README.md",
        ] {
            assert_eq!(Kind::of(other), None, "{other}");
        }
    }
}
