//! The files, looked at again and again, and what they make put in force.
//!
//! A change is believed when two readings, [`SETTLE`] apart, are the same: so files that are written one
//! after the other, or piece by piece, are seen when they are whole. What is broken then is told and not
//! taken; what was in force stays so until it expires. Deliberately absent: any connection.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch as channel;
use tokio_rustls::rustls::time_provider::TimeProvider;

use super::{
    certificate::seconds,
    fault::TlsError,
    files::{Content, Files},
    left,
    material::Material,
};
use crate::{metrics::Metrics, store::watch::Watches};

/// How often the files are looked at again when nothing tells of a change.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How far apart two readings are that have to be the same before a change is believed.
const SETTLE: Duration = Duration::from_millis(500);
/// How often a fault is told again that does not end.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Looks at the files of TLS again and again, as long as it lives.
#[derive(Debug)]
pub struct TlsFollower {
    bell: Arc<Bell>,
}

impl Drop for TlsFollower {
    /// The thread may hang in the file system, and so is not waited for.
    fn drop(&mut self) {
        self.bell.has_ended.store(true, Ordering::Relaxed);
        self.bell.ring();
    }
}

/// What wakes the follower.
#[derive(Debug)]
pub(super) struct Bell {
    wake: SyncSender<()>,
    is_asked: AtomicBool,
    has_ended: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> (Arc<Self>, Receiver<()>) {
        let (wake, woken) = sync_channel(1);
        let bell = Self {
            wake,
            is_asked: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        };
        (Arc::new(bell), woken)
    }

    /// Somebody wants the files to be read now.
    pub(super) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
        self.ring();
    }

    fn ring(&self) {
        // Full means that it is about to look anyway.
        let _ = self.wake.try_send(());
    }
}

/// The follower's side.
pub(super) struct Follower {
    pub(super) files: Files,
    pub(super) clock: Arc<dyn TimeProvider>,
    pub(super) metrics: Metrics,
    pub(super) held: channel::Sender<Arc<Material>>,
    changed: Option<(Reading, Instant)>,
    trouble: Trouble,
}

/// What a reading is told from others by.
#[derive(PartialEq, Eq)]
enum Reading {
    Digest(Vec<u8>),
    Fault(String),
}

/// What a look found.
enum Look {
    /// What is in force.
    InForce,
    /// Something else, which may be in the middle of a change.
    Unsettled,
    Taken,
    Broken(String),
}

impl Follower {
    pub(super) fn new(
        files: Files,
        clock: Arc<dyn TimeProvider>,
        metrics: Metrics,
        held: channel::Sender<Arc<Material>>,
    ) -> Self {
        Self {
            files,
            clock,
            metrics,
            held,
            changed: None,
            trouble: Trouble::default(),
        }
    }

    /// Follows the files on a thread of its own, which is there from the start: later the system may
    /// refuse one.
    pub(super) fn start(
        self,
        bell: Arc<Bell>,
        woken: Receiver<()>,
    ) -> Result<TlsFollower, TlsError> {
        let follower = TlsFollower {
            bell: Arc::clone(&bell),
        };
        thread::Builder::new()
            .name("tls-files".into())
            .spawn(move || self.follow(&bell, &woken))
            .map_err(TlsError::Thread)?;
        Ok(follower)
    }

    fn follow(mut self, bell: &Bell, woken: &Receiver<()>) {
        let sources = self.files.sources();
        let mut watches = sources.map(|source| Watches::new(&source.path, bell.wake.clone()));
        while !bell.has_ended.load(Ordering::Relaxed) {
            // First the watches: what changes after the reading is then told of.
            for watch in &mut watches {
                watch.renew();
            }
            let is_asked = bell.is_asked.swap(false, Ordering::Relaxed);
            let wait = self.step(is_asked, Instant::now());
            // A ring, the end of the wait: each is a reason to look.
            let _ = woken.recv_timeout(wait);
        }
    }

