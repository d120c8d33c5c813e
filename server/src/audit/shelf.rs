//! The shelf: bases are put on it before their policy is in force, so that no request waits until the disk
//! has taken a large one.
//!
//! It only ever runs ahead, and only while requests are recorded: a basis that nobody has used is followed by
//! none, so what nobody asks about does not fill the disk. Whoever records makes sure by itself that the basis
//! is there. Deliberately absent: entries of the log; see [`super::writer`].

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use super::{
    basis::Basis,
    private::{has_room, keeps_place},
};

/// How long a policy waits for its basis; a disk that is slow or hangs must not hold up a revocation,
/// which has to be in force within a second of the change.
pub const AHEAD_MAX: Duration = Duration::from_millis(150);

/// One basis on its way to the shelf; the sender is dropped when it is there, or cannot be.
type Job = (Arc<Basis>, SyncSender<()>);

/// The shelf, as the policy's writer has it.
#[derive(Debug)]
pub struct Shelf {
    jobs: SyncSender<Job>,
}

impl Shelf {
    /// The shelf in the audit directory `dir`, on whose file system `free_space_min` bytes stay free.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened or the thread cannot be started.
    pub fn open(dir: &Path, free_space_min: u64) -> io::Result<Self> {
        // No place: who finds the keeper busy does not wait for it.
        let (jobs, waiting) = sync_channel(0);
        let keeper = Keeper {
            dir: dir.to_owned(),
            own: File::open(dir)?,
            free_space_min,
        };
        thread::Builder::new()
            .name("basis-keeper".into())
            .spawn(move || keeper.run(&waiting))?;
        Ok(Self { jobs })
    }

    /// Puts `basis` on the shelf if the one before it was used. Returns once it is there, or cannot be, or
    /// after [`AHEAD_MAX`].
    pub fn keep_ahead(&self, basis: &Arc<Basis>, former: Option<&Basis>) {
        if !former.is_some_and(Basis::is_used) {
            return;
        }
        let (kept, end) = sync_channel(0);
        if self.jobs.try_send((Arc::clone(basis), kept)).is_ok() {
            // Nothing is ever sent: the end of the sender is the answer.
            let _ = end.recv_timeout(AHEAD_MAX);
        }
    }
}

struct Keeper {
    dir: PathBuf,
    /// The directory as it was at the start.
    own: File,
    free_space_min: u64,
}

impl Keeper {
    fn run(&self, waiting: &Receiver<Job>) {
        for (basis, _kept) in waiting {
            if let Err(error) = self.keep(&basis) {
                tracing::warn!(%error, "a basis cannot be kept ahead");
            }
        }
    }

    fn keep(&self, basis: &Basis) -> io::Result<()> {
        // Nothing is made in a directory that is not this log's, nor where the log itself would not write.
        keeps_place(&self.own, &self.dir)?;
        has_room(&self.own, basis.size(), self.free_space_min)?;
        basis.keep_unused(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use admit_policy::{Snapshot, Terms};

    use super::*;
    use crate::audit::{basis::BASES_FOLDER, keys::NamesKey, names::Names};

    /// A basis, another one for each age.
    fn basis(age_s: u64) -> Arc<Basis> {
        let terms = Terms {
            staleness_max: Duration::from_secs(age_s),
            network_classes: BTreeMap::new(),
        };
        let names = Names::of(None, NamesKey::new(b"a key"));
        Arc::new(Basis::of(&Snapshot::build(&[]), &terms, &names))
    }

    fn keeper(dir: &Path, free_space_min: u64) -> Keeper {
        Keeper {
            dir: dir.to_owned(),
            own: File::open(dir).unwrap(),
            free_space_min,
        }
    }

    #[test]
    fn a_basis_is_kept_ahead_once_the_one_before_was_used() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let shelf = Shelf::open(dir, 0).unwrap();
        let [first, second, third] = [1, 2, 3].map(basis);
        // The keeper may not be waiting yet; then nothing happens.
        let keep = |basis: &Arc<Basis>, former: Option<&Basis>, expected: bool| {
            loop {
                shelf.keep_ahead(basis, former);
                if basis.is_there(dir).unwrap() || !expected {
                    return basis.is_there(dir).unwrap();
                }
            }
        };
        assert!(!keep(&first, None, false));
        assert!(!keep(&second, Some(&first), false));
        first.keep(dir).unwrap();
        assert!(keep(&second, Some(&first), true));
        assert!(!keep(&third, Some(&second), false));
        // It is made again when it is gone: a record may be based on it.
        fs::remove_dir_all(dir.join(BASES_FOLDER)).unwrap();
        second.keep(dir).unwrap();
        assert!(second.is_there(dir).unwrap() && second.is_used());
    }

    #[test]
    fn nothing_is_made_in_another_directory_or_without_room() {
        let folder = tempfile::tempdir().unwrap();
        let [dir, aside] = ["audit", "aside"].map(|name| folder.path().join(name));
        fs::create_dir(&dir).unwrap();
        let basis = basis(1);
        let kind = |keeper: &Keeper| keeper.keep(&basis).map_err(|error| error.kind());
        let full = keeper(&dir, u64::MAX);
        assert_eq!(kind(&full), Err(io::ErrorKind::StorageFull));
        let own = keeper(&dir, 0);
        fs::rename(&dir, aside).unwrap();
        fs::create_dir(&dir).unwrap();
        assert_eq!(kind(&own), Err(io::ErrorKind::AlreadyExists));
        assert!(!dir.join(BASES_FOLDER).exists());
        assert_eq!(kind(&keeper(&dir, 0)), Ok(()));
        assert!(basis.is_there(&dir).unwrap());
    }
}
