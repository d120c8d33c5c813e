//! Which lines of a log stay out of the evidence: those that look as if they held a secret, and those
//! that name the endpoint.
//!
//! Deliberately absent: any mending of a line. A line is kept as it is, or it is not kept.

use std::{borrow::Cow, net::IpAddr};

use admit_client::facts::has_secret;
use admit_policy::escape::any_reading;

/// Longest line that is looked at, in bytes; a longer one is withheld.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The judge of the lines of one log, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Withholding {
    endpoint: Endpoint,
    is_in_pem: bool,
}

/// What names the endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoint(Vec<String>);

impl Endpoint {
    /// What names the endpoint at `base_url`: the URL, the host with its port unless that is a plain
    /// word, and the bare host, which errors of name resolution and connecting name, unless that is
    /// this host itself or a plain word.
    pub(crate) fn new(base_url: Option<&str>) -> Self {
        let Some(url) = base_url.map(|url| url.trim_end_matches('/')) else {
            return Self::default();
        };
        let (_, after_scheme) = url.split_once("://").unwrap_or(("", url));
        let authority = after_scheme
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default();
        // What stands before an `@` is a user, whom no error names.
        let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
        let is_telling = authority.contains(['.', ':']);
        let host = host(authority);
        let names = [
            Some(url),
            is_telling.then_some(authority),
            is_elsewhere(host).then_some(host),
        ];
        Self(
            names
                .into_iter()
                .flatten()
                .filter(|name| !name.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        )
    }

    /// Whether `text` names it, as written or with its escapes resolved.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        !self.0.is_empty()
            && any_reading(&text.to_ascii_lowercase(), |reading| {
                self.0.iter().any(|name| reading.contains(name))
            })
    }
}

/// The bare host of an authority.
fn host(authority: &str) -> &str {
    let host = match authority
        .strip_prefix('[')
        .and_then(|v6| v6.split_once(']'))
    {
        Some((address, _)) => address,
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    host.trim_end_matches('.')
}

/// Whether the host is neither this one nor a plain word, which many a line has.
fn is_elsewhere(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => host.contains('.'),
    }
}

impl Withholding {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Self {
            endpoint: endpoint.clone(),
            is_in_pem: false,
        }
    }

    /// Whether the next line, given without its line feed, stays out.
    pub(crate) fn withholds(&mut self, line: &[u8]) -> bool {
        if line.len() > LINE_BYTES_MAX {
            return true;
        }
        let text: Cow<'_, str> = String::from_utf8_lossy(line);
        // The lines of a PEM block show only at its first one what they are.
        let was_in_pem = self.is_in_pem;
        let begin = text.rfind("-----BEGIN ");
        let end = text.rfind("-----END ");
        self.is_in_pem = match (begin, end) {
            (Some(begin), Some(end)) => begin > end,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => was_in_pem,
        };
        was_in_pem || self.is_in_pem || has_secret(&text) || self.endpoint.is_in(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld(base_url: Option<&str>, lines: &[&str]) -> Vec<bool> {
        let mut withholding = Withholding::new(&Endpoint::new(base_url));
        lines
            .iter()
            .map(|line| withholding.withholds(line.as_bytes()))
            .collect()
    }

    #[test]
    fn a_line_with_a_secret_stays_out() {
        assert_eq!(
            withheld(
                None,
                &[
                    "plain",
                    "key sk-ant-0123456789abcdef",
                    r#"{"a":"\u0073k-ant-0123456789abcdef"}"#,
                    "http://127.0.0.1:8000/v1",
                ]
            ),
            [false, true, true, false]
        );
    }

    #[test]
    fn what_case_blotted_out_is_no_secret() {
        for line in [
            r#"{"event":"tool_start","tool":"bash","args":"{\"api_key\":\"***\"}"}"#,
            r#"{"event":"tool_end","result":"export TOKEN=***"}"#,
            r#"{"event":"tool_end","result":"Authorization: ***"}"#,
        ] {
            assert_eq!(withheld(None, &[line]), [false], "{line}");
        }
    }

    #[test]
    fn a_pem_block_stays_out_to_its_end() {
        let lines = [
            "-----BEGIN PRIVATE KEY-----",
            "plain",
            "-----END PRIVATE KEY-----",
            "plain",
            "-----BEGIN A----- x -----END A----- -----BEGIN B-----",
            "plain",
        ];
        assert_eq!(
            withheld(None, &lines),
            [true, true, true, false, true, true]
        );
    }

    #[test]
    fn a_line_that_names_the_endpoint_stays_out() {
        for (base_url, line, is_withheld) in [
            (
                "http://10.1.2.3:8000/v1/",
                "at http://10.1.2.3:8000/v1 now",
                true,
            ),
            ("http://10.1.2.3:8000/v1", "refused by 10.1.2.3:8000", true),
            ("http://10.1.2.3:8000/v1", r"http:\/\/10.1.2.3:8000", true),
            ("http://Spark.example.net/v1", "SPARK.EXAMPLE.NET", true),
            ("http://localhost/v1", "localhost", false),
            ("http://localhost/v1", "HTTP://LOCALHOST/v1/models", true),
            ("http://localhost:8000/v1", "localhost:8000", true),
            (
                "http://spark.example.net:8000/v1",
                "getaddrinfo ENOTFOUND Spark.Example.net",
                true,
            ),
            (
                "http://u:p@spark.example.net.:8000",
                "spark.example.net",
                true,
            ),
            (
                "http://10.1.2.3:8000",
                r#"{"address":"10.1.2.3","port":8000}"#,
                true,
            ),
            (
                "http://[fd00::7]:8000/v1",
                "connect ECONNREFUSED fd00::7 8000",
                true,
            ),
            ("http://u:p@127.0.0.1:8000", "at 127.0.0.1:8000", true),
            ("http://[::1]:8000/v1", "listening on ::1", false),
            ("http://127.0.0.1:8000/v1", "127.0.0.1 is this host", false),
            ("http://spark:8000/v1", "a spark", false),
            ("", "plain", false),
            ("/", "a/b", false),
        ] {
            assert_eq!(
                withheld(Some(base_url), &[line]),
                [is_withheld],
                "{base_url} {line}"
            );
        }
    }

    #[test]
    fn a_line_that_is_too_long_to_look_at_stays_out() {
        let longest = " ".repeat(LINE_BYTES_MAX);
        assert_eq!(
            withheld(None, &[&longest, &format!("{longest} ")]),
            [false, true]
        );
    }
}
