//! Which lines of a run's outputs are not kept: those that look as if they held a secret, and those
//! with the base URL.

use admit_client::facts::has_secret;
use admit_policy::escape::any_reading;

/// Decides which lines are withheld.
#[derive(Clone)]
pub(crate) struct Withholding {
    base_url: Option<String>,
}

impl Withholding {
    /// What stands in the place of a line that is withheld.
    pub(crate) const MARK: &'static str = "[withheld by admit: looks like a secret]";

    /// Withholds what looks like a secret, and every line with `base_url`.
    pub(crate) fn new(base_url: Option<String>) -> Self {
        let base_url = base_url
            .map(|url| url.trim_end_matches('/').to_owned())
            .filter(|url| !url.is_empty());
        Self { base_url }
    }

    /// Whether `line` is withheld.
    pub(crate) fn withholds(&self, line: &str) -> bool {
        let has_url = |reading: &str| {
            self.base_url
                .as_deref()
                .is_some_and(|url| reading.contains(url))
        };
        has_secret(line) || any_reading(line, has_url)
    }
}
