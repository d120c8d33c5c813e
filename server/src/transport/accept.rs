//! Taking connections: each within its limits, each in a task of its own.
//!
//! Deliberately absent: any wait for a free place. Over a limit a connection is told so (a number of
//! them) or closed, at once.

use std::{
    fs, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    sync::{mpsc, watch as channel},
};

use super::{
    complaints::Complaints,
    connection::{self, Connected, Scope, Service},
    listeners::{Listeners, Origin, UnixSocket},
    tls::{Secured, Tls},
};
use crate::{
    caller::Peer,
    limits::{
        Full, HEALTH_CONNECTIONS_MAX, HEALTH_CONNECTIONS_PER_PEER_MAX, Limit, Limits, Place, Quota,
        TURNED_AWAY_MAX, TURNED_AWAY_PER_PEER_MAX,
    },
    metrics::{Counted, Metrics},
};

/// How long no connection is taken after one could not be: descriptors or memory may come free.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often it is said that connections cannot be taken.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// How much longer than [`Limits::drain`] the end of every connection is waited for.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// A signal to stop that many can wait for.
pub type Stop = channel::Receiver<bool>;

/// Ends when the daemon is to stop.
pub async fn stopped(mut stop: Stop) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stopping| *stopping).await;
}

/// What every listener hands its connections to.
#[derive(Clone)]
pub struct Entrance<S> {
    service: S,
    limits: Limits,
    network: Places,
    /// Those of the unix socket.
    local: Places,
    metrics: Metrics,
    stop: Stop,
    /// That connections cannot be taken.
    complaints: Arc<Complaints>,
    /// Held by everything that has not ended; nothing is ever sent.
    _alive: mpsc::Sender<()>,
}

/// Places for connections that share them.
#[derive(Clone)]
struct Places {
    places: Quota<Origin>,
    turned_away: Quota<Origin>,
}

impl Places {
    fn new(limits: &Limits) -> Self {
        Self {
            places: Quota::new(limits.connections, limits.connections_per_peer),
            turned_away: Quota::new(TURNED_AWAY_MAX, TURNED_AWAY_PER_PEER_MAX),
        }
    }
}

/// A connection's place, for as long as it lives: among the others, or among those that are told that there
/// is none.
type Seat = Place<Origin>;

/// Serves every listener until `stop`, and then the open connections to their end, which comes within
/// [`Limits::drain`].
pub async fn serve(
    listeners: Listeners,
    tls: Option<Tls>,
    service: impl Service,
    limits: Limits,
    metrics: Metrics,
    stop: Stop,
) {
    let (alive, mut ended) = mpsc::channel(1);
    let stopping = stop.clone();
    let entrance = Entrance {
        service,
        limits,
        network: Places::new(&limits),
        local: Places::new(&limits),
        metrics,
        stop,
        complaints: Arc::new(Complaints::new(1, COMPLAINT_INTERVAL)),
        _alive: alive,
    };
    if let Some(listener) = listeners.tcp {
        tokio::spawn(entrance.clone().accept_plaintext(listener));
    }
    if let Some((listener, tls)) = listeners.tls.zip(tls) {
        tokio::spawn(entrance.clone().accept_tls(listener, tls));
    }
    if let Some(listener) = listeners.health {
        tokio::spawn(entrance.clone().accept_health(listener));
    }
    if let Some(socket) = listeners.unix {
        tokio::spawn(entrance.clone().accept_unix(socket));
    }
    drop(entrance);
    let too_long = async {
        stopped(stopping).await;
        tokio::time::sleep(limits.drain.saturating_add(DRAIN_GRACE)).await;
    };
    tokio::select! {
        // Nothing is sent: this is the end of the last task.
        _ = ended.recv() => {}
        () = too_long => tracing::warn!("connections were still open at the end of the drain"),
    }
}

impl<S: Service> Entrance<S> {
    async fn accept_plaintext(self, listener: TcpListener) {
        while let Some((stream, from)) = self.next(|| listener.accept()).await {
            if let Some((seat, scope)) = self.seat(&self.network, Origin::of(from)) {
                let connected = Connected::new(Peer::Plaintext, scope);
                tokio::spawn(self.clone().plaintext(stream, connected, seat));
            }
        }
    }

