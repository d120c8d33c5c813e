//! The keys that are in force: one signs, and the set of all verifies.
//!
//! The directory is looked at again and again; what it says then is in force at once. A directory that
//! cannot be used any more takes no key away: a launch that is allowed must not fail because of a
//! file that is needed only at the next start. The log says it. A thread of its own looks, which is
//! there from the start: later the system may refuse one. Deliberately absent: any key that was never
//! on the disk.

use std::{
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use admit_permit::{Claims, KeyFault, KeySet, PermitError, SigningKey, key_set::KEYS_MAX};
use tokio::sync::watch as channel;

use super::{
    PermitConfig,
    directory::{self, DirectoryError, Entry},
};
use crate::{audit::private::make_folder, clock};

/// How often the directory is looked at again.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// The keys that are in force. Clones share them.
#[derive(Clone, Debug)]
pub struct Keyring {
    held: channel::Receiver<Arc<Held>>,
    lifetime: Duration,
}

#[derive(Debug)]
struct Held {
    signing: SigningKey,
    /// The public keys, the signing one first.
    set: KeySet,
}

/// Looks at the directory again and again, as long as it lives.
#[derive(Debug)]
pub struct KeyringFollower {
    /// Nothing is sent; the thread ends when this is gone. It may hang in the file system, and so is not
    /// waited for.
    _stop: mpsc::Sender<()>,
}

impl Keyring {
    /// Reads the keys, makes the first one if there is none, and follows the directory from then on.
    ///
    /// # Errors
    ///
    /// When the directory or a key in it cannot be used, or there is no thread to be had.
    pub fn open(
        config: &PermitConfig,
        audit_dir: &Path,
    ) -> Result<(Self, KeyringFollower), DirectoryError> {
        let dir = config.dir(audit_dir);
        if config.keys.is_none() {
            // Another directory has to be there: a path that is mistyped must not become keys that
            // nobody trusts.
            make_folder(&dir).map_err(|source| DirectoryError::Unusable {
                dir: dir.clone(),
                source,
            })?;
        }
        let place = Place {
            dir,
            rotate_after: config.rotate_after,
            verify_for: config.verify_for,
        };
        let held = Arc::new(place.look(true)?);
        tracing::info!(
            kid = held.signing.kid(),
            keys = held.set.keys().len(),
            "permits are signed"
        );
        let (sender, receiver) = channel::channel(held);
        let (stop, stopping) = mpsc::channel();
        thread::Builder::new()
            .name("permit-keys".into())
            .spawn(move || follow(|| place.look(false), &sender, &stopping, LOOK_INTERVAL))
            .map_err(DirectoryError::Thread)?;
        let keyring = Self {
            held: receiver,
            lifetime: config.lifetime,
        };
        Ok((keyring, KeyringFollower { _stop: stop }))
    }

    /// From the decision to the end of a permit.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The permit with these claims, by the key that signs now.
    ///
    /// # Errors
    ///
    /// When a claim is out of its bounds or the signature cannot be made.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyFault> {
        let held = Arc::clone(&self.held.borrow());
        held.signing.sign(claims)
    }

    /// What `permit` states, if a key that is in force signed it. Whether it has expired is not looked at.
    ///
    /// # Errors
    ///
    /// When it is no permit, or by no key that is in force.
    pub fn verify(&self, permit: &str) -> Result<Claims, PermitError> {
        let held = Arc::clone(&self.held.borrow());
        held.set.verify(permit)
    }

    /// The public keys as a JWK Set, the signing one first.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.held.borrow().set.to_json()
    }
}

/// The directory, and how long a key is good for what.
#[derive(Clone, Debug)]
struct Place {
    dir: PathBuf,
    rotate_after: Duration,
    verify_for: Duration,
}

impl Place {
    /// The keys that the directory has in force now. Where `may_begin`, and there is no private key,
    /// the first one is made.
    fn look(&self, may_begin: bool) -> Result<Held, DirectoryError> {
        let Self { dir, .. } = self;
        let mut entries = directory::read(dir)?;
        // Without a clock no key is too old.
        let now = clock::now().map(|now| now.unix().0);
        let is_due = match directory::signing(&entries).and_then(|at| entries.get(at)) {
            Some(signing) => now.is_some_and(|now| self.is_due(signing, now)),
            None if may_begin => true,
            None => return Err(DirectoryError::PrivateMissing { dir: dir.clone() }),
        };
        if is_due {
            let made = directory::make(dir, &entries, now.unwrap_or_default());
            match made {
                Ok(kid) => tracing::info!(kid, "a permit key was made"),
                Err(error) if directory::signing(&entries).is_some() => {
                    let error = anyhow::Error::from(error);
                    tracing::error!("no new permit key can be made: {error:#}");
                }
                Err(error) => return Err(error),
            }
            entries = directory::read(dir)?;
        }
        if let Some(now) = now {
            entries = directory::tidy(dir, entries, now, self.verify_for)?;
        }
        self.held(entries)
    }

