//! What a reader of a Markdown document sees. Deliberately absent: where it stands; see
//! `document::outline`.

use alloc::string::String;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What a reader of `markdown` sees, or follows: texts with their escapes and entities resolved, code,
/// and the targets of links.
pub(crate) fn rendered(markdown: &str) -> String {
    let mut seen = String::new();
    for event in Parser::new_ext(markdown, Options::empty()) {
        match event {
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                seen.push_str(&text);
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                seen.push(' ');
                seen.push_str(&dest_url);
                seen.push(' ');
            }
            Event::End(tag) if is_inline_end(tag) => {}
            Event::End(_) | Event::SoftBreak | Event::HardBreak | Event::Rule => seen.push('\n'),
            Event::Start(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => {}
        }
    }
    seen
}

/// Whether a piece of text goes on behind this end.
pub(crate) fn is_inline_end(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image
    )
}
