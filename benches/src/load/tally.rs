//! What a load adds up to.

use std::{
    cell::RefCell,
    process,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::time::{sleep, timeout};

use super::{DRAIN_MAX, Plan};
use crate::{figure::real, latency::Latencies, pin::Usage};

/// How often a window without an answer is looked at.
const ANSWER_INTERVAL: Duration = Duration::from_millis(1);

/// How a server did under load.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Answers within the window.
    pub(crate) answers: u64,
    /// How long the window was.
    pub(crate) elapsed: Duration,
    /// Latency: of a closed loop from the call, of an open loop from when it was due.
    pub(crate) latency: Latencies,
    /// CPU time that the server used in the window.
    pub(crate) cpu: Duration,
    /// CPU time that this process used in the window, which is the generator and the receiver of spans.
    pub(crate) generator_cpu: Duration,
    /// Resident memory of the server at the end of the window, in bytes.
    pub(crate) resident: u64,
    /// Bytes of the last answer.
    pub(crate) answer_bytes: usize,
}

impl Outcome {
    /// Answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        real(self.answers) / self.elapsed.as_secs_f64()
    }

    /// CPU time of the server for one answer, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / real(self.answers.max(1))
    }
}

/// What has been counted so far, shared by everything on the thread of the generator.
#[derive(Clone)]
pub(super) struct Tally(Rc<RefCell<Counted>>);

struct Counted {
    is_counting: bool,
    is_over: bool,
    answers: u64,
    latency: Latencies,
    answer_bytes: usize,
    failure: Option<anyhow::Error>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Rc::new(RefCell::new(Counted {
            is_counting: false,
            is_over: false,
            answers: 0,
            latency: Latencies::new()?,
            answer_bytes: 0,
            failure: None,
        }))))
    }

    /// Whether no more calls are wanted: the window has passed, or a call has failed.
    pub(super) fn is_over(&self) -> bool {
        let counted = self.0.borrow();
        counted.is_over || counted.failure.is_some()
    }

    /// Whether a call of the window has been answered.
    fn has_latency(&self) -> bool {
        self.0.borrow().latency.count() > 0
    }

    /// Whether the window is open.
    pub(super) fn is_counting(&self) -> bool {
        self.0.borrow().is_counting
    }

    /// Counts an answer that comes now, if the window is open.
    pub(super) fn answered(&self, bytes: usize) {
        let mut counted = self.0.borrow_mut();
        if counted.is_counting {
            counted.answers = counted.answers.saturating_add(1);
            counted.answer_bytes = bytes;
        }
    }

    /// Counts a latency, whether or not the window is still open.
    pub(super) fn took(&self, latency: Duration) {
        self.0.borrow_mut().latency.record(latency);
    }

    /// Ends the load with a failure; the first one is kept.
    pub(super) fn failed(&self, failure: anyhow::Error) {
        self.0.borrow_mut().failure.get_or_insert(failure);
    }

    /// Opens and closes the window of `plan`, and measures what the two processes use between. A window
    /// that has passed without an answer says nothing: it stays open until there is one.
    ///
    /// # Errors
    ///
    /// When the server has ended or does not answer.
    pub(super) async fn watch(&self, plan: &Plan<'_>) -> anyhow::Result<Window> {
        sleep(plan.warm_up).await;
        let (began, before) = (Instant::now(), Used::now(plan)?);
        self.0.borrow_mut().is_counting = true;
        sleep(plan.window).await;
        let answered = async {
            while !self.has_latency() && !self.is_over() {
                sleep(ANSWER_INTERVAL).await;
            }
        };
        timeout(DRAIN_MAX, answered)
            .await
            .context("no call is answered")?;
        let (elapsed, after) = (began.elapsed(), Used::now(plan)?);
        let mut counted = self.0.borrow_mut();
        counted.is_counting = false;
        counted.is_over = true;
        Ok(Window {
            elapsed,
            before,
            after,
        })
    }

    /// Everything that was counted in `window`.
    ///
    /// # Errors
    ///
    /// When a call has failed.
    pub(super) fn outcome(&self, window: &Window) -> anyhow::Result<Outcome> {
        let mut counted = self.0.borrow_mut();
        if let Some(failure) = counted.failure.take() {
            return Err(failure);
        }
        let used =
            |of: fn(&Used) -> Usage| of(&window.after).cpu.saturating_sub(of(&window.before).cpu);
        Ok(Outcome {
            answers: counted.answers,
            elapsed: window.elapsed,
            latency: counted.latency.clone(),
            cpu: used(|used| used.server),
            generator_cpu: used(|used| used.generator),
            resident: window.after.server.resident,
            answer_bytes: counted.answer_bytes,
        })
    }
}

/// The time in which answers counted, and what was used in it.
pub(super) struct Window {
    elapsed: Duration,
    before: Used,
    after: Used,
}

/// What both sides have used so far.
struct Used {
    server: Usage,
    generator: Usage,
}

impl Used {
    fn now(plan: &Plan<'_>) -> anyhow::Result<Self> {
        Ok(Self {
            server: Usage::of(plan.target.process)?,
            generator: Usage::of(process::id())?,
        })
    }
}
