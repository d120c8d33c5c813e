//! Change notification for the policy directory.
//!
//! It only ever wakes the writer up earlier: where it is not to be had, or misses something, the
//! rescan finds the change. The directory's parent is watched too, because a directory that is
//! replaced takes its own watch with it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::mpsc::SyncSender,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};

/// Which directory is being watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    real_path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(policy_dir: &Path) -> Option<Self> {
        let real_path = fs::canonicalize(policy_dir).ok()?;
        let metadata = fs::metadata(&real_path).ok()?;
        Some(Self {
            real_path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// The watches on the policy directory and on what it hangs on.
#[derive(Debug)]
pub(super) struct Watches {
    policy_dir: PathBuf,
    wake: SyncSender<()>,
    watched: Option<(Option<Identity>, RecommendedWatcher)>,
    /// The failure that was last told of, so that it is told once.
    told: Option<String>,
}

impl Watches {
    pub(super) fn new(policy_dir: &Path, wake: SyncSender<()>) -> Self {
        Self {
            policy_dir: absolute(policy_dir),
            wake,
            watched: None,
            told: None,
        }
    }

    /// Watches anew when the directory is another one than before.
    pub(super) fn renew(&mut self) {
        let identity = Identity::of(&self.policy_dir);
        if self
            .watched
            .as_ref()
            .is_some_and(|(watched, _)| *watched == identity)
        {
            return;
        }
        self.watched = None;
        match self.watch(identity.as_ref()) {
            Ok(watcher) => {
                self.told = None;
                self.watched = Some((identity, watcher));
            }
            Err(error) => {
                let error = error.to_string();
                if self.told.as_ref() != Some(&error) {
                    tracing::warn!(%error, "no change notification; only the rescan finds changes");
                    self.told = Some(error);
                }
            }
        }
    }

    fn watch(&self, identity: Option<&Identity>) -> notify::Result<RecommendedWatcher> {
        let roots: Vec<PathBuf> = [
            Some(&self.policy_dir),
            identity.map(|found| &found.real_path),
        ]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
        let wake = self.wake.clone();
        let within = roots.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event
                .as_ref()
                .map_or(true, |event| is_relevant(event, &within))
            {
                // Full means that the writer is about to read anyway.
                let _ = wake.try_send(());
            }
        })?;
        for root in &roots {
            if let Some(parent) = root.parent().filter(|parent| parent.is_dir()) {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
        }
        if let Some(identity) = identity {
            watcher.watch(&identity.real_path, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    }
}

/// The path as the operator wrote it, made absolute, so that a change of the working directory does
/// not lead elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Whether something may have changed at or below one of `roots`. Mere reading changes nothing, the
/// writer's own least of all.
fn is_relevant(event: &Event, roots: &[PathBuf]) -> bool {
    let is_reading = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    };
    let is_within = event.paths.is_empty()
        || event
            .paths
            .iter()
            .any(|path| roots.iter().any(|root| path.starts_with(root)));
    !is_reading && is_within
}
