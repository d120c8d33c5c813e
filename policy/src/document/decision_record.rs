//! The decision record: which provider branch the operator decided for.
//!
//! Only the list items of the one section *Current Decision State* are read, each as one key. What
//! stands anywhere else in the document is prose. Deliberately absent: keys that no gate needs are
//! checked to be there and then forgotten.

use alloc::{borrow::ToOwned as _, format, sync::Arc, vec::Vec};
use core::ops::Range;

use super::{
    FINDINGS_MAX,
    admission::ProviderClass,
    current_state::{self, CurrentState, Key},
    decode, forbidden, front_matter,
    outline::outline,
};
use crate::{
    finding::{Finding, FindingCode, Place},
    pair::{MODEL_BYTES_MAX, PROVIDER_BYTES_MAX, Pair, SILENT_PROVIDER, name_fault},
    text::Source,
};

/// The branch that a decision record selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// No provider or model may run.
    NotDecided,
    /// One external provider is approved.
    ExternalProviderApproved,
    /// A local provider is required.
    LocalProviderRequired,
}

impl Branch {
    /// The value of `decision_status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotDecided => "not_decided",
            Self::ExternalProviderApproved => "external_provider_approved",
            Self::LocalProviderRequired => "local_provider_required",
        }
    }

    /// The provider class of its primary pair; `None` while nothing is decided.
    #[must_use]
    pub fn own_class(self) -> Option<ProviderClass> {
        match self {
            Self::NotDecided => None,
            Self::ExternalProviderApproved => Some(ProviderClass::ExternalAnthropic),
            Self::LocalProviderRequired => Some(ProviderClass::LocalCaseCompatible),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::NotDecided,
            Self::ExternalProviderApproved,
            Self::LocalProviderRequired,
        ]
        .into_iter()
        .find(|branch| branch.as_str() == text)
    }
}

/// A pair that the record names, and where its provider stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPair {
    /// The pair.
    pub pair: Pair,
    /// Where its provider stands.
    pub place: Place,
}

/// A valid decision record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRecord {
    /// The branch.
    pub branch: Branch,
    /// Where `decision_status` stands.
    pub place: Place,
    /// The pair that the branch selects, if one is named yet.
    pub primary: Option<NamedPair>,
    /// The fallback, if there is one.
    pub fallback: Option<NamedPair>,
}

/// Reads a decision record. It is valid exactly when there is no finding.
///
/// # Errors
///
/// Every finding, in the order of the document.
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> Result<DecisionRecord, Vec<Finding>> {
    let text = decode(path, bytes).map_err(|finding| Vec::from([finding]))?;
    let mut reader = Reader {
        source: Source::new(path, text),
        findings: Vec::new(),
    };
    reader.findings.extend(forbidden(&reader.source));
    let record = reader.record(text);
    reader.findings.sort_by(|a, b| a.place.cmp(&b.place));
    match record {
        Some(record) if reader.findings.is_empty() => Ok(record),
        Some(_) | None => Err(reader.findings),
    }
}

