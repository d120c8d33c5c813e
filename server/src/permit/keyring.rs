//! The keys that are in force: one signs, and the set of all verifies.
//!
//! The directory is looked at again and again; what it says then is in force at once. A directory that
//! cannot be used any more takes no key away: a launch that is allowed must not fail because of a
//! file that is needed only at the next start. The log says it. Deliberately absent: any key that was
//! never on the disk.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use admit_permit::{Claims, KeyFault, KeySet, PermitError, SigningKey, key_set::KEYS_MAX};
use tokio::{sync::watch as channel, task::JoinHandle};

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
    task: JoinHandle<()>,
}

impl Drop for KeyringFollower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keyring {
    /// Reads the keys, makes the first one if there is none, and follows the directory from then on.
    /// Needs a runtime.
    ///
    /// # Errors
    ///
    /// When the directory or a key in it cannot be used.
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
        let task = tokio::spawn(follow(place, sender));
        let keyring = Self {
            held: receiver,
            lifetime: config.lifetime,
        };
        Ok((keyring, KeyringFollower { task }))
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

/// Puts in force what the directory says, until nobody holds the keys any more.
async fn follow(place: Place, sender: channel::Sender<Arc<Held>>) {
    let mut told: Option<String> = None;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let looking = place.clone();
        let looked = tokio::task::spawn_blocking(move || looking.look(false)).await;
        match looked {
            Ok(Ok(held)) => {
                if told.take().is_some() {
                    tracing::info!("the permit keys can be read again");
                }
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
            Ok(Err(error)) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                // Said once, not every ten seconds.
                if told.as_ref() != Some(&error) {
                    tracing::error!(
                        "the permit keys cannot be read any more, and permits are signed with the key in memory; mend this before the next start: {error}"
                    );
                    told = Some(error);
                }
            }
            // The runtime is going down.
            Err(_) => return,
        }
    }
}