    fn is_due(&self, signing: &Entry, now: i64) -> bool {
        let age = u64::try_from(now.saturating_sub(signing.created)).unwrap_or_default();
        Duration::from_secs(age) >= self.rotate_after
    }

    fn held(&self, entries: Vec<Entry>) -> Result<Held, DirectoryError> {
        let mut public = Vec::with_capacity(entries.len());
        let mut signing = None;
        for entry in entries {
            match entry.private {
                Some(key) if signing.is_none() => {
                    public.insert(0, entry.public);
                    signing = Some(key);
                }
                Some(_) | None => public.push(entry.public),
            }
        }
        if public.len() > KEYS_MAX {
            tracing::error!(
                keys = public.len(),
                "there are more permit keys than can be shown; permits by the oldest ones verify no more"
            );
            public.truncate(KEYS_MAX);
        }
        // A set with a signing key, without a repetition, and within its bound is a set.
        match (signing, KeySet::new(public)) {
            (Some(signing), Ok(set)) => Ok(Held { signing, set }),
            (None, _) | (_, Err(_)) => Err(DirectoryError::PrivateMissing {
                dir: self.dir.clone(),
            }),
        }
    }
}

/// Puts in force what `look` finds, each time that `interval` has passed, until the other end of
/// `stopping` is gone.
fn follow(
    mut look: impl FnMut() -> Result<Held, DirectoryError>,
    sender: &channel::Sender<Arc<Held>>,
    stopping: &mpsc::Receiver<()>,
    interval: Duration,
) {
    let mut told: Option<String> = None;
    while stopping.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        // Nothing is kept from one look to the next, so one that broke off spoils no other.
        let fault = match panic::catch_unwind(AssertUnwindSafe(&mut look)) {
            Ok(Ok(held)) => {
                if told.take().is_some() {
                    tracing::info!("the permit keys can be read again");
                }
                put_in_force(held, sender);
                continue;
            }
            Ok(Err(error)) => format!("{:#}", anyhow::Error::from(error)),
            Err(_) => "looking at them broke off, which is a fault of this program".to_owned(),
        };
        // Said once, not every ten seconds.
        if told.as_ref() != Some(&fault) {
            tracing::error!(
                "the permit keys cannot be read any more, and permits are signed with the key in memory; mend this before the next start: {fault}"
            );
            told = Some(fault);
        }
    }
}

fn put_in_force(held: Held, sender: &channel::Sender<Arc<Held>>) {
    let former = Arc::clone(&sender.borrow());
    if former.set != held.set {
        tracing::info!(
            kid = held.signing.kid(),
            keys = held.set.keys().len(),
            "permits are signed with other keys"
        );
        sender.send_replace(Arc::new(held));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn held() -> Held {
        let signing = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap();
        let set = KeySet::new(vec![signing.public().clone()]).unwrap();
        Held { signing, set }
    }

    /// Follows these looks, one after the other, and then ends. What is in force then, and the log.
    fn followed(looks: Vec<fn() -> Result<Held, DirectoryError>>) -> (Arc<Held>, String) {
        let (sender, receiver) = channel::channel(Arc::new(held()));
        let (stop, stopping) = mpsc::channel();
        let (mut stop, mut looks) = (Some(stop), looks.into_iter());
        let look = || {
            let look = looks.next().unwrap();
            if looks.len() == 0 {
                stop = None;
            }
            look()
        };
        let log = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Arc::new(log.reopen().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            follow(look, &sender, &stopping, Duration::from_millis(1));
        });
        let log = fs::read_to_string(log.path()).unwrap();
        (Arc::clone(&receiver.borrow()), log)
    }

    #[test]
    fn a_look_that_breaks_off_is_told_once_and_ends_nothing() {
        let missing = || {
            Err(DirectoryError::PrivateMissing {
                dir: "permit-keys".into(),
            })
        };
        let (_, log) = followed(vec![
            || panic!("the look broke off"),
            || panic!("the look broke off"),
            missing,
            missing,
        ]);
        assert_eq!(log.matches("looking at them broke off").count(), 1, "{log}");
        assert_eq!(log.matches("no private key any more").count(), 1, "{log}");

        let (_, log) = followed(vec![|| panic!("the look broke off"), || Ok(held())]);
        assert!(log.contains("can be read again"), "{log}");
        assert!(log.contains("signed with other keys"), "{log}");
    }

    // There is no runtime in this test: nothing of it is needed when a thread cannot be had later.
    #[test]
    fn the_keys_are_followed_without_a_runtime() {
        let dir = tempfile::tempdir().unwrap();
        let config = PermitConfig {
            keys: None,
            lifetime: Duration::from_secs(60),
            rotate_after: Duration::from_secs(3600),
            verify_for: Duration::from_secs(3600),
        };
        let (keyring, follower) = Keyring::open(&config, dir.path()).unwrap();
        let KeyringFollower { _stop: stop } = &follower;
        // The thread is there, and listens to its end.
        assert!(stop.send(()).is_ok());
        assert!(keyring.jwks().contains("kid"));
    }
}
