//! Readiness: whether a real launch could be answered and recorded, and if not, why.
//!
//! The words are a closed set, for probes and people. Deliberately absent: liveness, which says whether the
//! process gets on at all.

use crate::{
    audit::Trail,
    clock,
    store::Store,
    transport::{Stop, Tls},
};

/// Why no real launch can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// The daemon was told to stop.
    Stopping,
    /// Nothing can be recorded.
    AuditUnwritable,
    /// There is no way in but TLS, and the server's certificate has expired.
    CertificateExpired,
    /// The host's clock is before 1970 or after 9999.
    ClockUnusable,
    /// No policy has been read.
    PolicyUnread,
    /// The policy was not verified for too long.
    PolicyStale,
}

impl Unready {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Stopping,
        Self::AuditUnwritable,
        Self::CertificateExpired,
        Self::ClockUnusable,
        Self::PolicyUnread,
        Self::PolicyStale,
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::AuditUnwritable => "audit-unwritable",
            Self::CertificateExpired => "certificate-expired",
            Self::ClockUnusable => "clock-unusable",
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
            Self::CertificateExpired => {
                "the server's certificate has expired, so nobody can connect"
            }
            Self::ClockUnusable => "the host's clock is of no use, so nothing is decided",
            Self::PolicyUnread => "no policy has been read, so real launches are denied",
            Self::PolicyStale => {
                "the policy was not verified for too long, so real launches are denied"
            }
        }
    }
}

/// What readiness depends on. Clones look at the same.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// The policy in force.
    pub store: Store,
    /// Where answers are recorded.
    pub trail: Trail,
    /// TLS, when there is no other way in.
    pub only_tls: Option<Tls>,
    /// Whether the daemon was told to stop.
    pub stop: Stop,
}

impl Readiness {
    /// Whether a real launch could be answered now.
    ///
    /// # Errors
    ///
    /// When it could not; the one of several reasons that goes deepest.
    pub fn look(&self) -> Result<(), Unready> {
        // An error means that the sender is gone, which is a stop as well.
        if *self.stop.borrow() || self.stop.has_changed().is_err() {
            Err(Unready::Stopping)
        } else if self.trail.unwritable().is_some() {
            Err(Unready::AuditUnwritable)
        } else if self.only_tls.as_ref().is_some_and(|tls| !tls.is_usable()) {
            Err(Unready::CertificateExpired)
        } else if clock::now().is_none() {
            Err(Unready::ClockUnusable)
        } else if self.store.is_fresh() {
            Ok(())
        } else if self.store.state().loaded.is_none() {
            Err(Unready::PolicyUnread)
        } else {
            Err(Unready::PolicyStale)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::stage;

    #[tokio::test]
    async fn the_reason_that_goes_deepest_is_said() {
        let (watched, kept) = stage::watched();
        let look = || watched.readiness.look();
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
