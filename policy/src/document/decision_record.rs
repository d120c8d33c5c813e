//! The decision record: which provider branch the operator decided for.
//!
//! Only the list items of the one section *Current Decision State* are read, each as one key. What
//! stands anywhere else in the document is prose. Deliberately absent: keys that no gate needs are
//! checked to be there and then forgotten.

use alloc::{
    borrow::ToOwned as _,
    collections::btree_map::{BTreeMap, Entry as MapEntry},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::ops::Range;

use super::{
    decode, forbidden, front_matter,
    outline::{Block, Inline, InlineKind, Item, outline},
};
use crate::{
    finding::{Finding, FindingCode},
    pair::{MODEL_BYTES_MAX, PROVIDER_BYTES_MAX, Pair, SILENT_PROVIDER, name_fault},
    text::{Place, Source, is_invisible},
};

/// The heading of the section that is policy.
pub const SECTION: &str = "Current Decision State";

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

/// The keys of the section. `strict` values have to stand alone on their line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    DecisionStatus,
    ProviderClass,
    Provider,
    Model,
    FallbackProvider,
    FallbackModel,
    ApprovalSource,
    CredentialSourceClass,
    AllowedNetworkClass,
    ReviewTrigger,
    EvidenceSources,
    Effect,
}

impl Key {
    const ALL: [Self; 12] = [
        Self::DecisionStatus,
        Self::ProviderClass,
        Self::Provider,
        Self::Model,
        Self::FallbackProvider,
        Self::FallbackModel,
        Self::ApprovalSource,
        Self::CredentialSourceClass,
        Self::AllowedNetworkClass,
        Self::ReviewTrigger,
        Self::EvidenceSources,
        Self::Effect,
    ];

    /// The keys that every decided record has.
    const DECIDED: [Self; 6] = [
        Self::ApprovalSource,
        Self::CredentialSourceClass,
        Self::AllowedNetworkClass,
        Self::ReviewTrigger,
        Self::EvidenceSources,
        Self::Effect,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::DecisionStatus => "decision_status",
            Self::ProviderClass => "provider_class",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::FallbackProvider => "fallback_provider",
            Self::FallbackModel => "fallback_model",
            Self::ApprovalSource => "approval_source",
            Self::CredentialSourceClass => "credential_source_class",
            Self::AllowedNetworkClass => "allowed_network_class",
            Self::ReviewTrigger => "review_trigger",
            Self::EvidenceSources => "evidence_sources",
            Self::Effect => "effect",
        }
    }

    fn is_strict(self) -> bool {
        match self {
            Self::DecisionStatus
            | Self::ProviderClass
            | Self::Provider
            | Self::Model
            | Self::FallbackProvider
            | Self::FallbackModel => true,
            Self::ApprovalSource
            | Self::CredentialSourceClass
            | Self::AllowedNetworkClass
            | Self::ReviewTrigger
            | Self::EvidenceSources
            | Self::Effect => false,
        }
    }
}

/// The value of a key and its place.
struct Entry {
    value: String,
    span: Range<usize>,
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
        entries: BTreeMap::new(),
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
    entries: BTreeMap<Key, Entry>,
}

