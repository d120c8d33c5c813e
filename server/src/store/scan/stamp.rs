//! The stamp of a file: what the kernel changes with every change of it, and where that holds.
//!
//! Deliberately absent: what is concluded from it; see [`super::memory`] and [`super::quiet`].

use std::{
    fs::Metadata,
    os::{fd::AsFd, unix::fs::MetadataExt as _},
    time::Duration,
};

use rustix::fs::fstatfs;

/// How long after a stamp was first seen a file has to be read for its content to be remembered: more than the
/// coarsest step of the times of any file system in `STAMPING`.
pub const STAMP_STEP_MAX: Duration = Duration::from_secs(2);
/// What `statfs` calls the file systems whose stamps hold: ext2 to ext4, XFS, Btrfs, F2FS, ZFS, bcachefs, tmpfs
/// and ramfs. Not overlays: what is below one may be an image whose stamps were made up.
const STAMPING: [i64; 8] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
    0x0102_1994,
    0x8584_58f6,
];

/// A file or folder on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Identity {
    /// That of what is at hand.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// What changes with a file: its size, and the times of its last change and of its content's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) identity: Identity,
    size: u64,
    pub(super) times: Times,
}

impl Stamp {
    /// The stamp of a regular file.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| Self {
            identity: Identity::of(metadata),
            size: metadata.size(),
            times: times(metadata),
        })
    }
}

/// The times of the last change and of the last change of content, in seconds and nanoseconds.
pub(super) type Times = [(i64, i64); 2];

/// The times of what is at hand.
pub(super) fn times(metadata: &Metadata) -> Times {
    [
        (metadata.ctime(), metadata.ctime_nsec()),
        (metadata.mtime(), metadata.mtime_nsec()),
    ]
}

/// Whether the time of the last change has parts of a second: none does that a program made up for an image
/// of a file system, or that comes from one that keeps whole seconds.
pub(super) fn is_fine([(_, nanoseconds), _]: Times) -> bool {
    nanoseconds != 0
}

/// Whether this is on a file system whose stamps hold.
pub(super) fn holds(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|found| STAMPING.contains(&found.f_type))
}
