//! Places in a document: from byte spans to lines, columns and excerpts that are safe to show.
//!
//! An excerpt never shows a secret or an endpoint, and never sends a control or an invisible
//! character to a terminal.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::ops::Range;

use crate::{
    endpoint,
    escape::any_reading,
    finding::{Excerpt, Finding, FindingCode, Place},
    rendered::rendered,
    secret::{self, Secret},
};

/// Longest line that an excerpt shows whole, in characters; of a longer one it shows the part
/// around the place.
pub const EXCERPT_CHARS_MAX: usize = 160;
/// How many characters an excerpt shows before it stops, escapes counted as they are shown; with what
/// may follow, it stays within the 240 of the contract.
const SHOWN_CHARS_MAX: usize = 220;
/// Longest line that is searched for what stands behind its escapes, in bytes; a longer one that has
/// any is not shown.
const SEARCHED_LINE_BYTES_MAX: usize = 4096;
/// What stands in an excerpt where a secret or an endpoint stood.
const BLOT: &str = "[hidden]";

/// The text of one document with what is needed to speak about its places.
#[derive(Debug)]
pub struct Source<'a> {
    path: Arc<str>,
    text: &'a str,
    line_starts: Vec<usize>,
    secrets: Vec<Secret>,
    endpoints: Vec<Range<usize>>,
    /// Secrets and endpoints together, in order and without overlap.
    hidden: Vec<Range<usize>>,
    behind_escapes: BehindEscapes,
    /// Whether any line may be shown: nothing stands behind escapes or entities, not even beside what
    /// stands there as written.
    shows_lines: bool,
}

/// What stands behind the escapes and entities of a document, and is not there as written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BehindEscapes {
    pub(crate) secret: bool,
    pub(crate) endpoint: bool,
}

impl<'a> Source<'a> {
    /// Indexes `text`, the content of the Markdown document at `path`.
    #[must_use]
    pub fn new(path: &Arc<str>, text: &'a str) -> Self {
        let mut source = Self::json(path, text);
        let is_behind = |text: &str, is_present: fn(&str) -> bool| {
            is_present(&rendered(text)) || any_reading(text, is_present)
        };
        source.behind_escapes = BehindEscapes {
            secret: source.secrets.is_empty() && is_behind(text, secret::is_present),
            endpoint: source.endpoints.is_empty() && is_behind(text, endpoint::is_present),
        };
        let rest = source.blotted();
        source.shows_lines =
            !is_behind(&rest, secret::is_present) && !is_behind(&rest, endpoint::is_present);
        source
    }

