//! Follows one pair from server to server: a stream that is lost is opened again, where it can be.
//!
//! Deliberately absent: what follows from a loss. Whoever launched decides how long to do without.

use std::{future::pending, time::Duration};

use admit_proto::v1::{Lane, PairState, Reason, WatchPolicyRequest, watch_policy_response};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{ask::Client, failure::AskError, watch::Watch};

/// How long the first attempt to open a lost stream again is put off. Each further one is put off
/// for twice as long as the one before it, up to [`DELAY_MAX`].
pub const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest time between two attempts. A stream that held for as long begins anew with
/// [`DELAY_MIN`].
pub const DELAY_MAX: Duration = Duration::from_secs(5);
/// Most events that wait to be asked for; the stream itself waits then.
const WAITING_MAX: usize = 16;

/// What happened to a pair, or to the contact with the servers.
#[derive(Debug)]
pub enum PairEvent {
    /// No gate of the policy objects to the pair.
    Admitted,
    /// At least one does, or it was never admitted. Every reason that the server gave; none when
    /// what it said of the pair is malformed, or when it gave none.
    Revoked(Vec<Reason>),
    /// The contact was lost or is there again.
    Contact(Contact),
}

/// The contact with the servers.
#[derive(Debug)]
pub enum Contact {
    /// The state of the pair is not known any more; that it was admitted proves nothing now. Told
    /// once for each loss, however many attempts to restore it fail.
    Lost {
        /// When it was noticed. A connection that died silently is noticed within 15 s; a server
        /// that is not there from the start, once the client's deadline is over.
        since: std::time::Instant,
        /// Why.
        error: AskError,
    },
    /// A server tells of the pair again; what it tells is the next event.
    Restored,
}

/// A pair that is followed. Dropping it ends that.
///
/// ```no_run
/// # use admit_client::{Client, Contact, Endpoints, PairEvent};
/// # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoints: Endpoints = "https://admit-1.lan:7117,https://admit-2.lan:7117".parse()?;
/// let client = Client::new(endpoints, std::time::Duration::from_secs(5));
/// let mut pair = client.follow("qwen-local", "qwen3.6-35b-a3b");
/// loop {
///     match pair.next().await {
///         PairEvent::Admitted => {}
///         PairEvent::Revoked(reasons) => break, // stop the run
///         PairEvent::Contact(Contact::Lost { since, error }) => {} // start a clock
///         PairEvent::Contact(Contact::Restored) => {} // stop it; the state follows
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Following {
    heard: mpsc::Receiver<PairEvent>,
    task: JoinHandle<()>,
    is_over: bool,
}

impl Client {
    /// Follows a pair in the real lane from server to server, for as long as there is interest. Has
    /// to be called within a runtime.
    pub fn follow(self, provider: &str, model: &str) -> Following {
        Following::start(self, provider, model)
    }
}

impl Following {
    fn start(client: Client, provider: &str, model: &str) -> Self {
        let request = WatchPolicyRequest {
            provider: provider.to_owned(),
            model: model.to_owned(),
            lane: Lane::Real.into(),
        };
        let (told, heard) = mpsc::channel(WAITING_MAX);
        let follower = Follower {
            client,
            request,
            told,
            is_lost: false,
        };
        Self {
            heard,
            task: tokio::spawn(follower.follow()),
            is_over: false,
        }
    }

    /// The next event. The first is the state of the pair, or [`Contact::Lost`] when no server can
    /// tell it. Nothing is lost when the future is dropped before it is done.
    ///
    /// A state that is not known is [`PairEvent::Revoked`].
    pub async fn next(&mut self) -> PairEvent {
        match self.heard.recv().await {
            Some(event) => event,
            // The task ends only with its runtime.
            None if self.is_over => pending().await,
            None => {
                self.is_over = true;
                PairEvent::Contact(Contact::Lost {
                    since: std::time::Instant::now(),
                    error: AskError::Unreachable("nobody follows the pair any more".to_owned()),
                })
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that opens the streams.
struct Follower {
    client: Client,
    request: WatchPolicyRequest,
    told: mpsc::Sender<PairEvent>,
    is_lost: bool,
}

/// Why a stream is not followed any further.
enum End {
    /// It is lost.
    Lost(AskError),
    /// Nobody listens any more.
    Unheard,
}

impl Follower {
    async fn follow(mut self) {
        let mut delay = DELAY_MIN;
        loop {
            let start = Instant::now();
            let error = match self.hold().await {
                End::Lost(error) => error,
                End::Unheard => return,
            };
            let lost = Contact::Lost {
                since: std::time::Instant::now(),
                error,
            };
            let is_news = !std::mem::replace(&mut self.is_lost, true);
            if is_news {
                if start.elapsed() >= DELAY_MAX {
                    delay = DELAY_MIN;
                }
                if self.tell(PairEvent::Contact(lost)).await.is_err() {
                    return;
                }
            }
            sleep(delay).await;
            delay = delay.saturating_mul(2).min(DELAY_MAX);
        }
    }

    /// Opens a stream and tells what it says, until it is lost.
    async fn hold(&mut self) -> End {
        let mut watch = match self.client.watch(self.request.clone()).await {
            Ok(watch) => watch,
            Err(error) => return End::Lost(error),
        };
        let end = self.listen(&mut watch).await;
        // The server that just failed may open a stream again and say nothing.
        self.client.turn_away();
        end
    }

    /// Tells what `watch` says, until it is lost.
    async fn listen(&mut self, watch: &mut Watch) -> End {
        // A server tells the state at once; one that does not is as good as gone.
        let first = timeout(self.client.deadline(), state(watch)).await;
        let mut state_now = first.unwrap_or(Err(AskError::TimedOut));
        loop {
            let (event, error) = match state_now {
                Ok(event) => (event, None),
                // Whoever cannot say whether the pair is admitted has not said that it is.
                Err(error @ AskError::Malformed(_)) => {
                    (PairEvent::Revoked(Vec::new()), Some(error))
                }
                Err(error) => return End::Lost(error),
            };
            if std::mem::take(&mut self.is_lost)
                && self
                    .tell(PairEvent::Contact(Contact::Restored))
                    .await
                    .is_err()
            {
                return End::Unheard;
            }
            if self.tell(event).await.is_err() {
                return End::Unheard;
            }
            if let Some(error) = error {
                return End::Lost(error);
            }
            state_now = state(watch).await;
        }
    }

    async fn tell(&self, event: PairEvent) -> Result<(), ()> {
        self.told.send(event).await.map_err(|_| ())
    }
}

/// The next state of the pair that `watch` tells.
async fn state(watch: &mut Watch) -> Result<PairEvent, AskError> {
    loop {
        match watch.next().await? {
            Some(watch_policy_response::Event::PairChanged(change)) => {
                return Ok(match change.state() {
                    PairState::Admitted => PairEvent::Admitted,
                    PairState::Unspecified | PairState::Revoked => {
                        PairEvent::Revoked(change.reasons)
                    }
                });
            }
            Some(watch_policy_response::Event::PolicyChanged(_)) => {}
            None => {
                return Err(AskError::Unreachable(
                    "the server ended the stream".to_owned(),
                ));
            }
        }
    }
}
