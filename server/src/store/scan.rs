//! One reading of the policy directory.
//!
//! The directory is searched recursively, hidden folders included. Real files and folders come
//! first; links are followed afterwards and only inside the directory, and a file that is reached
//! twice counts once, under its real path if it has one. Few names are passed over: `.git`, which is
//! git's database and no document, and `..data` and `..` with a digit, which is how Kubernetes names
//! what stands behind the links of a ConfigMap.
//!
//! What makes the search incomplete (a folder that cannot be listed, an entry that cannot be looked up,
//! a limit that is reached) fails the whole reading: a second decision record could stand there. What
//! is wrong with one file is part of the reading.

mod content;
mod failure;
mod link;
pub mod memory;
pub mod quiet;
mod shown;
pub mod stamp;

use std::{
    collections::{HashSet, VecDeque},
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    path::{self, Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use admit_policy::{Finding, FindingCode, SourceFile, document::Kind, source_file::ContentFault};

pub use self::failure::ScanError;
use self::{
    content::ReadFault,
    link::Target,
    memory::{Memory, Trust},
    shown::Shown,
    stamp::{Identity, Stamp},
};
use crate::pause::Pause;

/// Limits of one reading.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deepest folder below the policy directory.
    pub depth_max: usize,
    /// Most entries of all folders together.
    pub entries_max: usize,
    /// Most files that are policy.
    pub files_max: usize,
    /// Most bytes of all files together.
    pub bytes_max: usize,
}

impl Limits {
    /// The limits of the daemon.
    pub const DEFAULT: Self = Self {
        depth_max: 32,
        entries_max: 1_000_000,
        files_max: 200_000,
        bytes_max: 512 * 1024 * 1024,
    };
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The files that are policy, ordered by path.
    pub files: Vec<SourceFile>,
    /// What is wrong with what is no file of the policy.
    pub strays: Vec<Finding>,
}

impl Reading {
    /// The files that decide launches.
    pub fn decisive(&self) -> impl Iterator<Item = &SourceFile> {
        self.files
            .iter()
            .filter(|file| file.kind != Kind::WorkItems)
    }
}

/// Reads the policy directory once, every file of it.
///
/// # Errors
///
/// When the search could not be completed.
pub fn scan(policy_dir: &Path, limits: &Limits) -> Result<Reading, ScanError> {
    scan_again(policy_dir, limits, &mut Memory::new(Trust::DEFAULT))
}

/// Reads the policy directory; of a file that certainly is as `memory` has it, not the content.
///
/// # Errors
///
/// When the search could not be completed.
pub fn scan_again(
    policy_dir: &Path,
    limits: &Limits,
    memory: &mut Memory,
) -> Result<Reading, ScanError> {
    Ok(Search::whole(policy_dir, limits, memory)?.reading)
}

/// The same, and whether all that was read had certainly been as it is for [`quiet::QUIET_MIN`] at `now`, the
/// moment before the reading: then it is not in the middle of a change.
///
/// # Errors
///
/// When the search could not be completed.
pub fn scan_still(
    policy_dir: &Path,
    limits: &Limits,
    memory: &mut Memory,
    now: SystemTime,
) -> Result<(Reading, bool), ScanError> {
    let search = Search::whole(policy_dir, limits, memory)?;
    let is_still = search.is_still(policy_dir, now);
    Ok((search.reading, is_still))
}

/// An entry that has been found.
struct Found {
    real: PathBuf,
    shown: Shown,
    depth: usize,
}

impl Found {
    fn not_looked_up(self, error: io::Error) -> ScanError {
        let entry = format!("`{}`", self.shown.path);
        ScanError::Entry { entry, error }
    }
}

struct Search<'a> {
    root: PathBuf,
    root_identity: Identity,
    limits: &'a Limits,
    memory: &'a mut Memory,
    reading: Reading,
    folders: VecDeque<Found>,
    links: VecDeque<Found>,
    folders_seen: HashSet<PathBuf>,
    files_seen: HashSet<PathBuf>,
    has_links: bool,
    entries: usize,
    bytes: usize,
    pause: Pause,
}

