//! Readiness: whether a real launch could be answered and recorded, and if not, why.
//!
//! The words are a closed set, for probes and people. Deliberately absent: liveness, which says whether the
//! process gets on at all.

use crate::{audit::Trail, store::Store, transport::Stop};

/// Why no real launch can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// The daemon was told to stop.
    Stopping,
    /// Nothing can be recorded.
    AuditUnwritable,
    /// No policy has been read.
    PolicyUnread,
    /// The policy was not verified for too long.
    PolicyStale,
}

impl Unready {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::Stopping,
        Self::AuditUnwritable,
        Self::PolicyUnread,
        Self::PolicyStale,
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::AuditUnwritable => "audit-unwritable",
            Self::PolicyUnread => "policy-unread",
            Self::PolicyStale => "policy-stale",
        }
    }

    /// What it means, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Stopping => "the daemon was told to stop and takes no new call",
            Self::AuditUnwritable => "nothing can be recorded, so nothing is answered",
            Self::PolicyUnread => "no policy has been read, so real launches are denied",
            Self::PolicyStale => {
                "the policy was not verified for too long, so real launches are denied"
            }
        }
    }
}

/// Whether a real launch could be answered now.
///
/// # Errors
///
/// When it could not; the one of several reasons that goes deepest.
pub fn readiness(store: &Store, trail: &Trail, stop: &Stop) -> Result<(), Unready> {
    // An error means that the sender is gone, which is a stop as well.
    if *stop.borrow() || stop.has_changed().is_err() {
        Err(Unready::Stopping)
    } else if trail.unwritable().is_some() {
        Err(Unready::AuditUnwritable)
    } else if store.is_serving() {
        Ok(())
    } else if store.state().loaded.is_none() {
        Err(Unready::PolicyUnread)
    } else {
        Err(Unready::PolicyStale)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stage, *};

    #[tokio::test]
    async fn the_reason_that_goes_deepest_is_said() {
        let (watched, kept) = stage::watched();
        let look = || readiness(&watched.store, &watched.trail, &watched.stop);
        assert_eq!(look(), Err(Unready::PolicyUnread));
        drop(kept.trail_writer);
        assert_eq!(look(), Err(Unready::AuditUnwritable));
        kept.stop.send_replace(true);
        assert_eq!(look(), Err(Unready::Stopping));
        kept.stop.send_replace(false);
        assert_eq!(look(), Err(Unready::AuditUnwritable));
        drop(kept.stop);
        assert_eq!(look(), Err(Unready::Stopping));
    }
}
