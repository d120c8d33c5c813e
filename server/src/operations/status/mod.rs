//! The status page: the state for a person who looks, and nothing to press.
//!
//! Rendered here without any script, at most once a second and once at a time. Everything that documents or
//! the log state is made safe to show first, and escaped by the template. Deliberately absent: any judgment.
//! The page shows what gates, findings and the log say.

mod latest;
mod moment;
mod policy;

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};

use admit_policy::{Code, EvidenceCode, Timestamp, text::shown};
use askama::Template;
use axum::{body::Bytes, http::HeaderValue};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};
use tokio::sync::{Mutex, oneshot};

use super::Watched;
use crate::{audit::current::describe, caller::Via, clock, metrics::VERSION, readiness::Unready};
use latest::Latest;
use moment::Moment;
use policy::PolicyView;

/// Most rows of each table.
pub(super) const ROWS_MAX: usize = 50;
/// Longest text of a document or of the log that is shown, in characters.
const TEXT_CHARS_MAX: usize = 512;
/// How long a rendered page is shown to whoever asks.
const PAGE_AGE_MAX: Duration = Duration::from_secs(1);
/// How long somebody who asks waits for a page.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// After how many seconds a browser asks again.
const REFRESH_S: u32 = 10;
const STYLE: &str = include_str!("status.css");

/// What a browser may do with the page: show it, with this one style and an icon that is in it.
pub(super) static SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    // The hash has no character that a header must not have; without the policy there is no style.
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unshown {
    /// The one that is being rendered takes too long: the disk with the log may hang.
    Busy,
    /// The host's clock is of no use, or the system refuses a thread.
    Broken,
}

impl Unshown {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Broken => "broken",
        }
    }
}

/// A page and when it was rendered.
type Rendered = Option<(Instant, Bytes)>;

/// The page, rendered when somebody asks.
#[derive(Clone, Debug)]
pub(super) struct StatusPage {
    watched: Arc<Watched>,
    rendered: Arc<Mutex<Rendered>>,
}

impl StatusPage {
    pub(super) fn new(watched: Arc<Watched>) -> Self {
        Self {
            watched,
            rendered: Arc::default(),
        }
    }

    /// The page, not older than [`PAGE_AGE_MAX`].
    pub(super) async fn shown(&self) -> Result<Bytes, Unshown> {
        tokio::time::timeout(WAIT_MAX, self.fresh())
            .await
            .unwrap_or(Err(Unshown::Busy))
    }

    async fn fresh(&self) -> Result<Bytes, Unshown> {
        let mut rendered = Arc::clone(&self.rendered).lock_owned().await;
        if let Some((at, page)) = &*rendered
            && at.elapsed() < PAGE_AGE_MAX
        {
            return Ok(page.clone());
        }
        let watched = Arc::clone(&self.watched);
        let (sender, page) = oneshot::channel();
        // A thread of its own, because a disk can hang: the runtime waits for its threads when it ends.
        // It keeps the lock for as long as it takes, whether or not somebody still waits.
        thread::Builder::new()
            .name("status-page".into())
            .spawn(move || {
                let page = render(&watched).map(Bytes::from);
                *rendered = page.clone().map(|page| (Instant::now(), page));
                // Whoever asked may be gone.
                let _ = sender.send(page);
            })
            .map_err(|_: io::Error| Unshown::Broken)?;
        page.await.ok().flatten().ok_or(Unshown::Broken)
    }
}

/// Rows, and how many more there are.
#[derive(Debug)]
struct Capped<T> {
    rows: Vec<T>,
    more: usize,
}

impl<T> Capped<T> {
    /// The first [`ROWS_MAX`] of `all`, each made by `row`.
    fn of<S>(all: impl ExactSizeIterator<Item = S>, row: impl FnMut(S) -> T) -> Self {
        let more = all.len().saturating_sub(ROWS_MAX);
        Self {
            rows: all.take(ROWS_MAX).map(row).collect(),
            more,
        }
    }
}

/// A code and what it means.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Explained {
    code: &'static str,
    means: &'static str,
    help: &'static str,
}

