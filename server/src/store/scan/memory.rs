//! What former readings found in the files, so that a file that has not changed is not read again.
//!
//! The kernel changes the stamp of a file (see [`super::stamp`]) with every change of its content, of its mode
//! and of its name, and nobody can set the time in it. But two changes within one step of the kernel's clock
//! leave one stamp. So the content of a file is taken from memory only if it was read, with just this stamp, a
//! while after the stamp was first seen: from then on, any change has a later one. Clocks that are set play no
//! part.
//!
//! In doubt the file is read: on every file system that is not known to keep stamps in this way, network file
//! systems above all; with a time in whole seconds, as a file system image has that was made by a program; and
//! now and then anyway, because what is written through a memory map may reach the stamp late. Deliberately
//! absent: folders and links, which each reading looks at anew.

use std::{
    collections::HashMap,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    quiet,
    stamp::{Identity, STAMP_STEP_MAX, Stamp, holds, is_fine},
};

/// From which age on the content is read again at the latest, whatever the stamp says.
pub const CONTENT_AGE_MAX: Duration = Duration::from_secs(60);
/// In how many steps the files get there between half of that age and the whole, so that they are not all due
/// at once.
const DUE_STEPS: u32 = 64;

/// From when on, and for how long, content is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Trust {
    /// How long after a stamp was first seen the content has to be read.
    pub stamp_step_max: Duration,
    /// From which age on the content is read again at the latest.
    pub content_age_max: Duration,
}

impl Trust {
    /// That of the daemon.
    pub const DEFAULT: Self = Self {
        stamp_step_max: STAMP_STEP_MAX,
        content_age_max: CONTENT_AGE_MAX,
    };
}

/// The content of a file as it was read last.
#[derive(Debug)]
struct Remembered {
    stamp: Stamp,
    /// When just this stamp had been seen for the first time.
    stamp_seen: Instant,
    /// When the content was about to be read.
    read: Instant,
    content: Arc<[u8]>,
    /// The latest reading of the directory that came across the file.
    reading: u64,
}

/// What former readings found.
#[derive(Debug)]
pub struct Memory {
    trust: Trust,
    files: HashMap<Identity, Remembered>,
    /// Whether the stamps of a device hold, as found out in this reading.
    devices: HashMap<u64, bool>,
    /// The number of this reading of the directory.
    reading: u64,
    contents_read: usize,
}

impl Memory {
    /// Nothing has been read.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            files: HashMap::new(),
            devices: HashMap::new(),
            reading: 0,
            contents_read: 0,
        }
    }

    /// How many files the latest reading had to open.
    #[must_use]
    pub fn contents_read(&self) -> usize {
        self.contents_read
    }

    /// A reading of the directory begins.
    pub(super) fn begin(&mut self) {
        self.reading = self.reading.saturating_add(1);
        self.contents_read = 0;
        self.devices.clear();
    }

    /// It has ended, and was whole: what it did not come across is gone.
    pub(super) fn end(&mut self) {
        let reading = self.reading;
        self.files.retain(|_, file| file.reading == reading);
    }

    /// Whether the latest reading, which has ended, came across just so many files, and each is certainly as it
    /// had been for long at `now`.
    pub(super) fn is_still(&self, files: usize, now: SystemTime) -> bool {
        self.files.len() == files
            && self
                .files
                .values()
                .all(|file| quiet::are_past(file.stamp.times, now))
    }

    /// The content of the file that has just been found to have this stamp, if it is certain and has at most
    /// `bytes_max` bytes: under another name, a file may be of another kind.
    pub(super) fn recall(&mut self, stamp: &Stamp, bytes_max: usize) -> Option<Arc<[u8]>> {
        let file = self.files.get_mut(&stamp.identity)?;
        let read_after = file.read.checked_duration_since(file.stamp_seen)?;
        let is_certain = file.stamp == *stamp
            && file.content.len() <= bytes_max
            && read_after >= self.trust.stamp_step_max
            && file.read.elapsed() < age_max(&self.trust, stamp.identity);
        is_certain.then(|| {
            file.reading = self.reading;
            Arc::clone(&file.content)
        })
    }

    /// A file is about to be opened.
    pub(super) fn count_read(&mut self) {
        self.contents_read = self.contents_read.saturating_add(1);
    }

    /// Keeps what was read from `file` from `read` on, with the same stamp before and afterwards. What is the
    /// same as before is the former copy.
    pub(super) fn keep(
        &mut self,
        file: impl AsFd,
        stamp: Stamp,
        read: Instant,
        content: Arc<[u8]>,
    ) -> Arc<[u8]> {
        let holds = *self
            .devices
            .entry(stamp.identity.device)
            .or_insert_with(|| holds(file));
        let former = self.files.remove(&stamp.identity);
        let former = former.filter(|former| former.content == content);
        let stamp_seen = former.as_ref().filter(|former| former.stamp == stamp);
        let stamp_seen = stamp_seen.map_or_else(Instant::now, |former| former.stamp_seen);
        let content = former.map_or(content, |former| former.content);
        if holds && is_fine(stamp.times) {
            let remembered = Remembered {
                stamp,
                stamp_seen,
                read,
                content: Arc::clone(&content),
                reading: self.reading,
            };
            self.files.insert(stamp.identity, remembered);
        }
        content
    }
}

/// From which age on the content of this file is read again.
fn age_max(trust: &Trust, identity: Identity) -> Duration {
    let half = trust.content_age_max / 2;
    let step = u32::try_from(identity.inode % u64::from(DUE_STEPS)).unwrap_or(0);
    half.saturating_add(half.saturating_mul(step) / DUE_STEPS)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, path::Path};

    use super::*;

    /// Whether what was read of the file at `path` is remembered.
    fn is_remembered(path: &Path) -> bool {
        let mut memory = Memory::new(Trust {
            stamp_step_max: Duration::ZERO,
            ..Trust::DEFAULT
        });
        let file = File::open(path).unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap()).unwrap();
        for _ in 0..2 {
            memory.begin();
            let content: Arc<[u8]> = Arc::from(&b"content"[..]);
            let kept = memory.keep(&file, stamp, Instant::now(), Arc::clone(&content));
            assert_eq!(kept, content);
        }
        memory.recall(&stamp, usize::MAX).is_some()
    }

    #[test]
    fn no_stamp_counts_whose_time_of_change_has_whole_seconds() {
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        let fine = Stamp::of(&on_disk.as_file().metadata().unwrap()).unwrap();
        for (nanoseconds, is_recalled) in [(1, true), (0, false)] {
            let mut stamp = fine;
            stamp.times = [(7, nanoseconds), (7, 0)];
            let mut memory = Memory::new(Trust {
                stamp_step_max: Duration::ZERO,
                ..Trust::DEFAULT
            });
            memory.begin();
            memory.keep(&on_disk, stamp, Instant::now(), Arc::from(&b"one"[..]));
            memory.keep(&on_disk, stamp, Instant::now(), Arc::from(&b"one"[..]));
            assert_eq!(memory.recall(&stamp, usize::MAX).is_some(), is_recalled);
        }
    }

    #[test]
    fn no_stamp_counts_on_an_unknown_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let on_disk = folder.path().join("file");
        File::create(&on_disk).unwrap();
        assert!(is_remembered(&on_disk));
        assert!(!is_remembered(Path::new("/proc/self/status")));
    }
}
