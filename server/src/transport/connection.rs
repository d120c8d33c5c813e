//! One connection: HTTP/2 within its limits, from the first byte to its orderly end.
//!
//! Deliberately absent: who may call what, and what is answered; both are the service's.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch as channel},
    time::{Instant, sleep_until},
};
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};

use crate::{
    caller::Peer,
    limits::{
        HEADER_BYTES_MAX, HEALTH_AGE_MAX, HEALTH_CALLS_MAX, Limit, Limits, TURNED_AWAY_AGE_MAX,
    },
};

/// How often a silent connection is asked whether it lives, and how long it may take to say so.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection may send before somebody reads it, in bytes; a stream of it likewise.
const WINDOW_BYTES: u32 = 256 * 1024;
/// What may wait to be sent on one stream, in bytes.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// Streams that the peer has reset and nobody has looked at yet; beyond them the connection ends.
const RESETS_PENDING_MAX: usize = 20;
/// Streams that were reset because the peer broke a rule; beyond them the connection ends.
const RESETS_OWN_MAX: usize = 64;
/// How long the last answers of a closing connection may take on their way, and a call that set out
/// before its end was known may take to come.
const FLUSH_MAX: Duration = Duration::from_millis(500);
/// How often it is looked at whether the client's certificate still holds.
const CREDENTIAL_INTERVAL: Duration = Duration::from_secs(1);

/// What is served on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// Health alone: the listener is for nothing else.
    HealthAlone,
    /// Health alone, and for a moment: there are too many connections.
    TurnedAway(Limit),
}

/// A connection, as the calls on it see it.
#[derive(Debug)]
pub struct Connected {
    /// The other end.
    pub peer: Peer,
    /// What is served.
    pub scope: Scope,
    /// Whether the peer's certificate has ceased to hold.
    credential_ended: AtomicBool,
    health_calls: Arc<Semaphore>,
    calls: Mutex<Calls>,
    /// Rung when a call ends while the connection closes.
    ended: Notify,
    closing: channel::Sender<bool>,
}

/// Marks the answer of a stream that lasts: nobody has to have taken the whole of it in some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It ends when its connection closes, which waits for that.
    UntilClosing,
    /// It has no end of its own; a connection that closes does not wait for it.
    Endless,
}

/// The calls on a connection.
#[derive(Debug)]
struct Calls {
    open: usize,
    /// Those of them that are waited for when the connection closes.
    awaited: usize,
    /// When those began whose answer has to be taken in time, by their number: the oldest first.
    timed: BTreeMap<u64, Instant>,
    /// How many there have been.
    count: u64,
    /// How many have ended, or are not waited for any more.
    ended: u64,
    /// When the last one ended, or the connection began.
    since: Instant,
}

impl Calls {
    /// Until when the connection is kept as things are: with a call until its answer has to have been
    /// taken, and without one until the next one has to be there.
    fn kept_until(&self, limits: &Limits) -> Option<Instant> {
        let patience = match (self.open, self.count) {
            (0, 0) => limits.handshake,
            (0, _) => limits.idle,
            _ => {
                let (_, began) = self.timed.first_key_value()?;
                // Once for the answer, and once for whoever asked to take it.
                return Some(*began + limits.request_time.saturating_mul(2));
            }
        };
        Some(self.since + patience)
    }
}

impl Connected {
    /// A connection without any call.
    #[must_use]
    pub fn new(peer: Peer, scope: Scope) -> Self {
        let calls = Calls {
            open: 0,
            awaited: 0,
            timed: BTreeMap::new(),
            count: 0,
            ended: 0,
            since: Instant::now(),
        };
        Self {
            peer,
            scope,
            credential_ended: AtomicBool::new(false),
            health_calls: Arc::new(Semaphore::new(HEALTH_CALLS_MAX)),
            calls: Mutex::new(calls),
            ended: Notify::new(),
            closing: channel::Sender::new(false),
        }
    }

    /// Whether the peer's certificate still holds; true for a peer without one.
    #[must_use]
    pub fn is_credential_valid(&self) -> bool {
        !self.credential_ended.load(Ordering::Acquire)
    }