/// The page, as its template takes it.
#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    style: &'static str,
    refresh_s: u32,
    version: &'static str,
    rendered: Moment,
    unready: Option<Unready>,
    policy: PolicyView,
    latest: Latest,
    audit: AuditView,
    traffic: Traffic,
    codes: BTreeSet<Explained>,
}

impl Page {
    /// Whether the page says what this code means.
    fn is_explained(&self, code: &str) -> bool {
        self.codes.iter().any(|explained| explained.code == code)
    }
}

/// The state of the audit trail.
#[derive(Debug)]
struct AuditView {
    stream_id: String,
    last_seq: u64,
    unwritable: Option<&'static str>,
    waiting: usize,
    refused: u64,
    /// Records that the receiver has not, and the age of the oldest in seconds; none without a receiver.
    export_lag: Option<(i64, String)>,
    rejected_spans: u64,
}

/// Who is connected, and how many were turned away since the start.
#[derive(Debug)]
struct Traffic {
    connections: Vec<(&'static str, i64)>,
    in_flight: i64,
    watchers: i64,
    refusals: u64,
    overloads: u64,
    failed_handshakes: u64,
}

/// The page as it is now; `None` when there is no time that anything could be judged by.
fn render(watched: &Watched) -> Option<String> {
    let now = clock::now()?;
    let state = watched.store.state();
    let standing = state.standing(watched.store.terms());
    let policy = PolicyView::of(&state, &standing, now);
    let latest = Latest::read(watched.trail.dir(), now);
    let page = Page {
        style: STYLE,
        refresh_s: REFRESH_S,
        version: VERSION,
        rendered: Moment::new(now, now),
        unready: watched.readiness.look().err(),
        audit: audit(watched),
        traffic: traffic(watched),
        codes: policy
            .codes()
            .chain(latest.codes())
            .filter_map(explained)
            .collect(),
        policy,
        latest,
    };
    page.render().ok()
}

fn audit(watched: &Watched) -> AuditView {
    let trail = &watched.trail;
    let metrics = trail.metrics();
    let lag_s = Duration::try_from_secs_f64(metrics.export_lag_seconds.get()).unwrap_or_default();
    AuditView {
        stream_id: trail.stream_id().to_owned(),
        last_seq: trail.follow().borrow().head.seq,
        unwritable: trail.unwritable().map(describe),
        waiting: trail.waiting(),
        refused: metrics.refused.get(),
        export_lag: watched
            .has_receiver
            .then(|| (metrics.export_lag_records.get(), moment::length(lag_s))),
        rejected_spans: metrics.rejected.get(),
    }
}

fn traffic(watched: &Watched) -> Traffic {
    let metrics = &watched.metrics;
    Traffic {
        connections: Via::ALL
            .map(|via| (via.as_str(), metrics.connections(via).get()))
            .into(),
        in_flight: metrics.in_flight.get(),
        watchers: metrics.watchers.get(),
        refusals: metrics.refusals(),
        overloads: metrics.overloads(),
        failed_handshakes: metrics.failed_handshakes(),
    }
}

/// What a code means; `None` for a word that is no code.
fn explained(code: &str) -> Option<Explained> {
    let gate = Code::ALL.into_iter().find(|known| known.as_str() == code);
    let check = || {
        EvidenceCode::ALL
            .into_iter()
            .find(|known| known.as_str() == code)
    };
    match gate {
        Some(gate) => Some(Explained {
            code: gate.as_str(),
            means: gate.denies(),
            help: gate.help(),
        }),
        None => check().map(|check| Explained {
            code: check.as_str(),
            means: check.rejects(),
            help: check.help(),
        }),
    }
}

/// A text of a document or of the log, safe to show.
fn safe(text: &str) -> String {
    shown(text, TEXT_CHARS_MAX)
}

/// From `now` until `then`, or since then.
fn apart(now: Timestamp, then: Timestamp) -> (Duration, bool) {
    let (from, _) = now.unix();
    let (to, _) = then.unix();
    (Duration::from_secs(to.abs_diff(from)), to > from)
}