impl<'a> Search<'a> {
    /// The search when it has come to its end.
    fn whole(
        policy_dir: &Path,
        limits: &'a Limits,
        memory: &'a mut Memory,
    ) -> Result<Self, ScanError> {
        memory.begin();
        let root = fs::canonicalize(policy_dir).map_err(ScanError::Root)?;
        let metadata = fs::metadata(&root).map_err(ScanError::Root)?;
        if !metadata.is_dir() {
            return Err(ScanError::Root(io::ErrorKind::NotADirectory.into()));
        }
        let mut search = Self {
            root: root.clone(),
            root_identity: Identity::of(&metadata),
            limits,
            memory,
            reading: Reading::default(),
            folders: VecDeque::from([Found {
                real: root,
                shown: Shown::default(),
                depth: 0,
            }]),
            links: VecDeque::new(),
            folders_seen: HashSet::new(),
            files_seen: HashSet::new(),
            has_links: false,
            entries: 0,
            bytes: 0,
            pause: Pause::new(),
        };
        search.run()?;
        search.memory.end();
        let Reading { files, strays } = &mut search.reading;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        strays.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(search)
    }

    /// Whether all that was read had certainly been as it is for long at `now`. The folders are looked up now,
    /// so that what came or went since each was listed counts as well.
    fn is_still(&self, policy_dir: &Path, now: SystemTime) -> bool {
        // Where a link leads may change with a folder that was not listed.
        let is_without_links =
            !self.has_links && path::absolute(policy_dir).is_ok_and(|path| path == self.root);
        is_without_links
            && self.memory.is_still(self.reading.files.len(), now)
            && self
                .folders_seen
                .iter()
                .all(|folder| quiet::is_still(folder, now))
            && quiet::is_there(&self.root, self.root_identity)
    }

    fn run(&mut self) -> Result<(), ScanError> {
        loop {
            if let Some(folder) = self.folders.pop_front() {
                self.folder(&folder)?;
            } else if let Some(link) = self.links.pop_front() {
                self.link(link)?;
            } else {
                return Ok(());
            }
        }
    }