    /// Indexes `text`, the content of the JSON file at `path`. What its escapes hide, they hide within
    /// one line; an excerpt sees to that.
    #[must_use]
    pub fn json(path: &Arc<str>, text: &'a str) -> Self {
        let line_starts = core::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1)))
            .collect();
        let secrets = secret::find(text);
        let endpoints = endpoint::find(text);
        let mut hidden: Vec<_> = secrets
            .iter()
            .map(|found| &found.span)
            .chain(&endpoints)
            .cloned()
            .collect();
        hidden.sort_by_key(|span| span.start);
        hidden.dedup_by(|next, kept| {
            let overlaps = next.start <= kept.end;
            if overlaps {
                kept.end = kept.end.max(next.end);
            }
            overlaps
        });
        Self {
            path: Arc::clone(path),
            text,
            line_starts,
            secrets,
            endpoints,
            hidden,
            behind_escapes: BehindEscapes::default(),
            shows_lines: true,
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The secrets that stand there as written.
    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Where endpoints stand as written.
    pub(crate) fn endpoints(&self) -> &[Range<usize>] {
        &self.endpoints
    }

    /// What stands behind escapes and entities.
    pub(crate) fn behind_escapes(&self) -> BehindEscapes {
        self.behind_escapes
    }

    /// The place where `span` starts.
    #[must_use]
    pub fn place(&self, span: &Range<usize>) -> Place {
        let (line, start) = self.line_at(span.start);
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place {
            path: Arc::clone(&self.path),
            line: count(line.saturating_add(1)),
            column: count(before.chars().count().saturating_add(1)),
        }
    }

    /// A finding at `span`.
    #[must_use]
    pub fn finding(&self, code: FindingCode, span: &Range<usize>, message: String) -> Finding {
        Finding {
            code,
            place: self.place(span),
            message,
            excerpt: self.excerpt(span),
        }
    }

    /// `text` in backticks, shortened, with nothing in it that must not be shown.
    #[must_use]
    pub fn quote(text: &str) -> String {
        const SHOWN_CHARS_MAX: usize = 64;
        let mut shown = shown(text, SHOWN_CHARS_MAX);
        if text.chars().count() > SHOWN_CHARS_MAX && shown != BLOT {
            shown.push('…');
        }
        format!("`{shown}`")
    }

    /// Zero-based line of `offset`, and where that line starts.
    fn line_at(&self, offset: usize) -> (usize, usize) {
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1);
        (line, self.line_starts.get(line).copied().unwrap_or(0))
    }

    /// The line of `place`, underlined from there to its end; `None` when no line may be shown.
    #[must_use]
    pub fn excerpt_at(&self, place: &Place) -> Option<Excerpt> {
        let index = |number: u32| {
            usize::try_from(number)
                .unwrap_or(usize::MAX)
                .saturating_sub(1)
        };
        let end = self.text.len();
        let line_start = self
            .line_starts
            .get(index(place.line))
            .copied()
            .unwrap_or(end);
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let before = line.char_indices().nth(index(place.column));
        let start = line_start.saturating_add(before.map_or(line.len(), |(at, _)| at));
        let line_end = line_start.saturating_add(line.trim_end_matches([' ', '\t', ',']).len());
        self.excerpt(&(start..line_end.max(start)))
    }

    /// The text with a blot in place of each hidden span.
    fn blotted(&self) -> String {
        let mut blotted = String::with_capacity(self.text.len());
        let mut shown = 0;
        for hidden in &self.hidden {
            blotted.push_str(self.text.get(shown..hidden.start).unwrap_or_default());
            blotted.push_str(BLOT);
            shown = hidden.end;
        }
        blotted.push_str(self.text.get(shown..).unwrap_or_default());
        blotted
    }

    /// The hidden span that `offset` is in.
    fn hidden_at(&self, offset: usize) -> Option<&Range<usize>> {
        let after = self.hidden.partition_point(|hidden| hidden.start <= offset);
        let hidden = self.hidden.get(after.checked_sub(1)?)?;
        hidden.contains(&offset).then_some(hidden)
    }

    fn excerpt(&self, span: &Range<usize>) -> Option<Excerpt> {
        // What stands behind escapes or entities has no place, so no line is safe.
        if !self.shows_lines {
            return None;
        }
        let (_, line_start) = self.line_at(span.start);
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let is_hidden =
            line.contains('\\') && (line.len() > SEARCHED_LINE_BYTES_MAX || is_forbidden(line));
        if is_hidden {
            // What stands behind escapes has no span that could be hidden alone.
            let mut shown = Shown::default();
            shown.blot(line_start, true);
            return Some(shown.into_excerpt());
        }
        let before = self.text.get(line_start..span.start).unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(EXCERPT_CHARS_MAX / 2);

        let mut shown = Shown::default();
        if skipped > 0 {
            shown.push("…");
        }
        for (at, character) in line.char_indices().skip(skipped).take(EXCERPT_CHARS_MAX) {
            let offset = line_start.saturating_add(at);
            let underlined = span.start <= offset && offset < span.end;
            if let Some(hidden) = self.hidden_at(offset) {
                shown.blot(hidden.start, underlined);
            } else {
                shown.character(character, underlined);
            }
        }
        if line.chars().count() > skipped.saturating_add(EXCERPT_CHARS_MAX) {
            shown.push("…");
        }
        Some(shown.into_excerpt())
    }
}

/// Whether a secret or an endpoint stands in `text`, as written or behind escapes.
#[must_use]
pub fn is_forbidden(text: &str) -> bool {
    any_reading(text, |reading| {
        secret::is_present(reading) || endpoint::is_present(reading)
    })
}

/// The first `chars_max` characters of `text`, with nothing in them that must not be shown.
#[must_use]
pub fn shown(text: &str, chars_max: usize) -> String {
    if is_forbidden(text) {
        return BLOT.into();
    }
    text.chars().take(chars_max).flat_map(visible).collect()
}

/// The shown characters of an excerpt while it is being built.
#[derive(Default)]
struct Shown {
    text: String,
    chars: usize,
    underline: Option<Range<usize>>,
    blotted: Option<usize>,
}

impl Shown {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.chars = self.chars.saturating_add(text.chars().count());
    }

    fn character(&mut self, character: char, underlined: bool) {
        if self.chars > SHOWN_CHARS_MAX {
            return;
        }
        let from = self.chars;
        let visible: String = visible(character).collect();
        self.push(&visible);
        self.underline_from(from, underlined);
    }

    /// Shows the blot once for the hidden span that starts at `start`.
    fn blot(&mut self, start: usize, underlined: bool) {
        let from = self.chars;
        if self.blotted != Some(start) {
            self.blotted = Some(start);
            self.push(BLOT);
        }
        self.underline_from(from, underlined);
    }

    fn underline_from(&mut self, from: usize, underlined: bool) {
        if underlined {
            let start = self.underline.as_ref().map_or(from, |range| range.start);
            self.underline = Some(start..self.chars);
        }
    }

    fn into_excerpt(self) -> Excerpt {
        let underline = self.underline.unwrap_or(self.chars..self.chars);
        Excerpt {
            underline_start: count(underline.start),
            underline_length: count(underline.len()),
            text: self.text,
        }
    }
}

