//! The section *Current Decision State*: the one list of a decision record that is policy.
//!
//! Each list item ``- `key`: value.`` gives one key. Deliberately absent: what the values mean.

use alloc::{
    borrow::ToOwned as _,
    collections::btree_map::{BTreeMap, Entry as MapEntry},
    format,
    string::String,
    vec::Vec,
};
use core::ops::Range;

use super::{
    FINDINGS_MAX,
    outline::{Block, Inline, InlineKind, Item},
};
use crate::{
    finding::{Finding, FindingCode},
    text::{Source, is_invisible},
};

/// The heading of the section.
const SECTION: &str = "Current Decision State";

/// The keys of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
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
    pub(super) const DECIDED: [Self; 6] = [
        Self::ApprovalSource,
        Self::CredentialSourceClass,
        Self::AllowedNetworkClass,
        Self::ReviewTrigger,
        Self::EvidenceSources,
        Self::Effect,
    ];

    pub(super) fn as_str(self) -> &'static str {
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

    /// Whether the value has to stand alone on its line.
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
pub(super) struct Entry {
    pub(super) value: String,
    pub(super) span: Range<usize>,
}

/// What the section says.
pub(super) struct CurrentState {
    /// Where the heading stands.
    pub(super) heading: Range<usize>,
    entries: BTreeMap<Key, Entry>,
}

impl CurrentState {
    /// The entry of `key`, with a value or without.
    pub(super) fn entry(&self, key: Key) -> Option<&Entry> {
        self.entries.get(&key)
    }

    /// The entry of `key`, if it has a value.
    pub(super) fn value(&self, key: Key) -> Option<&Entry> {
        self.entry(key).filter(|entry| {
            let is_seen = |c: char| !c.is_whitespace() && !is_invisible(c);
            entry.value.contains(is_seen)
        })
    }
}

/// Reads the section; `None` when there is none. What is wrong with it goes into `findings`.
pub(super) fn read(
    source: &Source<'_>,
    blocks: &[Block],
    findings: &mut Vec<Finding>,
) -> Option<CurrentState> {
    let mut reader = Reader {
        source,
        findings,
        entries: BTreeMap::new(),
    };
    let heading = reader.section(blocks)?;
    Some(CurrentState {
        heading,
        entries: reader.entries,
    })
}

struct Reader<'a> {
    source: &'a Source<'a>,
    findings: &'a mut Vec<Finding>,
    entries: BTreeMap<Key, Entry>,
}

impl Reader<'_> {
    fn report(&mut self, code: FindingCode, span: &Range<usize>, message: &str) {
        if self.findings.len() >= FINDINGS_MAX {
            return;
        }
        self.findings
            .push(self.source.finding(code, span, message.to_owned()));
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
            let is_full_stop = |piece: &Piece<'_>| !piece.code && piece.text.trim() == ".";
            let beyond = match rest.split_first() {
                Some((stop, rest)) if is_full_stop(stop) => rest.first(),
                Some((other, _)) => Some(other),
                None => None,
            };
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