    /// Health has places of its own, so that it is answered however many connections there are, and nobody
    /// has all of them.
    async fn accept_health(self, listener: TcpListener) {
        let places = Quota::new(HEALTH_CONNECTIONS_MAX, HEALTH_CONNECTIONS_PER_PEER_MAX);
        while let Some((stream, from)) = self.next(|| listener.accept()).await {
            if let Ok(place) = places.take(Origin::of(from)) {
                let connected = Connected::new(Peer::Plaintext, Scope::HealthAlone);
                tokio::spawn(self.clone().plaintext(stream, connected, place));
            }
        }
    }

    async fn accept_unix(self, socket: UnixSocket) {
        let UnixSocket { listener, own_file } = socket;
        while let Some((stream, _)) = self.next(|| listener.accept()).await {
            // Whoever cannot be known is not served.
            let Ok(credentials) = stream.peer_cred() else {
                continue;
            };
            let uid = credentials.uid();
            if let Some((seat, scope)) = self.seat(&self.local, Origin::User(uid)) {
                let connected = Connected::new(Peer::Unix { uid }, scope);
                tokio::spawn(self.clone().unix(stream, connected, seat));
            }
        }
        // While the listener still holds it: later the path may be a successor's.
        let _ = own_file.map(fs::remove_file);
    }

    async fn accept_tls(self, listener: TcpListener, tls: Tls) {
        while let Some((stream, from)) = self.next(|| listener.accept()).await {
            if let Some((seat, scope)) = self.seat(&self.network, Origin::of(from)) {
                tokio::spawn(self.clone().tls(stream, from, tls.clone(), seat, scope));
            }
        }
    }

    /// The next connection; `None` once the daemon is to stop.
    async fn next<C, A>(&self, accept: impl Fn() -> A) -> Option<C>
    where
        A: Future<Output = io::Result<C>>,
    {
        loop {
            let accepted = tokio::select! {
                // Looked at first: no connection is taken after the stop.
                biased;
                () = stopped(self.stop.clone()) => return None,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    if self.complaints.say(Instant::now()).is_some() {
                        tracing::warn!("a connection could not be taken: {error}");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }

    /// A place for a connection from `origin`; `None` when it is to be closed.
    fn seat(&self, among: &Places, origin: Origin) -> Option<(Seat, Scope)> {
        let limit = match among.places.take(origin) {
            Ok(place) => return Some((place, Scope::Everything)),
            Err(Full::All) => Limit::Connections,
            Err(Full::OfHolder) => Limit::ConnectionsPerPeer,
        };
        self.metrics.overloaded(limit);
        let place = among.turned_away.take(origin).ok()?;
        Some((place, Scope::TurnedAway(limit)))
    }

    async fn plaintext(self, stream: TcpStream, connected: Connected, _seat: Seat) {
        // Without it answers are only slower.
        let _ = stream.set_nodelay(true);
        self.serve(stream, connected, || true).await;
    }

    async fn unix(self, stream: UnixStream, connected: Connected, _seat: Seat) {
        self.serve(stream, connected, || true).await;
    }

    async fn tls(self, stream: TcpStream, from: SocketAddr, tls: Tls, _seat: Seat, scope: Scope) {
        let _ = stream.set_nodelay(true);
        let secured = tokio::select! {
            secured = tls.accept(stream, from, self.limits.handshake) => secured,
            () = stopped(self.stop.clone()) => return,
        };
        // What was wrong with it has been said where it was found.
        let Ok(Secured { stream, credential }) = secured else {
            return;
        };
        let connected = Connected::new(credential.peer(), scope);
        self.serve(stream, connected, || credential.is_valid(&tls))
            .await;
    }

    async fn serve(
        &self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        connected: Connected,
        is_credential_valid: impl Fn() -> bool,
    ) {
        let _open = Counted::new(self.metrics.connections(connected.peer.via()));
        connection::serve(
            stream,
            Arc::new(connected),
            is_credential_valid,
            self.service.clone(),
            self.limits,
            stopped(self.stop.clone()),
        )
        .await;
    }
}
