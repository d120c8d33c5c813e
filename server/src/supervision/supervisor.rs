//! The supervisor: tells the service manager how the daemon stands, and follows SIGHUP.
//!
//! Without a service manager (`NOTIFY_SOCKET`) nobody is told, and everything else is the same.
//! Deliberately absent: any influence on an answer.

use std::{future::Future, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::Signal,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Liveness, Reload};
use crate::readiness::Readiness;

/// Longest time that a reload takes; the service manager is then told that it is over, and what hangs goes
/// on by itself.
pub const RELOAD_MAX: Duration = Duration::from_secs(10);
/// How often the status is looked at without any change of the policy.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest interval of the watchdog that is kept up with.
const WATCHDOG_MIN: Duration = Duration::from_millis(100);

/// Keeps the service manager informed.
#[derive(Clone, Debug)]
pub struct Supervisor {
    readiness: Readiness,
    liveness: Liveness,
    reload: Reload,
}

impl Supervisor {
    /// Tells whether a real launch could be answered, of the policy and of progress, and has `reload`
    /// follow SIGHUP.
    #[must_use]
    pub fn new(readiness: Readiness, liveness: Liveness, reload: Reload) -> Self {
        Self {
            readiness,
            liveness,
            reload,
        }
    }

    /// Says that the daemon is ready once `ready` is over, and from then on how it stands; every `hangup`
    /// has everything read again. Does not end.
    pub async fn run(self, hangup: Signal, ready: impl Future<Output = ()>) {
        ready.await;
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
        tokio::join!(self.report(), self.keep_alive(), self.follow(hangup));
    }

    /// Says that the daemon stops.
    pub fn stopping() {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Says what the status is, whenever it is another one.
    async fn report(&self) {
        let mut store = self.readiness.store.clone();
        let mut said = String::new();
        loop {
            let status = self.status();
            if said != status {
                tell(&[NotifyState::Status(&status)]);
                said = status;
            }
            // The store ends with the daemon; until then the interval looks on.
            if let Ok(false) = timeout(STATUS_INTERVAL, store.changed()).await {
                tokio::time::sleep(STATUS_INTERVAL).await;
            }
        }
    }

    /// Beats the watchdog at half of its interval, while there is progress.
    async fn keep_alive(&self) {
        let Some(watchdog) = sd_notify::watchdog_enabled() else {
            return;
        };
        let mut beats = interval((watchdog / 2).max(WATCHDOG_MIN));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_alive = true;
        loop {
            beats.tick().await;
            let standstill = self.liveness.standstill();
            match standstill {
                None => tell(&[NotifyState::Watchdog]),
                Some(standstill) if was_alive => {
                    let reason = standstill.as_str();
                    tracing::error!(reason, "no progress; the watchdog is left to strike");
                }
                Some(_) => {}
            }
            was_alive = standstill.is_none();
        }
    }

    /// Has everything read again at every SIGHUP.
    async fn follow(&self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            tracing::info!("reading everything again");
            match NotifyState::monotonic_usec_now() {
                Ok(now) => tell(&[NotifyState::Reloading, now]),
                Err(_) => tell(&[NotifyState::Reloading]),
            }
            let all =
                async { tokio::join!(self.readiness.store.reread(), self.reload.everywhere()) };
            match timeout(RELOAD_MAX, all).await {
                Ok(_) => tracing::info!("everything was read again"),
                Err(_) => tracing::error!("not everything could be read again in time"),
            }
            tell(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
        }
    }

    /// One line on how the daemon stands, without any text of a document or a caller.
    fn status(&self) -> String {
        if let Some(standstill) = self.liveness.standstill() {
            return format!("no progress: {}", standstill.as_str());
        }
        if let Err(unready) = self.readiness.look() {
            return format!("not serving: {}", unready.describe());
        }
        let state = self.readiness.store.state();
        let Some(loaded) = &state.loaded else {
            return "serving".into();
        };
        let (digest, findings) = (loaded.snapshot.digest(), loaded.snapshot.findings().len());
        let unread = match state.failure {
            None => "",
            Some(_) => "; the policy directory cannot be read",
        };
        format!("serving policy {digest} with {findings} findings{unread}")
    }
}

/// Tells the service manager, if there is one.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{operations::stage, readiness::Unready};

    #[tokio::test]
    async fn the_status_says_why_nothing_is_served() {
        let (watched, kept) = stage::watched();
        let supervisor = Supervisor::new(watched.readiness, watched.liveness, Reload::default());
        let says = |unready: Unready| {
            let expected = format!("not serving: {}", unready.describe());
            assert_eq!(supervisor.status(), expected);
        };
        says(Unready::PolicyUnread);
        kept.stop.send_replace(true);
        says(Unready::Stopping);
    }
}
