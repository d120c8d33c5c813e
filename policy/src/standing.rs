//! The policy as it stands at one moment: the snapshot, how fresh it is, and the operator's terms.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
};
use core::time::Duration;

use crate::{facts::EndpointScope, snapshot::Snapshot};

/// What the operator configured that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a snapshot holds without having been verified.
    pub staleness_max: Duration,
    /// The scopes of each network class.
    pub network_classes: BTreeMap<String, BTreeSet<EndpointScope>>,
}

/// The policy as it stands at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The snapshot in force; `None` while none has been read.
    pub snapshot: Option<&'a Snapshot>,
    /// How long ago the policy directory was last found to hold just this snapshot.
    pub unverified_for: Duration,
    /// The operator's configuration.
    pub terms: &'a Terms,
}

impl Standing<'_> {
    /// Whether there is a snapshot that was not verified for too long.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.snapshot.is_some() && self.unverified_for >= self.terms.staleness_max
    }
}