struct Reader<'a> {
    source: Source<'a>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn report(&mut self, code: FindingCode, span: &Range<usize>, message: &str) {
        if self.findings.len() >= FINDINGS_MAX {
            return;
        }
        self.findings
            .push(self.source.finding(code, span, message.to_owned()));
    }

    /// The record, and in `findings` all that is wrong with it; `None` only beside a finding.
    fn record(&mut self, text: &str) -> Option<DecisionRecord> {
        let Some(split) = front_matter::split(text) else {
            let message = "the document does not start with front matter";
            self.report(FindingCode::FrontMatterMissing, &(0..0), message);
            return None;
        };
        let lifecycle = front_matter::check(&self.source, &split);
        self.findings.extend(lifecycle);
        let blocks = outline(text, &split.body);
        let state = current_state::read(&self.source, &blocks, &mut self.findings)?;
        self.checked(&state)
    }

    fn checked(&mut self, state: &CurrentState) -> Option<DecisionRecord> {
        let Some(status) = state.value(Key::DecisionStatus) else {
            self.missing(Key::DecisionStatus, state);
            return None;
        };
        let place = self.source.place(&status.span);
        let Some(branch) = Branch::parse(&status.value) else {
            let message = format!("{} is no branch", Source::quote(&status.value));
            let span = status.span.clone();
            self.report(FindingCode::DecisionStatusUnknown, &span, &message);
            return None;
        };
        if branch != Branch::NotDecided {
            for key in Key::DECIDED {
                if state.value(key).is_none() {
                    self.missing(key, state);
                }
            }
        }
        self.check_branch(branch, state);
        let primary = self.pair(
            state,
            Key::Provider,
            Key::Model,
            FindingCode::PairIncomplete,
        );
        let fallback = self.pair(
            state,
            Key::FallbackProvider,
            Key::FallbackModel,
            FindingCode::FallbackIncomplete,
        );
        if let (Some(primary), Some(fallback)) = (&primary, &fallback)
            && primary.pair == fallback.pair
        {
            let span = state
                .value(Key::FallbackProvider)
                .map_or(state.heading.clone(), |e| e.span.clone());
            let message = "the fallback is the primary pair itself";
            self.report(FindingCode::FallbackIsPrimary, &span, message);
        }
        Some(DecisionRecord {
            branch,
            place,
            primary,
            fallback,
        })
    }

    fn check_branch(&mut self, branch: Branch, state: &CurrentState) {
        match branch {
            Branch::NotDecided => {}
            Branch::ExternalProviderApproved => {
                self.check_class("external_anthropic", state);
                for key in [Key::Provider, Key::Model] {
                    if state.value(key).is_none() {
                        self.missing(key, state);
                    }
                }
            }
            Branch::LocalProviderRequired => {
                self.check_class("local_case_compatible", state);
                let external = state
                    .value(Key::Provider)
                    .filter(|entry| entry.value == SILENT_PROVIDER)
                    .map(|entry| entry.span.clone());
                if let Some(span) = external {
                    let message = format!("`{SILENT_PROVIDER}` is not a local provider");
                    self.report(FindingCode::ProviderNotLocal, &span, &message);
                }
            }
        }
    }

    fn check_class(&mut self, wanted: &str, state: &CurrentState) {
        let Some(class) = state.value(Key::ProviderClass) else {
            self.missing(Key::ProviderClass, state);
            return;
        };
        if class.value != wanted {
            let span = class.span.clone();
            let message = format!("the provider class of this branch is `{wanted}`");
            self.report(FindingCode::ProviderClassMismatch, &span, &message);
        }
    }

    fn missing(&mut self, key: Key, state: &CurrentState) {
        let (span, message) = match state.entry(key) {
            Some(entry) => (
                entry.span.clone(),
                format!("the key `{}` has no value", key.as_str()),
            ),
            None => (
                state.heading.clone(),
                format!("the key `{}` is missing", key.as_str()),
            ),
        };
        self.report(FindingCode::KeyMissing, &span, &message);
    }

    /// The pair of two keys, when both have a value that can be a name.
    fn pair(
        &mut self,
        state: &CurrentState,
        provider: Key,
        model: Key,
        incomplete: FindingCode,
    ) -> Option<NamedPair> {
        self.check_name(state, provider, PROVIDER_BYTES_MAX);
        self.check_name(state, model, MODEL_BYTES_MAX);
        match (state.value(provider), state.value(model)) {
            (Some(provider), Some(model)) => Some(NamedPair {
                pair: Pair {
                    provider: provider.value.clone(),
                    model: model.value.clone(),
                },
                place: self.source.place(&provider.span),
            }),
            (Some(one), None) | (None, Some(one)) => {
                let span = one.span.clone();
                let message = format!(
                    "of `{}` and `{}`, only this one is set",
                    provider.as_str(),
                    model.as_str()
                );
                self.report(incomplete, &span, &message);
                None
            }
            (None, None) => None,
        }
    }

    fn check_name(&mut self, state: &CurrentState, key: Key, bytes_max: usize) {
        let Some(entry) = state.value(key) else {
            return;
        };
        let span = entry.span.clone();
        if entry.value.contains('`') {
            let message = format!(
                "the value of `{}` has a backtick without its pair",
                key.as_str()
            );
            self.report(FindingCode::CodeSpanUnclosed, &span, &message);
        } else if let Some(fault) = name_fault(&entry.value, bytes_max) {
            let message = format!("the value of `{}` {fault}", key.as_str());
            self.report(FindingCode::NameInvalid, &span, &message);
        }
    }
}
