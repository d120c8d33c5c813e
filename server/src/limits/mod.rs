//! Limits: how much of everything that comes from outside is taken at one time.
//!
//! Deliberately absent: the limits of a message, which are the contract's (`crate::wire`), and of a
//! document, which are the policy core's.

mod quota;

use std::time::Duration;

pub use quota::{Full, Place, Quota};

/// Largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest list of request headers, in bytes.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Most connections beyond [`Limits::connections`] that are still told so, and can ask for health.
pub const TURNED_AWAY_MAX: usize = 64;
/// Most of them of one address or user id.
pub const TURNED_AWAY_PER_PEER_MAX: usize = 16;
/// How long such a connection is kept.
pub const TURNED_AWAY_AGE_MAX: Duration = Duration::from_secs(2);
/// Most connections to the listener that answers for health alone.
pub const HEALTH_CONNECTIONS_MAX: usize = 256;
/// How old a connection to that listener gets: nobody keeps a place there.
pub const HEALTH_AGE_MAX: Duration = Duration::from_secs(30);
/// Most of them of one address.
pub const HEALTH_CONNECTIONS_PER_PEER_MAX: usize = 16;
/// Most calls about health at one time on one connection. Anybody may make them, so they have no place among
/// the calls of callers.
pub const HEALTH_CALLS_MAX: usize = 8;
/// Most connections to the operations port; one beyond them is closed at once.
pub const OPERATIONS_CONNECTIONS_MAX: usize = 64;
/// Files that the daemon needs besides connections: its log, its policy, its listeners, its receiver.
pub const OTHER_FILES_MAX: usize = 128;
/// When a refused call may be tried again.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The limits of a running daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at one time over the network, and as many over the unix socket: nobody far away
    /// shuts out this host.
    pub connections: usize,
    /// Most connections at one time of one address or user id.
    pub connections_per_peer: usize,
    /// Most calls at one time on one connection, watches among them.
    pub streams_per_connection: u32,
    /// Most calls at one time whose answer has not been taken; watches and health are not among them.
    pub in_flight: usize,
    /// The same of one caller.
    pub in_flight_per_caller: usize,
    /// Most watches at one time.
    pub watchers: usize,
    /// The same of one caller.
    pub watchers_per_caller: usize,
    /// From the connection to the end of the TLS handshake, and from there to the first call.
    pub handshake: Duration,
    /// From the first byte of a call to its answer; a caller's own deadline may be shorter. The answer has
    /// to be taken in as long again.
    pub request_time: Duration,
    /// How long a connection may be without any call.
    pub idle: Duration,
    /// How old a connection gets before it takes no new call.
    pub connection_age: Duration,
    /// How long open calls may take to end once the daemon stops.
    pub drain: Duration,
}

impl Limits {
    /// How many file descriptors the daemon may need at one time.
    #[must_use]
    pub fn files(&self) -> usize {
        self.connections
            .saturating_mul(2)
            .saturating_add(TURNED_AWAY_MAX.saturating_mul(2))
            .saturating_add(HEALTH_CONNECTIONS_MAX)
            .saturating_add(OPERATIONS_CONNECTIONS_MAX)
            .saturating_add(OTHER_FILES_MAX)
    }
}

/// A limit that a call or a connection can be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::connections`].
    Connections,
    /// [`Limits::connections_per_peer`].
    ConnectionsPerPeer,
    /// [`Limits::in_flight`].
    InFlight,
    /// [`Limits::in_flight_per_caller`].
    InFlightPerCaller,
    /// [`Limits::watchers`].
    Watchers,
    /// [`Limits::watchers_per_caller`].
    WatchersPerCaller,
    /// [`Limits::request_time`].
    RequestTime,
    /// [`HEALTH_CALLS_MAX`].
    HealthCalls,
}

impl Limit {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Connections,
        Self::ConnectionsPerPeer,
        Self::InFlight,
        Self::InFlightPerCaller,
        Self::Watchers,
        Self::WatchersPerCaller,
        Self::RequestTime,
        Self::HealthCalls,
    ];

    /// Its word in answers and metrics, which is its key in the configuration if it has one.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerPeer => "connections_per_peer",
            Self::InFlight => "in_flight",
            Self::InFlightPerCaller => "in_flight_per_caller",
            Self::Watchers => "watchers",
            Self::WatchersPerCaller => "watchers_per_caller",
            Self::RequestTime => "request_time",
            Self::HealthCalls => "health_calls",
        }
    }
}
