//! The way to a file: every folder and link that leads to it, and what would tell that one was exchanged.
//!
//! A file may be exchanged without being touched: a folder above it is renamed and another put in its
//! place, or a link is led elsewhere, and everything is put back. The inode of a link or folder that was
//! renamed keeps the time of it (its ctime), which nobody can set.
//!
//! Deliberately absent: what the file holds.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf, absolute},
};

/// Most links on one way; Linux follows no more.
const LINKS_MAX: usize = 40;
/// Most names on one way, those in the targets of links included.
const NAMES_MAX: usize = 4096;

/// How much of the folders on the way is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folders {
    /// Nothing but the run's own reading goes on in the folder that has the file: not even an entry of
    /// it may come or go, and no folder above may be renamed.
    Still,
    /// Others make files beside it: the folder may not be renamed, as far as can be told, and every
    /// one above has to be the same one.
    Busy,
}

/// What a way consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The file itself, a link on the way to it, or the folder of a still way.
    Untouched,
    /// A folder in which entries come and go.
    NotRenamed,
    /// A folder that only has to be the same one.
    Same,
}

/// A file, link or folder on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    role: Role,
    device: u64,
    inode: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Step {
    fn new(role: Role, metadata: &Metadata) -> Self {
        Self {
            role,
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn is_still(&self, now: &Self) -> bool {
        let is_same = (self.role, self.device, self.inode) == (now.role, now.device, now.inode);
        let has_no_change = self.changed == now.changed;
        is_same
            && match self.role {
                Role::Untouched => has_no_change,
                // An entry that comes or goes sets both times; a renaming of the folder only one.
                Role::NotRenamed => has_no_change || self.modified != now.modified,
                Role::Same => true,
            }
    }
}

/// The way to a file, as it was once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trail {
    /// In the order in which the system takes them; of an absent file those that are there.
    steps: Vec<Step>,
    /// Whether something stands at its end.
    is_whole: bool,
}

impl Trail {
    /// The way to `path` as it is now; `None` if it cannot be looked at.
    pub(super) fn of(path: &Path, folders: Folders) -> Option<Self> {
        Walk::new(&absolute(path).ok()?, folders).finish()
    }

    /// Whether `now`, the way to the same path, is certainly this one still. What was missing at its
    /// end may be there now: that the file is absent still is another question.
    pub(super) fn is_still(&self, now: &Self) -> bool {
        let is_as_long = if self.is_whole {
            now.is_whole && self.steps.len() == now.steps.len()
        } else {
            self.steps.len() <= now.steps.len()
        };
        is_as_long
            && self
                .steps
                .iter()
                .zip(&now.steps)
                .all(|(before, now)| before.is_still(now))
    }
}

/// A walk along a path, name by name, as the system takes it.
struct Walk {
    folders: Folders,
    /// Where it has come to; no part of it is a link.
    at: PathBuf,
    /// The names ahead, the next one last.
    ahead: Vec<OsString>,
    /// Whether the folder that has the file, by its path, has been seen.
    has_left_folder: bool,
    steps: Vec<Step>,
}

impl Walk {
    fn new(path: &Path, folders: Folders) -> Self {
        let mut walk = Self {
            folders,
            at: PathBuf::from("/"),
            ahead: Vec::new(),
            has_left_folder: false,
            steps: Vec::new(),
        };
        walk.lies_ahead(path);
        walk
    }

    fn lies_ahead(&mut self, path: &Path) {
        let names = path.components().rev().map(|part| part.as_os_str().into());
        self.ahead.extend(names);
    }

    fn finish(mut self) -> Option<Trail> {
        let mut links = 0_usize;
        for _ in 0..NAMES_MAX {
            let Some(name) = self.ahead.pop() else {
                return Some(self.trail(true));
            };
            if name == OsStr::new("/") {
                self.at = name.into();
                self.pass_folder(&fs::symlink_metadata(&self.at).ok()?);
                continue;
            }
            if name == OsStr::new("..") {
                self.at.pop();
                continue;
            }
            self.leave_folder()?;
            let next = self.at.join(name);
            let Ok(metadata) = fs::symlink_metadata(&next) else {
                return Some(self.trail(false));
            };
            if metadata.is_symlink() {
                links = links.checked_add(1).filter(|links| *links <= LINKS_MAX)?;
                self.steps.push(Step::new(Role::Untouched, &metadata));
                self.lies_ahead(&fs::read_link(&next).ok()?);
            } else if metadata.is_dir() {
                self.at = next;
                self.pass_folder(&metadata);
            } else {
                self.at = next;
                self.steps.push(Step::new(Role::Untouched, &metadata));
            }
        }
        None
    }

    fn pass_folder(&mut self, metadata: &Metadata) {
        let role = match self.folders {
            Folders::Still => Role::NotRenamed,
            Folders::Busy => Role::Same,
        };
        self.steps.push(Step::new(role, metadata));
    }

    /// Looks closer at the folder in which the last name of the path itself stands.
    fn leave_folder(&mut self) -> Option<()> {
        if self.ahead.is_empty() && !self.has_left_folder {
            self.has_left_folder = true;
            let role = match self.folders {
                Folders::Still => Role::Untouched,
                Folders::Busy => Role::NotRenamed,
            };
            let metadata = fs::symlink_metadata(&self.at).ok()?;
            self.steps.push(Step::new(role, &metadata));
        }
        Some(())
    }

    fn trail(self, is_whole: bool) -> Trail {
        Trail {
            steps: self.steps,
            is_whole,
        }
    }
}