impl Reader<'_> {
    fn report(&mut self, code: FindingCode, span: &Range<usize>, message: &str) {
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
        let heading = self.section(&outline(text, &split.body))?;
        self.checked(&heading)
    }

    /// Reads the items of the section; the place of its heading.
    fn section(&mut self, blocks: &[Block]) -> Option<Range<usize>> {
        let mut section: Option<Range<usize>> = None;
        let mut inside = false;
        for block in blocks {
            match block {
                Block::Heading { text, span } => {
                    inside = false;
                    if text == SECTION && section.is_none() {
                        section = Some(span.clone());
                        inside = true;
                    } else if text == SECTION {
                        let message = "a second section `Current Decision State`";
                        self.report(FindingCode::SectionDuplicate, span, message);
                    } else if reads_like_section(text) {
                        let message = "this heading reads like `Current Decision State`";
                        self.report(FindingCode::SectionLookalike, span, message);
                    }
                }
                Block::List { items } if inside => {
                    for item in items {
                        self.item(item);
                    }
                }
                Block::List { .. } | Block::Paragraph { .. } | Block::Other => {}
            }
        }
        if section.is_none() {
            let message = "the document has no section `Current Decision State`";
            self.findings.push(Finding::whole(
                FindingCode::SectionMissing,
                self.source.path(),
                message.to_owned(),
            ));
        }
        section
    }

    fn item(&mut self, item: &Item) {
        if let Some(nested) = &item.nested {
            self.report(FindingCode::ItemNested, nested, "a list inside a list item");
        }
        let Some((name, key_span, value)) = key_and_value(&item.inlines) else {
            let message = "this list item is not of the form ``- `key`: value.``";
            let span = item.inlines.first().map_or(item.span.clone(), |first| {
                let end = item
                    .inlines
                    .last()
                    .map_or(first.span.end, |last| last.span.end);
                first.span.start..end
            });
            self.report(FindingCode::ItemMalformed, &span, message);
            return;
        };
        if item.numbered {
            let message = "this list is numbered; keys stand in a list with bullets";
            self.report(FindingCode::ItemMalformed, key_span, message);
            return;
        }
        let Some(key) = Key::ALL.into_iter().find(|key| key.as_str() == name) else {
            let message = format!("the key {} is not known", Source::quote(name));
            self.report(FindingCode::KeyUnknown, key_span, &message);
            return;
        };
        let read = read_value(&value, key_span);
        let trailing = read.trailing.or_else(|| item.more.clone());
        if let Some(trailing) = trailing.filter(|_| key.is_strict()) {
            let message = format!("text after the value of `{}`", key.as_str());
            self.report(FindingCode::ValueTrailingText, &trailing, &message);
        }
        match self.entries.entry(key) {
            MapEntry::Vacant(vacant) => {
                vacant.insert(read.entry);
            }
            MapEntry::Occupied(_) => {
                let message = format!("the key `{}` stands here a second time", key.as_str());
                self.report(FindingCode::KeyDuplicate, key_span, &message);
            }
        }
    }

    fn value(&self, key: Key) -> Option<&Entry> {
        self.entries
            .get(&key)
            .filter(|entry| !entry.value.is_empty())
    }

    fn checked(&mut self, heading: &Range<usize>) -> Option<DecisionRecord> {
        let Some(status) = self.value(Key::DecisionStatus) else {
            self.missing(Key::DecisionStatus, heading);
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
                if self.value(key).is_none() {
                    self.missing(key, heading);
                }
            }
        }
        self.check_branch(branch, heading);
        let primary = self.pair(Key::Provider, Key::Model, FindingCode::PairIncomplete);
        let fallback = self.pair(
            Key::FallbackProvider,
            Key::FallbackModel,
            FindingCode::FallbackIncomplete,
        );
        if let (Some(primary), Some(fallback)) = (&primary, &fallback)
            && primary.pair == fallback.pair
        {
            let span = self
                .value(Key::FallbackProvider)
                .map_or(heading.clone(), |e| e.span.clone());
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

    fn check_branch(&mut self, branch: Branch, heading: &Range<usize>) {
        match branch {
            Branch::NotDecided => {}
            Branch::ExternalProviderApproved => {
                self.check_class("external_anthropic", heading);
                for key in [Key::Provider, Key::Model] {
                    if self.value(key).is_none() {
                        self.missing(key, heading);
                    }
                }
            }
            Branch::LocalProviderRequired => {
                self.check_class("local_case_compatible", heading);
                let external = self
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

    fn check_class(&mut self, wanted: &str, heading: &Range<usize>) {
        let Some(class) = self.value(Key::ProviderClass) else {
            self.missing(Key::ProviderClass, heading);
            return;
        };
        if class.value != wanted {
            let span = class.span.clone();
            let message = format!("the provider class of this branch is `{wanted}`");
            self.report(FindingCode::ProviderClassMismatch, &span, &message);
        }
    }

    fn missing(&mut self, key: Key, heading: &Range<usize>) {
        let (span, message) = match self.entries.get(&key) {
            Some(entry) => (
                entry.span.clone(),
                format!("the key `{}` has no value", key.as_str()),
            ),
            None => (
                heading.clone(),
                format!("the key `{}` is missing", key.as_str()),
            ),
        };
        self.report(FindingCode::KeyMissing, &span, &message);
    }

    /// The pair of two keys, when both have a value that can be a name.
    fn pair(&mut self, provider: Key, model: Key, incomplete: FindingCode) -> Option<NamedPair> {
        self.check_name(provider, PROVIDER_BYTES_MAX);
        self.check_name(model, MODEL_BYTES_MAX);
        match (self.value(provider), self.value(model)) {
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

    fn check_name(&mut self, key: Key, bytes_max: usize) {
        let fault = self.value(key).and_then(|entry| {
            name_fault(&entry.value, bytes_max).map(|fault| (entry.span.clone(), fault))
        });
        if let Some((span, fault)) = fault {
            let message = format!("the value of `{}` {fault}", key.as_str());
            self.report(FindingCode::NameInvalid, &span, &message);
        }
    }
}

/// Whether a reader could take `heading` for the heading of the section, though it is not.
fn reads_like_section(heading: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && !is_invisible(*c) && !c.is_ascii_punctuation())
            .flat_map(char::to_lowercase)
            .collect()
    };
    letters(heading) == letters(SECTION)
}

/// Splits the inlines of an item into its key, the place of the key, and the value.
fn key_and_value(inlines: &[Inline]) -> Option<(&str, &Range<usize>, Vec<Piece<'_>>)> {
    let (first, rest) = inlines.split_first()?;
    let InlineKind::Code(name) = &first.kind else {
        return None;
    };
    let (second, rest) = rest.split_first()?;
    let InlineKind::Text(text) = &second.kind else {
        return None;
    };
    let after = text.strip_prefix(':')?;
    let pieces = core::iter::once(Piece {
        code: false,
        text: after,
        span: second.span.clone(),
    })
    .chain(rest.iter().map(|inline| {
        let (code, text) = match &inline.kind {
            InlineKind::Code(text) => (true, text.as_str()),
            InlineKind::Text(text) => (false, text.as_str()),
            InlineKind::Html => (true, ""),
        };
        Piece {
            code,
            text,
            span: inline.span.clone(),
        }
    }))
    .filter(|piece| piece.code || !piece.text.trim().is_empty())
    .collect();
    Some((name, &first.span, pieces))
}

/// A piece of a value; inline HTML counts as an empty code span, so that it is never the value.
struct Piece<'a> {
    code: bool,
    text: &'a str,
    span: Range<usize>,
}

struct ReadValue {
    entry: Entry,
    /// Where something stands beside the value.
    trailing: Option<Range<usize>>,
}

/// A value that starts with a code span is the text of that span; what follows it is prose. Any
/// other value is its text without the final full stop.
fn read_value(pieces: &[Piece<'_>], key_span: &Range<usize>) -> ReadValue {
    match pieces.split_first() {
        Some((first, rest)) if first.code => {
            let beyond = rest
                .iter()
                .find(|piece| piece.code || piece.text.trim() != ".");
            ReadValue {
                entry: Entry {
                    value: first.text.to_owned(),
                    span: first.span.clone(),
                },
                trailing: beyond.map(|piece| piece.span.clone()),
            }
        }
        Some((first, _)) => {
            let text: String = pieces.iter().map(|piece| piece.text).collect();
            let text = text.trim();
            let text = text.strip_suffix('.').unwrap_or(text).trim_end();
            let end = pieces.last().map_or(first.span.end, |last| last.span.end);
            ReadValue {
                entry: Entry {
                    value: text.to_owned(),
                    span: first.span.start..end,
                },
                trailing: pieces
                    .iter()
                    .find(|piece| piece.code)
                    .map(|piece| piece.span.clone()),
            }
        }
        None => ReadValue {
            entry: Entry {
                value: String::new(),
                span: key_span.clone(),
            },
            trailing: None,
        },
    }
}
