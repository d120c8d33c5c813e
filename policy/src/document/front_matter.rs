//! YAML front matter: the block between two lines of `---` at the start of a document.
//!
//! Read as events, so that an alias is never expanded. Deliberately absent: any key but the one
//! that policy depends on; the others are the authors' own.

use alloc::{borrow::ToOwned as _, collections::BTreeSet, format, string::String, vec::Vec};
use core::ops::Range;

use saphyr_parser::{Event, Parser, Span};

use crate::{
    finding::{Finding, FindingCode},
    text::Source,
};

const LIFECYCLE_KEY: &str = "lifecycle_classification";
const LIFECYCLE_SOT: &str = "sot";
/// Largest front matter, in bytes.
const FRONT_MATTER_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of the front matter.
const DEPTH_MAX: usize = 16;

/// Where the front matter and the body of a document stand, in bytes.
pub(super) struct Split {
    pub(super) yaml: Range<usize>,
    pub(super) body: Range<usize>,
}

/// Splits a document; `None` when it does not start with front matter that ends.
pub(super) fn split(text: &str) -> Option<Split> {
    let mut offset = 0_usize;
    let mut yaml_start = None;
    for line in text.split_inclusive('\n') {
        let next = offset.saturating_add(line.len());
        let is_fence = line.trim_end_matches(['\n', '\r', ' ', '\t']) == "---";
        match yaml_start {
            None if is_fence => yaml_start = Some(next),
            None => return None,
            Some(start) if is_fence => {
                return Some(Split {
                    yaml: start..offset,
                    body: next..text.len(),
                });
            }
            Some(_) => {}
        }
        offset = next;
    }
    None
}

/// Checks that the front matter says that the document is SOT.
pub(super) fn check(source: &Source<'_>, split: &Split) -> Option<Finding> {
    let yaml = source.text().get(split.yaml.clone()).unwrap_or_default();
    if yaml.len() > FRONT_MATTER_BYTES_MAX {
        let message = format!("the front matter has more than {FRONT_MATTER_BYTES_MAX} bytes");
        return Some(source.finding(FindingCode::FrontMatterInvalid, &(0..3), message));
    }
    let entries = match entries(yaml) {
        Ok(entries) => entries,
        Err(fault) => {
            let span = shift(&fault.span, split.yaml.start, source.text());
            return Some(source.finding(FindingCode::FrontMatterInvalid, &span, fault.message));
        }
    };
    let lifecycle = entries.iter().find(|entry| entry.key == LIFECYCLE_KEY);
    match lifecycle {
        Some(entry) if entry.scalar.as_deref() == Some(LIFECYCLE_SOT) => None,
        Some(entry) => {
            let span = shift(&entry.span, split.yaml.start, source.text());
            let message = format!("`{LIFECYCLE_KEY}` is not `{LIFECYCLE_SOT}`");
            Some(source.finding(FindingCode::LifecycleNotSot, &span, message))
        }
        None => {
            let message = format!("the front matter has no `{LIFECYCLE_KEY}`");
            Some(source.finding(FindingCode::LifecycleNotSot, &(0..3), message))
        }
    }
}

/// A top-level entry; `scalar` is `None` for a list or a mapping.
struct Entry {
    key: String,
    scalar: Option<String>,
    span: Range<usize>,
}

struct Fault {
    span: Range<usize>,
    message: String,
}

impl Fault {
    fn at(span: Range<usize>, message: &str) -> Self {
        Self {
            span,
            message: message.to_owned(),
        }
    }
}