    fn folder(&mut self, folder: &Found) -> Result<(), ScanError> {
        if !self.folders_seen.insert(folder.real.clone()) {
            return Ok(());
        }
        let mut entries = match self.list(&folder.real) {
            Ok(entries) => entries,
            // It vanished between being seen and being read; the next reading will differ.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder.depth > 0 => {
                return Ok(());
            }
            Err(error) if folder.depth == 0 => return Err(ScanError::Root(error)),
            Err(error) => {
                let folder = format!("`{}`", folder.shown.path);
                return Err(ScanError::Folder { folder, error });
            }
        };
        if self.entries > self.limits.entries_max {
            let max = self.limits.entries_max;
            return Err(ScanError::TooManyEntries { max });
        }
        // Each name is a copy.
        entries.sort_by_cached_key(fs::DirEntry::file_name);
        for entry in entries {
            self.pause.step();
            self.entry(folder, &entry)?;
        }
        Ok(())
    }

    /// The entries of a folder; no more of them than the limit and one.
    fn list(&mut self, folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
        let left = self
            .limits
            .entries_max
            .saturating_add(1)
            .saturating_sub(self.entries);
        let entries: Vec<_> = fs::read_dir(folder)?
            .take(left)
            .collect::<io::Result<_>>()?;
        self.entries = self.entries.saturating_add(entries.len());
        Ok(entries)
    }

    fn entry(&mut self, folder: &Found, entry: &fs::DirEntry) -> Result<(), ScanError> {
        let name = entry.file_name();
        if is_passed_over(&name) {
            return Ok(());
        }
        let found = Found {
            real: entry.path(),
            shown: folder.shown.join(&name),
            depth: folder.depth.saturating_add(1),
        };
        let file_type = match entry.file_type() {
            Ok(file_type) => file_type,
            // It vanished; the next reading will differ.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(found.not_looked_up(error)),
        };
        if file_type.is_dir() {
            self.found_folder(found)
        } else if file_type.is_symlink() {
            self.has_links = true;
            self.links.push_back(found);
            Ok(())
        } else {
            match kind_of(&name) {
                Some(kind) => self.file(found, kind, entry.metadata().ok().as_ref()),
                None => Ok(()),
            }
        }
    }

    fn found_folder(&mut self, found: Found) -> Result<(), ScanError> {
        let max = self.limits.depth_max;
        if found.depth > max {
            let folder = format!("`{}`", found.shown.path);
            return Err(ScanError::TooDeep { folder, max });
        }
        self.folders.push_back(found);
        Ok(())
    }

    /// Follows a link, when it stays inside the policy directory.
    fn link(&mut self, link: Found) -> Result<(), ScanError> {
        let kind = link.real.file_name().and_then(kind_of);
        match Target::of(&link.real, &self.root) {
            Target::Inside { real, .. } if self.folders_seen.contains(&real) => Ok(()),
            Target::Inside { real, metadata } if metadata.is_dir() => {
                self.found_folder(Found { real, ..link })
            }
            Target::Inside { real, metadata } => match kind {
                Some(kind) => self.file(Found { real, ..link }, kind, Some(&metadata)),
                None => Ok(()),
            },
            Target::Outside { may_be_folder } => self.link_not_followed(link, kind, may_be_folder),
            Target::Nowhere => self.link_not_followed(link, kind, false),
            Target::Unknown(error) => Err(link.not_looked_up(error)),
        }
    }

    fn link_not_followed(
        &mut self,
        link: Found,
        kind: Option<Kind>,
        may_be_folder: bool,
    ) -> Result<(), ScanError> {
        if let Some(kind) = kind {
            return self.push(link.shown, kind, Err(ContentFault::LinkNotFollowed));
        }
        // A folder outside may hold what its author takes for policy.
        if may_be_folder {
            let path: Arc<str> = link.shown.path.into();
            let message = "the link leads out of the policy directory".to_owned();
            let finding = Finding::whole(FindingCode::LinkNotFollowed, &path, message);
            self.reading.strays.push(finding);
        }
        Ok(())
    }

    fn file(
        &mut self,
        found: Found,
        kind: Kind,
        metadata: Option<&Metadata>,
    ) -> Result<(), ScanError> {
        if !self.files_seen.insert(found.real.clone()) {
            return Ok(());
        }
        // The record decides every launch, and is one file: it is read each time.
        let recalled = metadata
            .filter(|_| kind != Kind::DecisionRecord)
            .and_then(Stamp::of)
            .and_then(|stamp| self.memory.recall(&stamp, kind.bytes_max()));
        let content = match recalled.map_or_else(|| self.read(&found.real, kind), Ok) {
            // It vanished; the next reading will differ.
            Err(ReadFault::Vanished) => return Ok(()),
            Err(ReadFault::Content(fault)) => Err(fault),
            Ok(_) if found.shown.altered => Err(ContentFault::NameInvalid),
            Ok(bytes) => Ok(bytes),
        };
        self.push(found.shown, kind, content)
    }

    fn read(&mut self, path: &Path, kind: Kind) -> Result<Arc<[u8]>, ReadFault> {
        content::read(path, kind.bytes_max(), self.memory)
    }

    fn push(
        &mut self,
        shown: Shown,
        kind: Kind,
        content: Result<Arc<[u8]>, ContentFault>,
    ) -> Result<(), ScanError> {
        let length = content.as_ref().map_or(0, |bytes| bytes.len());
        self.bytes = self.bytes.saturating_add(length);
        self.reading.files.push(SourceFile {
            path: shown.path.into(),
            kind,
            content,
        });
        if self.reading.files.len() > self.limits.files_max {
            let max = self.limits.files_max;
            return Err(ScanError::TooManyFiles { max });
        }
        if self.bytes > self.limits.bytes_max {
            let max = self.limits.bytes_max;
            return Err(ScanError::TooManyBytes { max });
        }
        Ok(())
    }
}

/// Whether the entry is no part of the policy, whatever it is: git's database, and what Kubernetes puts
/// behind the links of a ConfigMap (`..data`, `..data_tmp`, `..2026_06_01…`).
fn is_passed_over(name: &OsStr) -> bool {
    let behind_links = name.as_encoded_bytes().strip_prefix(b"..");
    name == ".git"
        || behind_links.is_some_and(|rest| {
            rest.starts_with(b"data") || rest.first().is_some_and(u8::is_ascii_digit)
        })
}

fn kind_of(name: &OsStr) -> Option<Kind> {
    Kind::of(&name.to_string_lossy())
}
