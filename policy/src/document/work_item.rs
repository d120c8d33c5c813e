//! Work items: the sections `## CTO-WORK-NNN - title` of documents named `*-ISSUES.md`.
//!
//! They are shown to the operator and checked for contradictions. They never decide a launch.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::ops::Range;

use super::{
    FINDINGS_MAX, decode, forbidden, front_matter,
    outline::{Block, Inline, InlineKind, outline, visible_text},
};
use crate::{
    finding::{Finding, FindingCode, Place},
    text::{Source, shown},
};

const ID_PREFIX: &str = "CTO-WORK-";
const STATUS_LABEL: &str = "Status:";
const BLOCKED_BY_LABEL: &str = "Blocked by:";
/// Longest number of a work item, in digits.
const ID_DIGITS_MAX: usize = 9;
/// Longest text of a work item that is kept, in characters.
const TEXT_CHARS_MAX: usize = 256;

/// A work item, as its document describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// `CTO-WORK-` and a number.
    pub id: String,
    /// The rest of the heading.
    pub title: String,
    /// The status, as written; `None` when there is no status line.
    pub status: Option<String>,
    /// What blocks it, as written.
    pub blocked_by: Vec<String>,
    /// Where its heading stands.
    pub place: Place,
    /// Where its status stands, or else its heading.
    pub status_place: Place,
}

/// Reads the work items of a document, and what is wrong with it.
#[must_use]
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> (Vec<WorkItem>, Vec<Finding>) {
    let text = match decode(path, bytes) {
        Ok(text) => text,
        Err(finding) => return (Vec::new(), Vec::from([finding])),
    };
    let source = Source::new(path, text);
    let mut findings = forbidden(&source);
    let body = front_matter::split(text).map_or(0..text.len(), |split| split.body);
    let mut items: Vec<(WorkItem, Range<usize>)> = Vec::new();
    let mut open = false;
    let mut list_blocks = false;
    for block in outline(text, &body) {
        let current = items.last_mut().filter(|_| open);
        let follows_label = core::mem::take(&mut list_blocks);
        match (block, current) {
            (Block::Heading { text, span }, _) => {
                let item = heading(&source, &text, &span);
                open = item.is_some();
                items.extend(item.map(|item| (item, span)));
            }
            (Block::Paragraph { inlines, span }, Some((item, _))) => {
                list_blocks = paragraph(&source, item, &inlines, &span);
            }
            (Block::List { items: list }, Some((item, _))) if follows_label => {
                item.blocked_by.extend(
                    list.iter()
                        .map(|entry| shown(&visible_text(&entry.inlines), TEXT_CHARS_MAX)),
                );
            }
            (Block::Paragraph { .. } | Block::List { .. } | Block::Other, _) => {}
        }
    }
    let without_status = items.iter().filter(|(item, _)| item.status.is_none());
    for (item, span) in without_status.take(FINDINGS_MAX) {
        let message = format!("{} has no status", item.id);
        findings.push(source.finding(FindingCode::WorkItemStatusMissing, span, message));
    }
    findings.sort_by(|a, b| a.place.cmp(&b.place));
    (items.into_iter().map(|(item, _)| item).collect(), findings)
}

fn heading(source: &Source<'_>, text: &str, span: &Range<usize>) -> Option<WorkItem> {
    let number = text.strip_prefix(ID_PREFIX)?;
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = number.split_at_checked(digits)?;
    let title = rest.strip_prefix(" - ")?;
    let place = source.place(span);
    (1..=ID_DIGITS_MAX)
        .contains(&digits.len())
        .then(|| WorkItem {
            id: format!("{ID_PREFIX}{digits}"),
            title: shown(title.trim(), TEXT_CHARS_MAX),
            status: None,
            blocked_by: Vec::new(),
            status_place: place.clone(),
            place,
        })
}

/// Reads a paragraph of a work item; whether a list that follows says what blocks it.
fn paragraph(
    source: &Source<'_>,
    item: &mut WorkItem,
    inlines: &[Inline],
    span: &Range<usize>,
) -> bool {
    let text = visible_text(inlines);
    if let Some(status) = text.strip_prefix(STATUS_LABEL)
        && item.status.is_none()
        && !matches!(
            inlines.first().map(|first| &first.kind),
            Some(InlineKind::Code(_))
        )
    {
        let status = status.trim();
        let status = status.split_once(". ").map_or(status, |(status, _)| status);
        let status = status.strip_suffix('.').unwrap_or(status);
        item.status = Some(shown(status, TEXT_CHARS_MAX)).filter(|status| !status.is_empty());
        item.status_place = source.place(span);
    }
    text.trim_end() == BLOCKED_BY_LABEL
}
