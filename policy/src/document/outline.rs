//! The outline of a Markdown document: its top-level headings, paragraphs and lists, with places.
//!
//! What stands in a code block, an HTML block or comment, a block quote, a table or inside another
//! block is `Other` or not there at all, and so can never become policy.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::rendered::is_inline_end;

/// A top-level block.
pub(super) enum Block {
    Heading {
        text: String,
        span: Range<usize>,
    },
    Paragraph {
        inlines: Vec<Inline>,
        span: Range<usize>,
    },
    List {
        items: Vec<Item>,
    },
    Other,
}

/// A list item: its first paragraph, and whether anything follows it.
pub(super) struct Item {
    pub(super) span: Range<usize>,
    /// The first paragraph.
    pub(super) inlines: Vec<Inline>,
    /// Whether the list is numbered.
    pub(super) numbered: bool,
    /// Where a list stands inside the item.
    pub(super) nested: Option<Range<usize>>,
    /// Where something else follows the first paragraph.
    pub(super) more: Option<Range<usize>>,
}

/// A piece of a paragraph.
#[derive(Debug)]
pub(super) struct Inline {
    pub(super) kind: InlineKind,
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum InlineKind {
    /// A code span, without its backticks.
    Code(String),
    /// Running text; emphasis and links show only as their text.
    Text(String),
    /// Inline HTML, a comment included, or an image: no text that a reader sees.
    Html,
}

/// The text that a reader sees.
pub(super) fn visible_text(inlines: &[Inline]) -> String {
    inlines
        .iter()
        .map(|inline| match &inline.kind {
            InlineKind::Code(text) | InlineKind::Text(text) => text.as_str(),
            InlineKind::Html => "",
        })
        .collect()
}

/// The outline of the part of `text` at `body`; places count from the start of `text`.
pub(super) fn outline(text: &str, body: &Range<usize>) -> Vec<Block> {
    let markdown = text.get(body.clone()).unwrap_or_default();
    let mut builder = Builder::default();
    for (event, span) in Parser::new_ext(markdown, Options::empty()).into_offset_iter() {
        let shift = |at: usize| at.saturating_add(body.start);
        builder.event(event, shift(span.start)..shift(span.end));
    }
    builder.blocks
}

/// Where a piece of text belongs while the document is being read.
#[derive(Default)]
struct Builder {
    blocks: Vec<Block>,
    /// Open blocks: how deep the reader is.
    depth: usize,
    /// Open images: their text stands in for what a reader sees.
    images: usize,
    heading: Option<(String, Range<usize>)>,
    paragraph: Option<(Vec<Inline>, Range<usize>)>,
    list: Option<OpenList>,
}

struct OpenList {
    numbered: bool,
    items: Vec<Item>,
    item: Option<OpenItem>,
}

struct OpenItem {
    item: Item,
    /// The first paragraph has ended.
    first_ended: bool,
}

/// Depth of a top-level block, of an item of a top-level list, and of a block in that item.
const TOP: usize = 0;
const IN_LIST: usize = 1;
const IN_ITEM: usize = 2;

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, span),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.inline(InlineKind::Text(text.into_string()), span),
            Event::Code(code) => self.inline(InlineKind::Code(code.into_string()), span),
            Event::SoftBreak | Event::HardBreak => self.inline(InlineKind::Text(" ".into()), span),
            Event::InlineHtml(_) => self.inline(InlineKind::Html, span),
            Event::Html(_) => self.other(span),
            Event::Rule => {
                if self.depth == TOP {
                    self.blocks.push(Block::Other);
                } else {
                    self.other(span);
                }
            }
            // These need extensions that are off.
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => self.other(span),
        }
    }

    fn start(&mut self, tag: &Tag<'_>, span: Range<usize>) {
        if is_inline(tag) {
            if matches!(tag, Tag::Image { .. }) {
                self.inline(InlineKind::Html, span);
                self.images = self.images.saturating_add(1);
            }
            return;
        }
        match (tag, self.depth) {
            (Tag::Heading { .. }, TOP) => self.heading = Some((String::new(), span)),
            (Tag::Paragraph, TOP) => self.paragraph = Some((Vec::new(), span)),
            (Tag::List(first), TOP) => {
                self.list = Some(OpenList {
                    numbered: first.is_some(),
                    items: Vec::new(),
                    item: None,
                });
            }
            (Tag::Item, IN_LIST) => self.open_item(span),
            (Tag::List(_), IN_ITEM) => self.nested(span),
            (Tag::Paragraph, IN_ITEM) => self.second_paragraph(span),
            (_, TOP) => self.blocks.push(Block::Other),
            (_, IN_ITEM) => self.other(span),
            _ => {}
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn end(&mut self, tag: TagEnd) {
        if is_inline_end(tag) {
            if tag == TagEnd::Image {
                self.images = self.images.saturating_sub(1);
            }
            return;
        }
        self.depth = self.depth.saturating_sub(1);
        match (tag, self.depth) {
            (TagEnd::Heading(_), TOP) => {
                if let Some((text, span)) = self.heading.take() {
                    self.blocks.push(Block::Heading { text, span });
                }
            }
            (TagEnd::Paragraph, TOP) => {
                if let Some((inlines, span)) = self.paragraph.take() {
                    self.blocks.push(Block::Paragraph { inlines, span });
                }
            }
            (TagEnd::List(_), TOP) => {
                if let Some(list) = self.list.take() {
                    self.blocks.push(Block::List { items: list.items });
                }
            }
            (TagEnd::Item, IN_LIST) => {
                if let Some(list) = &mut self.list
                    && let Some(open) = list.item.take()
                {
                    list.items.push(open.item);
                }
            }
            (_, IN_ITEM) => {
                if let Some(open) = self.open() {
                    open.first_ended = true;
                }
            }
            _ => {}
        }
    }

    fn open(&mut self) -> Option<&mut OpenItem> {
        self.list.as_mut().and_then(|list| list.item.as_mut())
    }

    fn open_item(&mut self, span: Range<usize>) {
        if let Some(list) = &mut self.list {
            list.item = Some(OpenItem {
                item: Item {
                    span,
                    inlines: Vec::new(),
                    numbered: list.numbered,
                    nested: None,
                    more: None,
                },
                first_ended: false,
            });
        }
    }

    fn nested(&mut self, span: Range<usize>) {
        if let Some(open) = self.open() {
            open.item.nested.get_or_insert(span);
        }
    }

    fn second_paragraph(&mut self, span: Range<usize>) {
        if let Some(open) = self.open()
            && open.first_ended
        {
            open.item.more.get_or_insert(span);
        }
    }

    /// Something that is neither text nor a known block, inside an item.
    fn other(&mut self, span: Range<usize>) {
        if let Some(open) = self.open() {
            open.item.more.get_or_insert(span);
        }
    }

    fn inline(&mut self, kind: InlineKind, span: Range<usize>) {
        if self.images > 0 {
            return;
        }
        if let Some((text, _)) = &mut self.heading {
            match kind {
                InlineKind::Code(piece) | InlineKind::Text(piece) => text.push_str(&piece),
                InlineKind::Html => {}
            }
        } else if let Some((inlines, _)) = &mut self.paragraph {
            inlines.push(Inline { kind, span });
        } else if (IN_ITEM..=IN_ITEM + 1).contains(&self.depth)
            && let Some(open) = self.open()
            && open.item.nested.is_none()
            && open.item.more.is_none()
        {
            if open.first_ended {
                open.item.more = Some(span);
            } else {
                open.item.inlines.push(Inline { kind, span });
            }
        }
    }
}

fn is_inline(tag: &Tag<'_>) -> bool {
    is_inline_end(tag.to_end())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    /// One line a block, so that a test can say what it expects.
    fn drawn(text: &str) -> String {
        outline(text, &(0..text.len()))
            .iter()
            .map(|block| match block {
                Block::Heading { text, .. } => format!("# {text}\n"),
                Block::Paragraph { inlines, .. } => format!("p {}\n", visible_text(inlines)),
                Block::List { items } => items
                    .iter()
                    .map(|item| {
                        format!(
                            "- {}{}{}\n",
                            visible_text(&item.inlines),
                            if item.nested.is_some() {
                                " +nested"
                            } else {
                                ""
                            },
                            if item.more.is_some() { " +more" } else { "" },
                        )
                    })
                    .collect(),
                Block::Other => "other\n".into(),
            })
            .collect()
    }

    #[test]
    fn only_top_level_blocks_are_seen() {
        for (text, expected) in [
            ("# A `b` *c*\n\ntext\n", "# A b c\np text\n"),
            ("A\n===\n\n- one\n- two\n", "# A\n- one\n- two\n"),
            ("- one\n\n- two\n\n  more\n", "- one\n- two +more\n"),
            ("- one\n  - two\n- three\n", "- one +nested\n- three\n"),
            ("- one\n\n      code\n", "- one +more\n"),
            ("- one\n  > quote\n", "- one +more\n"),
            ("- # heading\n", "-  +more\n"),
            ("> # A\n> - one\n", "other\n"),
            ("```\n- one\n```\n", "other\n"),
            ("    - one\n", "other\n"),
            ("<!--\n- one\n\n- two\n-->\n", "other\n"),
            ("<!-- never closed\n\n- one\n", "other\n"),
            ("| a |\n|---|\n| b |\n", "p | a | |---| | b |\n"),
            ("* one\n+ two\n- three\n", "- one\n- two\n- three\n"),
            ("- one <!-- two --> three\n", "- one  three\n"),
            ("- one ![two `2` *two*](x) three\n", "- one  three\n"),
            ("a\r\n\r\n- one\r\n", "p a\n- one\n"),
            ("-\tone\n", "- one\n"),
        ] {
            assert_eq!(drawn(text), expected, "{text}");
        }
    }
}
