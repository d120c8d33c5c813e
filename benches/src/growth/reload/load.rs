//! Requests at a fixed rate on one connection, each timed from the moment that it was due.
//!
//! Deliberately absent: which of them count; whoever measures knows when the policy changed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use admit_proto::v1::{AdmitRequest, Verdict, admission_service_client::AdmissionServiceClient};
use anyhow::{bail, ensure};
use tokio::runtime::Handle;
use tonic::transport::Channel;

/// Requests in a second.
const RATE_HZ: u32 = 1000;

/// Asks once; anything but an ALLOW is an error.
pub(super) async fn allowed(channel: Channel, request: AdmitRequest) -> anyhow::Result<()> {
    let answer = AdmissionServiceClient::new(channel).admit(request).await?;
    let answer = answer.into_inner();
    ensure!(
        answer.verdict() == Verdict::Allow,
        "denied: {:?}",
        answer.reasons
    );
    Ok(())
}

/// When a request was due, and how long after that its answer was there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) due: Instant,
    pub(super) latency: Duration,
}

/// Requests at a fixed rate, whatever becomes of them.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    pace: thread::JoinHandle<()>,
    timings: Arc<Mutex<Vec<Timing>>>,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

impl Load {
    pub(super) fn start(handle: Handle, channel: Channel, request: AdmitRequest) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let timings = Arc::new(Mutex::new(Vec::new()));
        let failure = Arc::new(Mutex::new(None));
        let (is_over, into, failed) = (
            Arc::clone(&stop),
            Arc::clone(&timings),
            Arc::clone(&failure),
        );
        let interval = Duration::from_secs(1) / RATE_HZ;
        let pace = thread::spawn(move || {
            let mut due = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                due += interval;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let (channel, request) = (channel.clone(), request.clone());
                let (into, failed) = (Arc::clone(&into), Arc::clone(&failed));
                handle.spawn(async move {
                    let result = allowed(channel, request).await;
                    let latency = due.elapsed();
                    let timing = Timing { due, latency };
                    into.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(timing);
                    if let Err(error) = result {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                });
            }
        });
        Self {
            stop,
            pace,
            timings,
            failure,
        }
    }

    /// Ends the load; every timing of it.
    pub(super) fn stop(self) -> anyhow::Result<Vec<Timing>> {
        self.stop.store(true, Ordering::Relaxed);
        if self.pace.join().is_err() {
            bail!("the load broke");
        }
        // The last ones are under way; they are of no window.
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failure.take() {
            return Err(error.context("a request was not allowed"));
        }
        let mut timings = self.timings.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *timings))
    }
}
