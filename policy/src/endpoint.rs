//! Endpoints: the addresses that must not stand in a policy document.
//!
//! An endpoint is a URL whose host is an IP address, `localhost`, a single label, or under
//! `.ts.net`, `.local` or `.internal`, or that has a port or user information. A host that is
//! written in a way that hides what it is (percent signs, other alphabets) counts as one too.

use alloc::vec::Vec;
use core::ops::Range;

/// How much of a URL is looked at, in bytes. Every look is bounded, so that the time of a search grows
/// with the length of its text and no faster.
const URL_BYTES_MAX: usize = 512;

/// Longest host name, in bytes; what is longer names no host that could be known.
const HOST_BYTES_MAX: usize = 255;

const PRIVATE_SUFFIXES: [&str; 3] = [".ts.net", ".local", ".internal"];

/// The span of every endpoint in `text`, in order.
#[must_use]
pub fn find(text: &str) -> Vec<Range<usize>> {
    urls(text)
        .filter(|url| is_endpoint_authority(url.authority))
        .map(|url| url.span)
        .collect()
}

/// Whether there is an endpoint in `text`.
#[must_use]
pub fn is_present(text: &str) -> bool {
    urls(text).any(|url| is_endpoint_authority(url.authority))
}

/// A URL in running text.
struct Url<'a> {
    span: Range<usize>,
    authority: &'a str,
}

fn urls(text: &str) -> impl Iterator<Item = Url<'_>> {
    text.match_indices("://").filter_map(|(colon, mark)| {
        let scheme = text.get(..colon)?;
        let start = scheme
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .map_or(0, |at| {
                at + scheme
                    .get(at..)
                    .and_then(|s| s.chars().next())
                    .map_or(1, char::len_utf8)
            });
        if start == colon {
            return None;
        }
        let authority_start = colon + mark.len();
        let looked_at = text.len().min(authority_start + URL_BYTES_MAX);
        let rest = text.get(authority_start..text.floor_char_boundary(looked_at))?;
        let end = rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '`' | '"' | '\'' | '<' | '>' | ')' | ',')
            })
            .unwrap_or(rest.len());
        let url = rest.get(..end)?;
        let authority = url.split(['/', '?', '#', '\\']).next().unwrap_or(url);
        Some(Url {
            span: start..authority_start + end,
            authority,
        })
    })
}

fn is_endpoint_authority(authority: &str) -> bool {
    // A colon that nothing follows is punctuation of the text around.
    let authority = authority.trim_end_matches(':');
    if authority.len() > HOST_BYTES_MAX
        || authority.contains(['@', '%', '[', ':'])
        || !authority.is_ascii()
    {
        return true;
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let end = authority.find(|c| !is_host(c)).unwrap_or(authority.len());
    let host = authority.get(..end).unwrap_or(authority);
    let host = host.trim_end_matches(['.', '-', '_']).to_ascii_lowercase();
    if host.is_empty() {
        // `file:///path` names no host.
        return false;
    }
    let last_label = host.rsplit('.').next().unwrap_or_default();
    !host.contains('.')
        || last_label.starts_with(|c: char| c.is_ascii_digit())
        || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found() {
        for text in [
            "http://127.0.0.1/v1",
            "http://127.0.0.1:8000/v1",
            "at http://[fd7a:115c:a1e0::1]/v1.",
            "http://localhost/",
            "HTTP://LOCALHOST./",
            "http://spark1/v1",
            "https://spark1.tail1234.ts.net/v1",
            "https://spark1.local",
            "(https://vllm.internal/v1)",
            "https://example.com:8443/x",
            "https://jp@example.com/x",
            "http://2130706433/",
            "http://0x7f.0x1/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http://spark1\\@example.com/",
            "ws://spark1?x",
        ] {
            assert_eq!(find(text).len(), 1, "{text}");
            assert!(is_present(text), "{text}");
        }
    }

    #[test]
    fn ordinary_references_are_not() {
        for text in [
            "https://github.com/workos/case/commit/30b1fa1",
            "see https://example.com.",
            "file:///etc/hosts",
            "sot/03-PROTOCOLS/A.md",
            "a://",
            "://",
            "127.0.0.1",
            "commit 5db23c7",
        ] {
            assert!(find(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_long_text_of_urls_is_searched_in_linear_time() {
        // With a look that is not bounded this takes minutes.
        assert!(find(&"a://".repeat(256 * 1024)).len() < 1024 * 1024);
    }

    #[test]
    fn an_authority_that_is_too_long_is_an_endpoint() {
        let host = |length: usize| alloc::format!("https://{}.example.com/", "a".repeat(length));
        assert!(find(&host(255 - ".example.com".len())).is_empty());
        assert_eq!(find(&host(256 - ".example.com".len())).len(), 1);
        assert_eq!(find(&host(4096)).len(), 1);
    }

    #[test]
    fn the_span_is_the_whole_url() {
        let text = "é `http://10.0.0.1:8000/v1` é";
        let spans = find(text);
        let span = spans.first().unwrap().clone();
        assert_eq!(text.get(span), Some("http://10.0.0.1:8000/v1"));
    }
}
