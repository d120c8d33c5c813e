//! Delivery: a batch is tried until every span of it is settled, accepted or refused for good.
//!
//! A failure is tried again after a while. A refusal is narrowed down, by halves, to the single spans
//! that are refused, so that their neighbors arrive. A partial success is final: OTLP forbids to send
//! any of it again. What is logged is the code, once for each condition and not for each try.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::{Duration, Instant},
};

use tonic::Code;

use super::{
    reader::Piece,
    receiver::{Failure, Outcome, Receiver},
};

/// The shortest and the longest time between two tries.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest time between two tries, whatever the receiver asks for.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// When to stop trying.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Most tries in a row that fail.
    pub tries: u32,
    /// The longest time without a success.
    pub time: Duration,
}

/// The receiver did not take the spans within the patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the receiver takes no spans: {}", .0.description())]
pub struct GaveUp(pub Code);

/// Spans that were refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first sequence number of what was sent with them.
    pub first_seq: u64,
    /// The last one.
    pub last_seq: u64,
    /// How many spans were refused.
    pub spans: u64,
    /// The gRPC code by its number; 0 for a partial success.
    pub code: u32,
    /// Whether each of them says itself that spans were refused.
    pub is_of_rejections: bool,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// How many spans the receiver has.
    pub accepted: u64,
    /// What it refused, in the order of the log.
    pub refusals: Vec<Refusal>,
}

impl Settled {
    fn accept(&mut self, part: &[Piece], refused: u64) {
        let sent = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let spans = refused.min(sent);
        self.accepted = self.accepted.saturating_add(sent.saturating_sub(spans));
        if spans > 0 {
            self.refusals.extend(refusal(part, spans, 0));
        }
    }

    fn refuse(&mut self, part: &[Piece], code: Code) {
        let spans = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let Some(refusal) = refusal(part, spans, number(code)) else {
            return;
        };
        match self.refusals.last_mut() {
            // Neighbors that met the same are one refusal.
            Some(last)
                if last.code == refusal.code
                    && last.is_of_rejections == refusal.is_of_rejections
                    && last.last_seq.saturating_add(1) == refusal.first_seq =>
            {
                last.last_seq = refusal.last_seq;
                last.spans = last.spans.saturating_add(refusal.spans);
            }
            Some(_) | None => self.refusals.push(refusal),
        }
    }
}

fn refusal(part: &[Piece], spans: u64, code: u32) -> Option<Refusal> {
    Some(Refusal {
        first_seq: part.first()?.seq,
        last_seq: part.last()?.seq,
        spans,
        code,
        is_of_rejections: part.iter().all(|piece| piece.is_rejection),
    })
}

fn number(code: Code) -> u32 {
    u32::try_from(i32::from(code)).unwrap_or(u32::MAX)
}

/// Delivers batches to one receiver.
#[derive(Debug)]
pub struct Delivery {
    receiver: Receiver,
    /// `None`: for ever.
    patience: Option<Patience>,
    backoff: Backoff,
    last_success: Instant,
    troubles: Troubles,
}

impl Delivery {
    /// Delivery to `receiver`, with that patience; `None`: for ever.
    #[must_use]
    pub fn new(receiver: Receiver, patience: Option<Patience>) -> Self {
        Self {
            receiver,
            patience,
            backoff: Backoff::default(),
            last_success: Instant::now(),
            troubles: Troubles::default(),
        }
    }

    /// Tries until every span of `pieces` is settled. `on_failure` is called for every try that
    /// delivered nothing.
    ///
    /// # Errors
    ///
    /// When the patience is over.
    pub async fn deliver(
        &mut self,
        pieces: Vec<Piece>,
        mut on_failure: impl FnMut(),
    ) -> Result<Settled, GaveUp> {
        let mut settled = Settled::default();
        let mut parts = vec![pieces];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let spans = part.iter().map(|piece| piece.span.clone()).collect();
            match self.receiver.send(spans).await {
                Outcome::Accepted { refused } => {
                    self.answered();
                    settled.accept(&part, refused);
                }
                Outcome::Refused(code) => {
                    self.answered();
                    if is_new(&mut self.troubles.refusing, code) {
                        self.tell(|| {
                            tracing::warn!(
                                ?code,
                                "the receiver refuses spans for good; each of them is recorded"
                            );
                        });
                    }
                    match halves(part) {
                        (single, None) => settled.refuse(&single, code),
                        (first, Some(second)) => parts.extend([second, first]),
                    }
                }
                Outcome::Failed(failure) => {
                    on_failure();
                    self.wait(failure).await?;
                    if failure.may_be_too_large {
                        let (first, second) = halves(part);
                        parts.extend(second.into_iter().chain([first]));
                    } else {
                        parts.push(part);
                    }
                }
            }
        }
        if settled.refusals.is_empty() {
            self.troubles.refusing.clear();
        }
        Ok(settled)
    }

    /// The receiver has said something about the spans themselves.
    fn answered(&mut self) {
        self.backoff = Backoff::default();
        self.last_success = Instant::now();
        if !self.troubles.failing.is_empty() {
            self.troubles.failing.clear();
            self.tell(|| tracing::info!("the receiver of spans answers again"));
        }
    }

    /// Logs, unless whoever waits is told otherwise.
    fn tell(&self, log: impl FnOnce()) {
        if self.patience.is_none() {
            log();
        }
    }

    async fn wait(&mut self, failure: Failure) -> Result<(), GaveUp> {
        let delay = self.backoff.next(failure.delay);
        if let Some(patience) = self.patience {
            let waited = self.last_success.elapsed().saturating_add(delay);
            if self.backoff.tries >= patience.tries || waited >= patience.time {
                return Err(GaveUp(failure.code));
            }
        }
        let code = failure.code;
        if is_new(&mut self.troubles.failing, code) {
            self.tell(|| {
                tracing::warn!(
                    ?code,
                    "the receiver of spans fails; they are kept and sent again"
                );
            });
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// Whether `code` was not among `met`; it is then.
fn is_new(met: &mut Vec<Code>, code: Code) -> bool {
    let is_new = !met.contains(&code);
    if is_new {
        met.push(code);
    }
    is_new
}

/// The two halves of a part, or the part itself if it has one piece.
fn halves(mut part: Vec<Piece>) -> (Vec<Piece>, Option<Vec<Piece>>) {
    if part.len() < 2 {
        return (part, None);
    }
    let second = part.split_off(part.len().div_ceil(2));
    (part, Some(second))
}

/// What goes wrong with the delivery. Every code is told once for as long as the trouble lasts.
#[derive(Debug, Default)]
struct Troubles {
    failing: Vec<Code>,
    refusing: Vec<Code>,
}

/// The time between tries: it doubles, and a part of it is random.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// How long to wait now, when the receiver asks for `asked`.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let ceiling = 2_u32
            .checked_pow(self.tries)
            .and_then(|factor| BACKOFF_MIN.saturating_mul(2).checked_mul(factor))
            .map_or(BACKOFF_MAX, |ceiling| ceiling.min(BACKOFF_MAX));
        self.tries = self.tries.saturating_add(1);
        let half = ceiling.checked_div(2).unwrap_or_default();
        let random = RandomState::new().build_hasher().finish();
        let half_ms = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        let jitter = random.checked_rem(half_ms.max(1)).unwrap_or_default();
        let delay = half.saturating_add(Duration::from_millis(jitter));
        delay.max(asked.unwrap_or_default()).min(BACKOFF_MAX)
    }
}