/// The top-level entries of a YAML mapping.
fn entries(yaml: &str) -> Result<Vec<Entry>, Fault> {
    let bytes = ByteOffsets::new(yaml);
    let mut depth = 0_usize;
    let mut documents = 0_usize;
    let mut key: Option<(String, Range<usize>)> = None;
    let mut keys = BTreeSet::new();
    let mut entries = Vec::new();
    for event in Parser::new_from_str(yaml) {
        let (event, span) = event.map_err(|error| {
            let at = bytes.of(error.marker().index());
            let message = format!("the front matter is not YAML: {}", error.info());
            Fault::at(at..at.saturating_add(1), &message)
        })?;
        let span = bytes.range(&span);
        match event {
            Event::Scalar(_, _, _, Some(tag)) if !tag.is_yaml_core_schema() => {
                return Err(Fault::at(span, "the front matter has a tag of its own"));
            }
            Event::DocumentStart(_) => {
                documents = documents.saturating_add(1);
                if documents > 1 {
                    return Err(Fault::at(span, "the front matter has a second document"));
                }
            }
            Event::Scalar(text, ..) if depth == 1 => match key.take() {
                None => {
                    if !keys.insert(text.clone().into_owned()) {
                        return Err(Fault::at(span, "a key stands twice in the front matter"));
                    }
                    key = Some((text.clone().into_owned(), span));
                }
                Some((name, key_span)) => entries.push(Entry {
                    key: name,
                    scalar: Some(text.clone().into_owned()),
                    span: key_span.start..span.end,
                }),
            },
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if depth == 1 {
                    let Some((name, key_span)) = key.take() else {
                        return Err(Fault::at(span, "a key of the front matter is not a text"));
                    };
                    entries.push(Entry {
                        key: name,
                        scalar: None,
                        span: key_span,
                    });
                }
                if depth == 0 && matches!(event, Event::SequenceStart(..)) {
                    return Err(Fault::at(span, "the front matter is not a mapping"));
                }
                depth = depth.saturating_add(1);
                if depth > DEPTH_MAX {
                    return Err(Fault::at(span, "the front matter is nested too deeply"));
                }
            }
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            Event::Alias(_) => {
                return Err(Fault::at(span, "the front matter has an alias"));
            }
            Event::Scalar(..) if depth == 0 => {
                return Err(Fault::at(span, "the front matter is not a mapping"));
            }
            Event::Scalar(..)
            | Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentEnd => {}
        }
    }
    Ok(entries)
}

/// The parser counts characters; places count bytes.
struct ByteOffsets(Vec<usize>);

impl ByteOffsets {
    fn new(text: &str) -> Self {
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        Self(offsets)
    }

    fn of(&self, chars: usize) -> usize {
        let last = self.0.last().copied().unwrap_or(0);
        self.0.get(chars).copied().unwrap_or(last)
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let start = self.of(span.start.index());
        start..self.of(span.end.index()).max(start)
    }
}

/// `span` of the front matter as a span of the document, inside its bounds.
fn shift(span: &Range<usize>, by: usize, text: &str) -> Range<usize> {
    let clamp = |at: usize| at.saturating_add(by).min(text.len());
    clamp(span.start)..clamp(span.end)
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;

    fn code(text: &str) -> Option<FindingCode> {
        let source = Source::new(&Arc::from("a.md"), text);
        match split(text) {
            None => Some(FindingCode::FrontMatterMissing),
            Some(split) => check(&source, &split).map(|finding| finding.code),
        }
    }

    #[test]
    fn sot_is_recognized_in_every_spelling_of_yaml() {
        for text in [
            "---\nlifecycle_classification: sot\n---\n",
            "---\r\ntitle: a é\r\nlifecycle_classification: 'sot' # yes\r\n---\r\nbody",
            "---\n\"lifecycle_classification\": \"sot\"\nlist: [a, {b: c}]\n---",
        ] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn anything_else_is_a_finding() {
        use FindingCode::{FrontMatterInvalid, FrontMatterMissing, LifecycleNotSot};
        for (text, expected) in [
            ("", FrontMatterMissing),
            ("# no front matter\n", FrontMatterMissing),
            (
                "\n---\nlifecycle_classification: sot\n---\n",
                FrontMatterMissing,
            ),
            ("---\nlifecycle_classification: sot\n", FrontMatterMissing),
            ("---\n---\n", LifecycleNotSot),
            (
                "---\nlifecycle_classification: draft\n---\n",
                LifecycleNotSot,
            ),
            ("---\nlifecycle_classification: SOT\n---\n", LifecycleNotSot),
            (
                "---\nlifecycle_classification: [sot]\n---\n",
                LifecycleNotSot,
            ),
            (
                "---\nnested:\n  lifecycle_classification: sot\n---\n",
                LifecycleNotSot,
            ),
            (
                "---\n# lifecycle_classification: sot\n---\n",
                LifecycleNotSot,
            ),
            (
                "---\nlifecycle_classification: sot\nlifecycle_classification: sot\n---\n",
                FrontMatterInvalid,
            ),
            (
                "---\nlifecycle_classification: &a sot\nb: *a\n---\n",
                FrontMatterInvalid,
            ),
            (
                "---\n- lifecycle_classification: sot\n---\n",
                FrontMatterInvalid,
            ),
            ("---\nsot\n---\n", FrontMatterInvalid),
            (
                "---\na: b\n...\nlifecycle_classification: sot\n---\n",
                FrontMatterInvalid,
            ),
            (
                "---\nlifecycle_classification: !draft sot\n---\n",
                FrontMatterInvalid,
            ),
            ("---\na: [\n---\n", FrontMatterInvalid),
            ("---\na:\tb: c\n---\n", FrontMatterInvalid),
        ] {
            assert_eq!(code(text), Some(expected), "{text}");
        }
    }
}