    /// Looks once. How long to wait for the next look.
    fn step(&mut self, is_asked: bool, now: Instant) -> Duration {
        // A look that breaks off leaves nothing half done: the swap is its last step.
        let look = panic::catch_unwind(AssertUnwindSafe(|| self.look(is_asked, now)));
        let look = look.unwrap_or_else(|_| {
            Look::Broken("looking at them broke off, which is a fault of this program".into())
        });
        self.count_down();
        match look {
            Look::Unsettled => return SETTLE,
            Look::InForce | Look::Taken => {
                if self.trouble.end() {
                    tracing::info!("the files of TLS are good again");
                }
            }
            Look::Broken(fault) => {
                if self.trouble.is_to_tell(&fault, now, is_asked) {
                    let until = self.held.borrow().expiry.clone();
                    tracing::error!(
                        "the files of TLS cannot be used, and the former ones are in force until {until}; mend this before then and before the next start: {fault}"
                    );
                    self.metrics.reload_failures.inc();
                }
            }
        }
        LOOK_INTERVAL
    }

    fn look(&mut self, is_asked: bool, now: Instant) -> Look {
        let content = self.files.read();
        let reading = match &content {
            Ok(content) => Reading::Digest(content.digest()),
            Err(error) => Reading::Fault(error.to_string()),
        };
        let former = Arc::clone(&self.held.borrow());
        // What has expired is judged again, and so told of.
        let is_in_force = matches!(&reading, Reading::Digest(digest) if *digest == former.digest)
            && self.left() >= 0;
        if is_in_force {
            self.changed = None;
            return Look::InForce;
        }
        let since = match &self.changed {
            Some((seen, since)) if *seen == reading => *since,
            Some(_) | None => {
                self.changed = Some((reading, now));
                now
            }
        };
        if !is_asked && now.duration_since(since) < SETTLE {
            return Look::Unsettled;
        }
        match content.and_then(|content: Content| Material::new(&self.files, &content, &self.clock))
        {
            Ok(material) => {
                tracing::info!(
                    fingerprint = material.fingerprint,
                    expiry = material.expiry,
                    "other files of TLS are in force"
                );
                self.changed = None;
                self.held.send_replace(Arc::new(material));
                Look::Taken
            }
            Err(error) => Look::Broken(error.to_string()),
        }
    }

    /// From now to the end of what is in force, in seconds.
    fn left(&self) -> i64 {
        left(
            self.held.borrow().not_after,
            self.clock.current_time().and_then(seconds),
        )
    }

    fn count_down(&self) {
        super::show_left(&self.metrics, self.left());
    }
}

/// A fault that lasts, and when it was told of.
#[derive(Debug, Default)]
struct Trouble(Option<(String, Instant)>);

impl Trouble {
    /// Whether `fault` is news, or old enough to be told again.
    fn is_to_tell(&mut self, fault: &str, now: Instant, is_asked: bool) -> bool {
        let is_told = self
            .0
            .as_ref()
            .is_some_and(|(told, at)| told == fault && now.duration_since(*at) < REMINDER_INTERVAL);
        if is_told && !is_asked {
            return false;
        }
        self.0 = Some((fault.to_owned(), now));
        true
    }

    /// It is over. Whether there was any.
    fn end(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_and_again_after_an_hour() {
        let mut trouble = Trouble::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        for (fault, after, is_asked, expected) in [
            ("a", Duration::ZERO, false, true),
            ("a", second, false, false),
            ("b", second * 2, false, true),
            ("a", second * 3, false, true),
            ("a", second * 4, true, true),
            ("a", second * 3 + REMINDER_INTERVAL, false, false),
            ("a", second * 4 + REMINDER_INTERVAL, false, true),
        ] {
            let is_told = trouble.is_to_tell(fault, start + after, is_asked);
            assert_eq!(is_told, expected, "{fault} after {after:?}");
        }
        assert!(trouble.end());
        assert!(!trouble.end());
        assert!(trouble.is_to_tell("a", start, false));
    }
}
