//! Which names and digests stand in the log in clear: those that the policy of the decision has, and
//! those that the product itself knows. Every other text of a caller stands there as a keyed HMAC.
//!
//! [`open`] is the way back, for replay: an HMAC whose name the policy at hand has becomes
//! that name again, and any other one becomes a text that can equal no name of any policy.

use std::collections::{BTreeMap, HashSet};

use admit_policy::{
    Digest, Snapshot,
    case_config::ROLES,
    facts::known_providers,
    pair::{FAKE_PROVIDER, SILENT_MODEL, SILENT_PROVIDER},
};

use super::keys::NamesKey;

/// What stands before an HMAC.
pub const HMAC_PREFIX: &str = "hmac:";
/// What stands before a name that could not be opened. No name of a policy has a control character.
const UNOPENED_PREFIX: &str = "\u{1}";
/// Longest name in clear in a list of many, in bytes: so that the longest list fits into a line.
const LISTED_BYTES_MAX: usize = 48;
/// What JSON writes with two bytes.
const ESCAPED: [char; 2] = ['"', '\\'];
/// The kinds of what is closed, so that equal texts of two kinds do not look alike.
const NAME_KIND: &str = "name";
const CLASS_KIND: &str = "class";
const HOST_KIND: &str = "host";
const RUN_KIND: &str = "run";
const DIGEST_KIND: &str = "digest";
const AGENT_KIND: &str = "agent";

/// Names that gates know by themselves, beside the providers of known credentials.
const PRODUCT_NAMES: [&str; 4] = [FAKE_PROVIDER, SILENT_PROVIDER, SILENT_MODEL, "openai-codex"];

/// The names that stand in clear under one policy.
#[derive(Clone, Debug)]
pub struct Names {
    key: NamesKey,
    in_clear: HashSet<String>,
    digests_in_clear: HashSet<Digest>,
}

impl Names {
    /// The names of `snapshot`, closed with `key`.
    #[must_use]
    pub fn of(snapshot: Option<&Snapshot>, key: NamesKey) -> Self {
        let named = snapshot.into_iter().flat_map(Snapshot::names);
        let in_clear = named
            .map(str::to_owned)
            .chain(PRODUCT_NAMES.map(str::to_owned))
            .chain(known_providers().map(str::to_owned))
            .collect();
        let digests_in_clear = snapshot
            .into_iter()
            .flat_map(|snapshot| {
                let admitted = snapshot.admissions().map(|admission| admission.digest);
                let invalid = snapshot.invalid_admissions().map(|(digest, _)| digest);
                admitted.chain(invalid).chain([snapshot.digest()])
            })
            .collect();
        Self {
            key,
            in_clear,
            digests_in_clear,
        }
    }

    /// A provider or a model as it stands in the log. An empty text stays empty.
    #[must_use]
    pub fn close(&self, name: &str) -> String {
        // A name that looks closed is closed, so that nobody takes it for what it looks like.
        let is_in_clear = self.in_clear.contains(name) && !name.starts_with(HMAC_PREFIX);
        if name.is_empty() || is_in_clear {
            name.to_owned()
        } else {
            self.closed(NAME_KIND, name)
        }
    }

    /// A provider or a model as it stands where the log has many of them: a long name, or one that
    /// JSON makes longer, is closed even if the policy has it.
    #[must_use]
    pub fn close_listed(&self, name: &str) -> String {
        let is_short = name.len() <= LISTED_BYTES_MAX && !name.contains(ESCAPED);
        if is_short {
            self.close(name)
        } else {
            self.closed(NAME_KIND, name)
        }
    }

    /// An agent: one of Case's roles in clear.
    #[must_use]
    pub fn close_agent(&self, agent: &str) -> String {
        if ROLES.contains(&agent) {
            agent.to_owned()
        } else {
            self.closed(AGENT_KIND, agent)
        }
    }

    /// A digest as it stands in the log. A caller can write anything of 64 hexadecimal digits in its
    /// place, a key included; one that the policy does not have is closed like a name.
    #[must_use]
    pub fn close_digest(&self, digest: Digest) -> String {
        let text = digest.to_string();
        if self.digests_in_clear.contains(&digest) {
            text
        } else {
            self.closed(DIGEST_KIND, &text)
        }
    }

    /// A class of a credential source or a network. An empty text stays empty.
    #[must_use]
    pub fn close_class(&self, class: &str) -> String {
        if class.is_empty() {
            String::new()
        } else {
            self.closed(CLASS_KIND, class)
        }
    }

    /// A host.
    #[must_use]
    pub fn close_host(&self, host: &str) -> String {
        self.closed(HOST_KIND, host)
    }

    /// A run.
    #[must_use]
    pub fn close_run(&self, run: &str) -> String {
        self.closed(RUN_KIND, run)
    }

    /// The names and digests that can be opened, by what they are closed to.
    #[must_use]
    pub fn by_hmac(&self) -> BTreeMap<String, String> {
        let names = self
            .in_clear
            .iter()
            .map(|name| (self.closed(NAME_KIND, name), name.clone()));
        let digests = self.digests_in_clear.iter().map(|digest| {
            let text = digest.to_string();
            (self.closed(DIGEST_KIND, &text), text)
        });
        names.chain(digests).collect()
    }

