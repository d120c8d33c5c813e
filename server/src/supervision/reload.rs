//! The request to read everything again.
//!
//! Whoever holds something that was read from a file takes [`Reload::subscribe`] and waits for
//! [`Reloads::requested`]; what that gives is held until the files are read, well or badly. Deliberately
//! absent: what came of it. Who reads says that in the log, and keeps or drops what it had by its own rule.

use std::convert::Infallible;

use tokio::sync::{broadcast, mpsc};

/// Asks for everything to be read again, and waits for the end of that.
#[derive(Clone, Debug)]
pub struct Reload(broadcast::Sender<Reloading>);

/// A request that is being followed. The request is done when every one of these is dropped.
#[derive(Clone, Debug)]
pub struct Reloading {
    _held: mpsc::Sender<Infallible>,
}

/// The requests, as one subscriber gets them.
#[derive(Debug)]
pub struct Reloads(broadcast::Receiver<Reloading>);

impl Default for Reload {
    fn default() -> Self {
        // One place: a request stands for those before it that were not followed yet.
        Self(broadcast::Sender::new(1))
    }
}

impl Reload {
    /// Follows the requests from now on.
    #[must_use]
    pub fn subscribe(&self) -> Reloads {
        Reloads(self.0.subscribe())
    }

    /// Asks every subscriber, and waits until each has followed or is gone. A reading may hang: bound the
    /// wait.
    pub async fn everywhere(&self) {
        let (held, mut all_dropped) = mpsc::channel(1);
        // An error means that there is no subscriber.
        let _ = self.0.send(Reloading { _held: held });
        let _ = all_dropped.recv().await;
    }
}

impl Reloads {
    /// The next request; `None` when there will be no more. Hold what it gives until the files are read.
    pub async fn requested(&mut self) -> Option<Reloading> {
        loop {
            match self.0.recv().await {
                Ok(reloading) => return Some(reloading),
                // An older request was not followed; the newer one is next.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;

    /// Whether the future is done, looked at once.
    async fn is_done(future: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        std::future::poll_fn(|context| {
            Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
        })
        .await
    }

    #[tokio::test]
    async fn a_request_is_done_when_the_last_subscriber_is() {
        let reload = Reload::default();
        // Nobody has to follow.
        reload.everywhere().await;

        let (mut first, mut second) = (reload.subscribe(), reload.subscribe());
        let third = reload.subscribe();
        let mut asking = pin!(reload.everywhere());
        assert!(!is_done(&mut asking).await);
        drop(first.requested().await.unwrap());
        let held = second.requested().await.unwrap();
        assert!(!is_done(&mut asking).await);
        drop(held);
        // The third one has not followed yet, and never will.
        assert!(!is_done(&mut asking).await);
        drop(third);
        assert!(is_done(&mut asking).await);
    }

    #[tokio::test]
    async fn a_request_that_was_given_up_does_not_hide_the_next() {
        let reload = Reload::default();
        let mut reloads = reload.subscribe();
        for _ in 0..3 {
            let mut given_up = Box::pin(reload.everywhere());
            assert!(!is_done(&mut given_up).await);
        }
        assert!(reloads.requested().await.is_some());
        drop(reload);
        assert!(reloads.requested().await.is_none());
    }
}
