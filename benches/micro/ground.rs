//! What a record is made from beside the decision: the policy, and the names that stand in clear.
//!
//! Deliberately absent: any measuring.

use std::time::Duration;

use admit_policy::{Facts, decide};
use admit_server::audit::{
    basis::Basis,
    closed::{self, Decided},
    keys::NamesKey,
    names::Names,
    record::{Decision, Entry},
};
use uuid::Uuid;

use crate::subject::{self, Policy};

/// A policy, with the names that its records show.
pub(crate) struct Ground {
    policy: Policy,
    names: Names,
    /// What its records can be derived from again.
    pub(crate) basis: Basis,
}

impl Ground {
    pub(crate) fn of(admissions: usize) -> Self {
        let policy = Policy::of(admissions);
        let names = Names::of(Some(&policy.snapshot), NamesKey::new(&[7; 32]));
        let basis = Basis::of(&policy.snapshot, &policy.terms, &names);
        Self {
            policy,
            names,
            basis,
        }
    }

    /// The record of a decision on these facts.
    pub(crate) fn record(&self, facts: &Facts) -> Decision {
        let standing = self.policy.standing();
        let decision = decide(&standing, facts, subject::now());
        let decided = Decided {
            id: Uuid::now_v7(),
            at: subject::now(),
            elapsed: Duration::from_micros(42),
            dry_run: false,
            facts,
            decision: &decision,
            policy: Some((self.policy.snapshot.digest(), self.basis.digest)),
            unverified_for: standing.unverified_for,
            caller: Some("hermes"),
            trace: None,
        };
        closed::decision(decided, &self.names)
    }
}

/// The members of an entry's line, as the log has them behind its links.
pub(crate) fn members(entry: &Entry, entry_type: &str) -> Vec<u8> {
    let json = serde_json::to_string(entry).expect("an entry is JSON");
    let start = format!("{{\"type\":\"{entry_type}\",");
    let members = json.strip_prefix(&start).and_then(|j| j.strip_suffix('}'));
    members.expect("an entry begins with its type").into()
}