    fn closed(&self, kind: &str, text: &str) -> String {
        format!("{HMAC_PREFIX}{}", self.key.hmac(kind, text))
    }
}

/// The name behind `recorded`, as far as `by_hmac` knows it.
#[must_use]
pub fn open(recorded: &str, by_hmac: &BTreeMap<String, String>) -> String {
    if !recorded.starts_with(HMAC_PREFIX) {
        return recorded.to_owned();
    }
    by_hmac
        .get(recorded)
        .cloned()
        .unwrap_or_else(|| format!("{UNOPENED_PREFIX}{recorded}"))
}

/// The digest behind `recorded`, as far as `by_hmac` knows it; otherwise one that nothing has.
#[must_use]
pub fn open_digest(recorded: &str, by_hmac: &BTreeMap<String, String>) -> Digest {
    let known = by_hmac.get(recorded).map_or(recorded, String::as_str);
    Digest::parse(known).unwrap_or_else(|| Digest::of(recorded.as_bytes()))
}

#[cfg(test)]
mod tests {
    use admit_policy::{
        Pair,
        snapshot::{Admitted, RecordState},
    };

    use super::*;

    #[test]
    fn what_nobody_named_is_closed_and_cannot_become_a_name() {
        let names = Names::of(None, NamesKey::new(b"a key"));
        assert_eq!(names.close("anthropic"), "anthropic");
        assert_eq!(names.close(""), "");
        let closed = names.close("qwen-local");
        assert!(closed.starts_with(HMAC_PREFIX) && !closed.contains("qwen"));
        assert_ne!(names.close_class("qwen-local"), closed);
        // Who asks for a name that looks closed does not get what is behind it.
        assert_ne!(names.close(&closed), closed);
        let unopened = open(&closed, &names.by_hmac());
        assert!(unopened.starts_with(UNOPENED_PREFIX));
        assert_eq!(open("anthropic", &names.by_hmac()), "anthropic");
    }

    #[test]
    fn a_name_that_looks_closed_is_closed_and_opened_again() {
        let pair = Pair {
            provider: "hmac:0123".into(),
            model: "m".into(),
        };
        let snapshot = Snapshot::of_judgments(
            Digest::of(b"policy"),
            RecordState::Missing,
            [(pair, Admitted::Conflict(Vec::new()))],
            [],
        );
        let names = Names::of(Some(&snapshot), NamesKey::new(b"a key"));
        let closed = names.close("hmac:0123");
        assert!(closed.starts_with(HMAC_PREFIX) && closed != "hmac:0123");
        assert_eq!(open(&closed, &names.by_hmac()), "hmac:0123");
        assert_eq!(names.close("m"), "m");
    }

    #[test]
    fn a_long_name_is_closed_where_there_are_many() {
        let long = "m".repeat(LISTED_BYTES_MAX + 1);
        let [listed, quoted] = ["m".repeat(LISTED_BYTES_MAX), "a\"b".into()];
        let pairs = [&long, &listed, &quoted].map(|model| {
            let pair = Pair {
                provider: "p".into(),
                model: model.clone(),
            };
            (pair, Admitted::Conflict(Vec::new()))
        });
        let policy = Digest::of(b"policy");
        let snapshot = Snapshot::of_judgments(policy, RecordState::Missing, pairs, []);
        let names = Names::of(Some(&snapshot), NamesKey::new(b"a key"));
        assert_eq!(names.close_listed(&listed), listed);
        assert_eq!(names.close_listed(""), "");
        for closed in [&long, &quoted] {
            assert_eq!(names.close(closed), *closed);
            assert!(names.close_listed(closed).starts_with(HMAC_PREFIX));
        }
    }

    #[test]
    fn only_a_role_of_case_is_an_agent_in_clear() {
        let names = Names::of(None, NamesKey::new(b"a key"));
        for role in ROLES {
            assert_eq!(names.close_agent(role), role);
        }
        for other in ["implementer-2", "anthropic", "hmac-0"] {
            assert!(names.close_agent(other).starts_with(HMAC_PREFIX));
        }
    }

    #[test]
    fn a_digest_that_the_policy_has_not_is_closed_and_equals_none() {
        let snapshot = Snapshot::build(&[]);
        let names = Names::of(Some(&snapshot), NamesKey::new(b"a key"));
        let [known, other] = [snapshot.digest(), Digest::of(b"another policy")];
        assert_eq!(names.close_digest(known), known.to_string());
        let closed = names.close_digest(other);
        assert!(closed.starts_with(HMAC_PREFIX));
        let by_hmac = names.by_hmac();
        assert_eq!(open_digest(&known.to_string(), &by_hmac), known);
        let opened = open_digest(&closed, &by_hmac);
        assert!(opened != known && opened != other);
        // Under a policy that has it, it is opened.
        let unread = Names::of(None, NamesKey::new(b"a key"));
        assert_eq!(open_digest(&unread.close_digest(known), &by_hmac), known);
    }
}
