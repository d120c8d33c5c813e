//! Findings: what is wrong at one place of a document, as data. Renderers live at the edge.

use alloc::{string::String, sync::Arc};

/// A place in a file of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path within the policy directory, with `/` between its parts.
    pub path: Arc<str>,
    /// Line, from 1; 0 stands for the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0 stands for the whole line or file.
    pub column: u32,
}

impl Place {
    /// The whole file at `path`.
    #[must_use]
    pub fn whole(path: &Arc<str>) -> Self {
        Self {
            path: Arc::clone(path),
            line: 0,
            column: 0,
        }
    }
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable code.
    pub code: FindingCode,
    /// Where.
    pub place: Place,
    /// What is wrong, for a person. Holds no secret and no endpoint.
    pub message: String,
    /// The line; `None` when the finding is about the whole file.
    pub excerpt: Option<Excerpt>,
}

impl Finding {
    /// A finding about a whole file.
    #[must_use]
    pub fn whole(code: FindingCode, path: &Arc<str>, message: String) -> Self {
        Self {
            code,
            place: Place::whole(path),
            message,
            excerpt: None,
        }
    }
}

/// A line that is safe to show, and the underlined part of it, in characters from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, with secrets and endpoints hidden.
    pub text: String,
    /// Where the underlined part starts.
    pub underline_start: u32,
    /// How long it is.
    pub underline_length: u32,
}

macro_rules! finding_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $code:literal, $help:literal;)+) => {
        /// The stable code of a finding. A code is never renamed and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl FindingCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it is written everywhere.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What the code means.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// How to mend it.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }
        }
    };
}