    /// A place for a call about health, if there is one.
    #[must_use]
    pub fn health_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.health_calls).try_acquire_owned().ok()
    }

    /// Ends when the connection takes no new call: what has no end of its own has to end.
    pub async fn closing(&self) {
        // An error cannot be: the sender is this connection's own.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call for as long as the result lives.
    fn call(self: &Arc<Self>) -> OpenCall {
        let mut calls = self.calls();
        calls.open = calls.open.saturating_add(1);
        calls.count = calls.count.saturating_add(1);
        let number = calls.count;
        calls.awaited = calls.awaited.saturating_add(1);
        calls.timed.insert(number, Instant::now());
        drop(calls);
        OpenCall {
            connection: Arc::clone(self),
            number,
            is_awaited: true,
        }
    }

    /// Tells whoever waits for the end of the last call, once the connection closes.
    fn tell_of_end(&self) {
        if *self.closing.borrow() {
            self.ended.notify_one();
        }
    }

    /// Ends when there has been no call that is waited for throughout [`FLUSH_MAX`].
    async fn quiet(&self) {
        loop {
            let before = self.calls().ended;
            if self.calls().awaited > 0 {
                self.ended.notified().await;
                continue;
            }
            tokio::time::sleep(FLUSH_MAX).await;
            let calls = self.calls();
            if calls.awaited == 0 && calls.ended == before {
                return;
            }
        }
    }

    /// Ends when the connection has been without a call for too long, or with one whose answer nobody
    /// takes.
    async fn spent(&self, limits: &Limits) {
        // Nothing that happens from now on can spend the connection earlier than this, so no call has to
        // say that it begins or ends.
        let soonest = limits.idle.min(limits.request_time.saturating_mul(2));
        loop {
            let now = Instant::now();
            let kept_until = self.calls().kept_until(limits);
            if kept_until.is_some_and(|until| until <= now) {
                return;
            }
            let look_again = now + soonest;
            sleep_until(kept_until.map_or(look_again, |until| until.min(look_again))).await;
        }
    }
}

/// One call that has not ended.
struct OpenCall {
    connection: Arc<Connected>,
    number: u64,
    is_awaited: bool,
}

impl OpenCall {
    fn lasts(&mut self, lasting: Lasting) {
        let was_awaited = self.is_awaited;
        self.is_awaited = was_awaited && lasting == Lasting::UntilClosing;
        let is_given_up = was_awaited && !self.is_awaited;
        let mut calls = self.connection.calls();
        calls.timed.remove(&self.number);
        calls.awaited = calls.awaited.saturating_sub(usize::from(is_given_up));
        calls.ended = calls.ended.saturating_add(u64::from(is_given_up));
        drop(calls);
        self.connection.tell_of_end();
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut calls = self.connection.calls();
        calls.timed.remove(&self.number);
        calls.awaited = calls.awaited.saturating_sub(usize::from(self.is_awaited));
        calls.ended = calls.ended.saturating_add(1);
        calls.open = calls.open.saturating_sub(1);
        calls.since = Instant::now();
        drop(calls);
        self.connection.tell_of_end();
    }
}

/// What answers the calls of every connection.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one call.
    fn call(
        &self,
        connected: &Arc<Connected>,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// The response with something that lives until it was sent, or given up.
pub fn holding(held: impl Send + 'static, response: Response<Body>) -> Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &held;
            frame
        }))
    })
}

/// Serves one connection to its end: the peer's, its age's, or that of `stop`. What is still open
/// [`Limits::drain`] after that is cut off.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connected: Arc<Connected>,
    is_credential_valid: impl Fn() -> bool,
    service: impl Service,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let calls = Arc::clone(&connected);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, connected) = (service.clone(), Arc::clone(&calls));
        async move {
            let mut call = connected.call();
            let response = service.call(&connected, request.map(Body::new)).await;
            if let Some(lasting) = response.extensions().get::<Lasting>() {
                call.lasts(*lasting);
            }
            // The call has ended when its answer was sent.
            Ok::<_, Infallible>(holding(call, response))
        }
    });
    let mut connection =
        pin!(http2_builder(&limits).serve_connection(TokioIo::new(stream), answer));
    let end = async {
        let age = match connected.scope {
            Scope::Everything => limits.connection_age,
            Scope::HealthAlone => HEALTH_AGE_MAX.min(limits.connection_age),
            Scope::TurnedAway(_) => TURNED_AWAY_AGE_MAX.min(limits.connection_age),
        };
        tokio::select! {
            () = stop => {}
            () = connected.spent(&limits) => {}
            () = tokio::time::sleep(age) => {}
            () = ended(is_credential_valid) => connected.credential_ended.store(true, Ordering::Release),
        }
    };
    tokio::select! {
        // How it ended is the peer's affair.
        _ = connection.as_mut() => return,
        () = end => {}
    }
    connected.closing.send_replace(true);
    connection.as_mut().graceful_shutdown();
    // Whoever does not end by then is cut off; so is whoever has nothing more to get.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = connected.quiet() => {}
        () = tokio::time::sleep(limits.drain) => {}
    }
}

/// Ends when the peer's certificate does not hold any more.
async fn ended(is_credential_valid: impl Fn() -> bool) {
    while is_credential_valid() {
        tokio::time::sleep(CREDENTIAL_INTERVAL).await;
    }
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // gRPC has no use for it, and it cannot be written by every clock.
        .auto_date_header(false)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_OWN_MAX);
    builder
}
