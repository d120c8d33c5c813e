//! Open watches, and what all of them have been told.
//!
//! Deliberately absent: what is counted of the daemon meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use admit_proto::v1::{Lane, WatchPolicyRequest};
use anyhow::{Context as _, ensure};
use h2::client::SendRequest;
use rustix::{process::setpriority_process, thread::gettid};
use tokio::{runtime, sync::oneshot};
use tonic::codegen::Bytes;

use super::Switch;
use crate::{
    figure::real,
    launch,
    load::{Call, Target, call, connection},
    pin::{self, Cores},
};

/// Watches on one connection; the built-in configuration has as many.
const STREAMS: usize = 250;
/// Events of one change for one watcher.
pub(super) const EVENTS: usize = 2;
/// Between two changes.
pub(super) const PAUSE: Duration = Duration::from_millis(600);
/// Longest time for one change to be told to everybody.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether everybody has been told.
const LOOK: Duration = Duration::from_millis(1);
/// How far the thread that reads events stands behind whoever measures latency.
const NICE: i32 = 10;
/// Bytes before a message of gRPC, and where its length begins.
const PREFIX_BYTES: usize = 5;

/// So many open watches, read by a thread that yields to whoever measures latency.
pub(super) struct Watchers {
    count: usize,
    told: Arc<Told>,
    _end: oneshot::Sender<()>,
}

/// What all of them have been told.
#[derive(Default)]
struct Told {
    events: AtomicUsize,
    /// When the first event since the latest change came, and the last one; nanoseconds from `begin`, 0 if
    /// there is none.
    first: AtomicU64,
    last: AtomicU64,
    has_ended: AtomicBool,
}

impl Watchers {
    pub(super) fn open(target: &Target, count: usize) -> anyhow::Result<Self> {
        let told = Arc::new(Told::default());
        let (end, ended) = oneshot::channel::<()>();
        let (reader, target) = (Arc::clone(&told), target.clone());
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let watch = move || {
            // A figure of latency must not be that of a generator which waits for these.
            let _ = setpriority_process(Some(gettid()), NICE);
            let followed = runtime.block_on(async {
                let opened = open(&target, count, &reader).await;
                if opened.is_ok() {
                    let _ = ended.await;
                }
                opened
            });
            if followed.is_err() {
                reader.has_ended.store(true, Ordering::Release);
            }
        };
        pin::on(Cores::APART.generator, || {
            thread::Builder::new().name("watchers".into()).spawn(watch)
        })??;
        Ok(Self {
            count,
            told,
            _end: end,
        })
    }

    /// Waits until there have been so many events.
    pub(super) fn wait(&self, events: usize) -> anyhow::Result<()> {
        let begin = Instant::now();
        while self.told.events.load(Ordering::Acquire) < events {
            ensure!(
                !self.told.has_ended.load(Ordering::Acquire),
                "a watch ended"
            );
            ensure!(begin.elapsed() < PATIENCE, "not everybody was told");
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Makes one change and waits until everybody was told: milliseconds from the write to the first
    /// event, and from there to the last.
    pub(super) fn change(&self, switch: &mut Switch) -> anyhow::Result<(f64, f64)> {
        let before = self.told.events.load(Ordering::Acquire);
        self.told.first.store(0, Ordering::Release);
        switch.toggle()?;
        let written = nanos();
        self.wait(before.saturating_add(self.count.saturating_mul(EVENTS)))?;
        let first = self.told.first.load(Ordering::Acquire);
        let last = self.told.last.load(Ordering::Acquire);
        let milliseconds = |from: u64, to: u64| real(to.saturating_sub(from)) / 1e6;
        Ok((milliseconds(written, first), milliseconds(first, last)))
    }

    /// Makes one change after the other while `work` goes on.
    pub(super) fn changing<T>(
        &self,
        switch: &mut Switch,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T>
    where
        T: Send,
    {
        thread::scope(|scope| {
            let work = scope.spawn(work);
            while !work.is_finished() {
                self.change(switch)?;
                thread::sleep(PAUSE / 4);
            }
            work.join().map_err(|_| anyhow::anyhow!("a panic"))?
        })
    }
}

/// Opens every watch, each with a task that counts its events.
async fn open(target: &Target, count: usize, told: &Arc<Told>) -> anyhow::Result<()> {
    let request = WatchPolicyRequest {
        provider: launch::PROVIDER.into(),
        model: launch::model(1),
        lane: Lane::Real.into(),
    };
    let call = Call::new("/admit.v1.PolicyService/WatchPolicy", &[request], |_| true);
    let prepared = Arc::new(call.prepare(target)?);
    let connections = connection::open(target, count.div_ceil(STREAMS)).await?;
    for (_, sender) in (0..count).zip(connections.iter().cycle()) {
        let (sender, prepared, told) = (sender.clone(), Arc::clone(&prepared), Arc::clone(told));
        let sent = send(sender, &prepared).await?;
        tokio::spawn(async move {
            if follow(sent, &told).await.is_err() {
                told.has_ended.store(true, Ordering::Release);
            }
        });
    }
    Ok(())
}

async fn send(
    sender: SendRequest<Bytes>,
    prepared: &call::Prepared,
) -> anyhow::Result<h2::client::ResponseFuture> {
    let mut ready = sender.ready().await?;
    let (response, mut stream) = ready.send_request(prepared.request(), false)?;
    stream.send_data(prepared.body(0).context("no message")?, true)?;
    Ok(response)
}

/// Counts the events of one watch, until it ends.
async fn follow(response: h2::client::ResponseFuture, told: &Told) -> anyhow::Result<()> {
    let mut body = response.await?.into_body();
    let mut waiting = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        waiting.extend_from_slice(&part);
        let events = whole_messages(&mut waiting);
        let now = nanos();
        let _ = told
            .first
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        told.last.store(now, Ordering::Release);
        told.events.fetch_add(events, Ordering::AcqRel);
    }
    anyhow::bail!("a watch ended")
}

/// Takes every message off `waiting` that is there as a whole; how many.
fn whole_messages(waiting: &mut Vec<u8>) -> usize {
    let mut count = 0;
    while let Some(length) = waiting.get(1..PREFIX_BYTES) {
        let length = length
            .iter()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        let whole = PREFIX_BYTES.saturating_add(length);
        if waiting.len() < whole {
            break;
        }
        waiting.drain(..whole);
        count += 1;
    }
    count
}

/// Nanoseconds since this was first asked for, and at least 1.
fn nanos() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let elapsed = BEGIN.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1)
}