finding_codes! {
    /// No decision record was found.
    DecisionRecordMissing => "decision-record-missing",
        "put one CTO-CASE-PROVIDER-DECISION-RECORD.md into the policy directory";
    /// More than one decision record was found.
    DecisionRecordConflict => "decision-record-conflict",
        "keep exactly one CTO-CASE-PROVIDER-DECISION-RECORD.md in the policy directory";
    /// Two or more valid admission files name the same pair, so all of them are void.
    AdmissionConflict => "admission-conflict",
        "keep one admission file for each pair";

    /// The file cannot be read.
    FileUnreadable => "file-unreadable",
        "let the account that admitd runs under read the file";
    /// The file is larger than its limit.
    FileTooLarge => "file-too-large",
        "shorten the file; docs/policy.md states the limits";
    /// The name of the file has a control character, is not UTF-8, or looks like a secret.
    FileNameInvalid => "file-name-invalid",
        "rename the file";
    /// A link leads out of the policy directory, or nowhere, and was not followed.
    LinkNotFollowed => "link-not-followed",
        "let the link lead to a file inside the policy directory, or put the file itself there";
    /// The text is not UTF-8.
    NotUtf8 => "not-utf8",
        "save the file as UTF-8";
    /// The text starts with a byte order mark.
    ByteOrderMark => "byte-order-mark",
        "save the file as UTF-8 without a byte order mark";
    /// Something looks like a secret.
    SecretFound => "secret-found",
        "remove it, rotate it, and name only the class of the credential";
    /// An endpoint stands in the document.
    EndpointFound => "endpoint-found",
        "remove it; the endpoint belongs into CTO_HARNESS_CASE_LOCAL_BASE_URL on the harness host";

    /// The document does not start with front matter.
    FrontMatterMissing => "front-matter-missing",
        "start the document with a block of YAML between two lines of `---`";
    /// The front matter is not a YAML mapping with each key once.
    FrontMatterInvalid => "front-matter-invalid",
        "write plain `key: value` lines, each key once, without aliases";
    /// The front matter does not say that the document is SOT.
    LifecycleNotSot => "lifecycle-not-sot",
        "write `lifecycle_classification: sot` into the front matter";
    /// There is no section Current Decision State.
    SectionMissing => "section-missing",
        "add a section `## Current Decision State`";
    /// There is a second section Current Decision State.
    SectionDuplicate => "section-duplicate",
        "keep one section `## Current Decision State`; move the history under another heading";
    /// A heading reads like Current Decision State but is not written so.
    SectionLookalike => "section-lookalike",
        "write the heading exactly as `## Current Decision State`, or give it another name";
    /// A list item of the section is not of the form ``- `key`: value.``
    ItemMalformed => "item-malformed",
        "write ``- `key`: `value`.`` or move the text out of the list";
    /// A list stands inside a list item of the section.
    ItemNested => "item-nested",
        "write the value on the line of its key";
    /// The section has a key that is not known.
    KeyUnknown => "key-unknown",
        "correct the key, or move the line to another section";
    /// The section has a key twice.
    KeyDuplicate => "key-duplicate",
        "keep one line for each key";
    /// A key that the branch needs is not there or has no value.
    KeyMissing => "key-missing",
        "add the key with its value to the section Current Decision State";
    /// Something follows a value that has to stand alone.
    ValueTrailingText => "value-trailing-text",
        "end the line after the value; put explanations under another heading";
    /// The code span of a value is not closed.
    CodeSpanUnclosed => "code-span-unclosed",
        "put a backtick on both sides of the value";
    /// The value of `decision_status` is not one of the three branches.
    DecisionStatusUnknown => "decision-status-unknown",
        "write `not_decided`, `external_provider_approved` or `local_provider_required`";
    /// The provider class is not the one of the branch.
    ProviderClassMismatch => "provider-class-mismatch",
        "write `external_anthropic` for an external provider, `local_case_compatible` for a local one";
    /// Of provider and model, only one is set.
    PairIncomplete => "pair-incomplete",
        "set both `provider` and `model`, or neither";
    /// The branch requires a local provider and the record names `anthropic`.
    ProviderNotLocal => "provider-not-local",
        "name the local provider, or decide for `external_provider_approved`";
    /// Of fallback provider and fallback model, only one is set.
    FallbackIncomplete => "fallback-incomplete",
        "set both `fallback_provider` and `fallback_model`, or neither";
    /// The fallback is the primary pair.
    FallbackIsPrimary => "fallback-is-primary",
        "name another pair as the fallback, or none";
    /// A provider or model has a character that no name may have.
    NameInvalid => "name-invalid",
        "write the exact name in visible ASCII, without space, `*` or `?`, and not `latest`";

    /// The text is not JSON.
    JsonMalformed => "json-malformed",
        "correct the syntax; comments and trailing commas are not JSON";
    /// An object has a key twice.
    JsonDuplicateKey => "json-duplicate-key",
        "keep each key once";
    /// The JSON is nested too deeply.
    JsonTooDeep => "json-too-deep",
        "write the file as `admitd schema admission` describes it";
    /// A required field is missing or empty.
    FieldMissing => "field-missing",
        "add the field; `admitd schema admission` describes it";
    /// A field is not known.
    FieldUnknown => "field-unknown",
        "correct or remove the field; `admitd schema admission` lists those that are known";
    /// A field has a value of the wrong type.
    FieldType => "field-type",
        "give the field the type that `admitd schema admission` states";
    /// A field has a value that is not allowed.
    FieldValue => "field-value",
        "give the field one of the values that `admitd schema admission` states";
    /// A time is not RFC 3339.
    TimestampInvalid => "timestamp-invalid",
        "write the time as RFC 3339, such as `2026-06-01T12:00:00Z`";

    /// A work item has no status line.
    WorkItemStatusMissing => "work-item-status-missing",
        "add a line `Status: blocked.` or another status under the heading";
    /// A work item is described twice.
    WorkItemDuplicate => "work-item-duplicate",
        "keep one section for each work item";
    /// The status of a work item contradicts the decision record.
    WorkItemBranchContradiction => "work-item-branch-contradiction",
        "set the work item to `blocked`, or let the decision record select `local_provider_required`";
    /// The status of a work item contradicts the admissions.
    WorkItemAdmissionContradiction => "work-item-admission-contradiction",
        "take the work item back to `blocked`, or add the admission that validated it";
    /// An admission names a pair that the decision record does not select.
    AdmissionNotSelected => "admission-not-selected",
        "select the pair in the decision record, or remove the admission";
    /// An admission's role or class contradicts the decision record.
    AdmissionRoleContradiction => "admission-role-contradiction",
        "let `role` and `provider_class` agree with the decision record";
    /// There is an admission while nothing is decided.
    AdmissionWithoutDecision => "admission-without-decision",
        "decide in the decision record, or remove the admission";
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_kebab_case_and_explained() {
        let mut seen = BTreeSet::new();
        for code in FindingCode::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} is there twice");
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert!(text.len() <= 64 && !code.help().ends_with('.') && !code.describe().is_empty());
        }
    }
}