/// `character` as it may be shown: a control or an invisible character as its escape.
fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = is_invisible(character).then(|| character.escape_unicode());
    let plain = match character {
        '\t' => Some(' '),
        _ if escaped.is_some() => None,
        _ => Some(character),
    };
    plain
        .into_iter()
        .chain(escaped.filter(|_| character != '\t').into_iter().flatten())
}

/// Whether a reader would not see `character`, or would see others out of place because of it.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source<'_> {
        Source::new(&Arc::from("a.md"), text)
    }

    #[test]
    fn places_count_characters_and_survive_crlf() {
        let text = "é one\r\ntwo ü three";
        let source = source(text);
        let at = text.find("three").unwrap();
        let place = source.place(&(at..at + 5));
        assert_eq!((place.line, place.column), (2, 7));
    }

    #[test]
    fn an_excerpt_underlines_its_place() {
        let text = "first\n\tkey: välue.\n";
        let at = text.find("välue").unwrap();
        let excerpt = source(text).excerpt(&(at..at + "välue".len())).unwrap();
        assert_eq!(excerpt.text, " key: välue.");
        assert_eq!((excerpt.underline_start, excerpt.underline_length), (6, 5));
    }

    #[test]
    fn an_excerpt_hides_secrets_and_endpoints() {
        let text = "use sk-ant-0123456789abcdef at http://10.0.0.1:8000/v1 now";
        let excerpt = source(text).excerpt(&(4..27)).unwrap();
        assert_eq!(excerpt.text, "use [hidden] at [hidden] now");
        assert_eq!((excerpt.underline_start, excerpt.underline_length), (4, 8));
    }

    #[test]
    fn no_line_is_shown_when_something_stands_behind_escapes() {
        for text in [
            "one\nuse sk&#45;ant&#45;0123456789abcdef now\nthree",
            "one\nuse sk\\-ant\\-0123456789abcdef now\nthree",
            "one\nuse http&colon;//10.0.0.1:8000/v1 now\nthree",
            "sk-ant-0123456789abcdef\nuse sk&#45;ant&#45;0123456789abcdef now\nthree",
        ] {
            let source = source(text);
            for at in 0..text.len() {
                let finding = source.finding(FindingCode::KeyUnknown, &(at..at + 1), "".into());
                assert_eq!(finding.excerpt, None, "{text}");
                assert_eq!(source.excerpt_at(&finding.place), None, "{text}");
            }
        }
    }

    #[test]
    fn a_line_of_json_with_something_behind_escapes_is_hidden_alone() {
        let text = "{\n\"a\": \"sk\\u002dant\\u002d0123456789abcdef\",\n\"b\": 1\n}";
        let source = Source::json(&Arc::from("a.json"), text);
        let shown = |part: &str| {
            let at = text.find(part).unwrap();
            source.excerpt(&(at..at + part.len())).unwrap().text
        };
        assert_eq!([shown("\"a\""), shown("\"b\"")], ["[hidden]", "\"b\": 1"]);
    }

    #[test]
    fn an_excerpt_shows_invisible_characters_as_escapes() {
        let excerpt = source("qwen\u{200b}local\u{1b}[31m")
            .excerpt(&(0..4))
            .unwrap();
        assert_eq!(excerpt.text, "qwen\\u{200b}local\\u{1b}[31m");
    }

    #[test]
    fn an_excerpt_of_escapes_stays_within_the_contract() {
        let text = "\u{e0fff}".repeat(1000);
        let excerpt = source(&text).excerpt(&(4..8)).unwrap();
        assert!(excerpt.text.chars().count() <= 240);
        assert_eq!((excerpt.underline_start, excerpt.underline_length), (9, 9));
    }

    #[test]
    fn an_excerpt_of_a_long_line_is_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let excerpt = source(&text).excerpt(&(1000..1001)).unwrap();
        assert_eq!(excerpt.text.chars().count(), EXCERPT_CHARS_MAX + 2);
        let start = usize::try_from(excerpt.underline_start).unwrap();
        assert_eq!(excerpt.text.chars().nth(start), Some('X'));
    }
}
