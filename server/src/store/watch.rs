//! Change notification for one path: the policy directory, or a file of TLS.
//!
//! It only ever wakes its reader up earlier: where it is not to be had, or misses something, the
//! rescan finds the change. Every folder above the path is watched too, because a directory that is
//! replaced takes its own watch with it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
};

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};

/// Most links that are followed from the configured path; the kernel follows no more either.
const LINKS_MAX: usize = 40;

/// What is being watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    real_path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let real_path = fs::canonicalize(path).ok()?;
        let metadata = fs::metadata(&real_path).ok()?;
        Some(Self {
            real_path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// The watches on a path and on what it hangs on.
#[derive(Debug)]
pub(crate) struct Watches {
    path: PathBuf,
    wake: SyncSender<()>,
    watched: Option<(Option<Identity>, RecommendedWatcher)>,
    /// Something happened to the path itself or above it. The inode number alone would not
    /// tell: a new directory may get that of the old one.
    replaced: Arc<AtomicBool>,
    /// The failure that was last told of, so that it is told once.
    told: Option<String>,
}

impl Watches {
    pub(crate) fn new(path: &Path, wake: SyncSender<()>) -> Self {
        Self {
            path: absolute(path),
            wake,
            watched: None,
            replaced: Arc::new(AtomicBool::new(false)),
            told: None,
        }
    }

    /// Watches anew when something else is at the path than before.
    pub(crate) fn renew(&mut self) {
        let replaced = self.replaced.swap(false, Ordering::Relaxed);
        let identity = Identity::of(&self.path);
        let is_watched = self
            .watched
            .as_ref()
            .is_some_and(|(watched, _)| *watched == identity);
        if is_watched && !replaced {
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
        let mut roots = links(&self.path);
        roots.extend(identity.map(|found| found.real_path.clone()));
        let (wake, replaced) = (self.wake.clone(), Arc::clone(&self.replaced));
        let of_interest = roots.clone();
        let tell = move |event: notify::Result<Event>| {
            let relevance =
                event.map_or(Relevance::Within, |event| relevance(&event, &of_interest));
            match relevance {
                Relevance::None => return,
                Relevance::Within => {}
                Relevance::Above => replaced.store(true, Ordering::Relaxed),
            }
            // Full means that the writer is about to read anyway.
            let _ = wake.try_send(());
        };
        // A watch that was set through a link would go with the link.
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(tell, config)?;
        for above in roots.iter().flat_map(|root| root.ancestors().skip(1)) {
            // What cannot be watched there is left to the rescan.
            let _ = watcher.watch(above, RecursiveMode::NonRecursive);
        }
        if let Some(identity) = identity {
            watcher.watch(&identity.real_path, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    }
}

/// `path`, and what it leads to link by link.
fn links(path: &Path) -> Vec<PathBuf> {
    let follow = |path: &PathBuf| {
        let target = fs::read_link(path).ok()?;
        path.parent().map(|folder| folder.join(target))
    };
    std::iter::successors(Some(path.to_path_buf()), follow)
        .take(LINKS_MAX)
        .collect()
}

/// The path as the operator wrote it, made absolute, so that a change of the working directory does
/// not lead elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// What an event means for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relevance {
    /// Nothing.
    None,
    /// Something may have changed below it.
    Within,
    /// Something happened to it, or to a folder above it.
    Above,
}

/// What `event` means for the paths `roots`. Mere reading changes nothing, the reader's own
/// least of all.
fn relevance(event: &Event, roots: &[PathBuf]) -> Relevance {
    let is_reading = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    };
    let concerns = |wanted: fn(&Path, &Path) -> bool| {
        event
            .paths
            .iter()
            .any(|path| roots.iter().any(|root| wanted(path, root)))
    };
    if is_reading {
        Relevance::None
    } else if concerns(|path, root| root.starts_with(path)) {
        Relevance::Above
    } else if event.paths.is_empty() || concerns(|path, root| path.starts_with(root)) {
        Relevance::Within
    } else {
        Relevance::None
    }
}
