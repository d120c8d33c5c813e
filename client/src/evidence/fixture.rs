//! The digest of a fixture folder, by which two copies of one fixture are known to be the same.
//!
//! It is the SHA-256 over one record for each file and each link, sorted by path: the digest of its
//! content, its kind, and its path from the fixture on. Left out, at the top of the folder only, are
//! `.case`, which Case itself writes, and `.git`, whose files hold times and paths of the one copy.
//! A link counts with the text of its target and is not followed. An empty folder does not count.
//!
//! Deliberately absent: modes, owners and times, which differ between copies.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, FileType},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use admit_client::facts::bounded_file::{FileFault, read_unlinked};
use admit_policy::Digest;

/// What is left out at the top of the folder.
const LEFT_OUT: [&str; 2] = [".case", ".git"];

/// The bounds of a fixture.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Most files, links and folders.
    entries_max: usize,
    /// Largest sum of the contents, in bytes.
    bytes_max: u64,
    /// Deepest folder, where the fixture itself has the depth 0.
    depth_max: usize,
}

const BOUNDS: Bounds = Bounds {
    entries_max: 20_000,
    bytes_max: 256 * 1024 * 1024,
    depth_max: 32,
};

/// Why a fixture has no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FixtureError {
    /// Something in it cannot be read.
    #[error("something in the fixture cannot be read")]
    Unreadable,
    /// Something in it is no file, folder or link.
    #[error("something in the fixture is neither a file nor a folder nor a link")]
    NotRegular,
    /// It has too many entries.
    #[error("the fixture has more than 20000 entries")]
    TooMany,
    /// It is too large.
    #[error("the fixture has more than 256 MiB")]
    TooLarge,
    /// It is too deep.
    #[error("the fixture is more than 32 folders deep")]
    TooDeep,
}

/// The digest of the fixture at `folder`.
pub(crate) fn digest(folder: &Path) -> Result<Digest, FixtureError> {
    digest_within(folder, BOUNDS)
}

fn digest_within(folder: &Path, bounds: Bounds) -> Result<Digest, FixtureError> {
    let mut walk = Walk {
        bounds,
        entries: 0,
        bytes: 0,
        records: BTreeMap::new(),
    };
    walk.folder(folder, b"", 0)?;
    let mut text = Vec::new();
    for (path, (kind, content)) in walk.records {
        text.extend_from_slice(format!("{content} {kind} ").as_bytes());
        text.extend_from_slice(&path);
        // No path has this byte.
        text.push(0);
    }
    Ok(Digest::of(&text))
}

struct Walk {
    bounds: Bounds,
    entries: usize,
    bytes: u64,
    records: BTreeMap<Vec<u8>, (&'static str, Digest)>,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &[u8], depth: usize) -> Result<(), FixtureError> {
        if depth > self.bounds.depth_max {
            return Err(FixtureError::TooDeep);
        }
        for entry in fs::read_dir(folder).map_err(|_| FixtureError::Unreadable)? {
            let entry = entry.map_err(|_| FixtureError::Unreadable)?;
            let name = entry.file_name();
            let is_left_out = LEFT_OUT.iter().any(|left_out| name == OsStr::new(left_out));
            if depth == 0 && is_left_out {
                continue;
            }
            self.entries = self.entries.saturating_add(1);
            if self.entries > self.bounds.entries_max {
                return Err(FixtureError::TooMany);
            }
            let kind = entry.file_type().map_err(|_| FixtureError::Unreadable)?;
            let path = [prefix, name.as_bytes()].concat();
            self.entry(&entry.path(), path, kind, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        place: &Path,
        path: Vec<u8>,
        kind: FileType,
        depth: usize,
    ) -> Result<(), FixtureError> {
        if kind.is_dir() {
            return self.folder(
                place,
                &[&path, b"/".as_slice()].concat(),
                depth.saturating_add(1),
            );
        }
        let record = if kind.is_symlink() {
            let target = fs::read_link(place).map_err(|_| FixtureError::Unreadable)?;
            ("link", Digest::of(target.as_os_str().as_bytes()))
        } else if kind.is_file() {
            ("file", self.content(place)?)
        } else {
            return Err(FixtureError::NotRegular);
        };
        self.records.insert(path, record);
        Ok(())
    }

    fn content(&mut self, place: &Path) -> Result<Digest, FixtureError> {
        let left = self.bounds.bytes_max.saturating_sub(self.bytes);
        let content = match read_unlinked(place, left) {
            Ok(Some(content)) => content,
            Err(FileFault::TooLarge) => return Err(FixtureError::TooLarge),
            Err(FileFault::NotRegular) => return Err(FixtureError::NotRegular),
            // What goes away meanwhile is no fixture.
            Ok(None) | Err(FileFault::Unreadable) => return Err(FixtureError::Unreadable),
        };
        let length = u64::try_from(content.len()).map_err(|_| FixtureError::TooLarge)?;
        self.bytes = self.bytes.saturating_add(length);
        Ok(Digest::of(&content))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use tempfile::TempDir;

    use super::*;

    fn fixture() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("src/.case")).unwrap();
        fs::write(folder.path().join("src/a.rs"), "a").unwrap();
        fs::write(folder.path().join("src/.case/kept"), "k").unwrap();
        symlink("src/a.rs", folder.path().join("link")).unwrap();
        folder
    }

    #[test]
    fn copies_have_the_same_digest_whatever_case_and_git_left() {
        let (one, other) = (fixture(), fixture());
        let bare = digest(one.path()).unwrap();
        for folder in [".case/t1/events", ".git/refs"] {
            fs::create_dir_all(other.path().join(folder)).unwrap();
            fs::write(other.path().join(folder).join("x"), "x").unwrap();
        }
        fs::create_dir(other.path().join("empty")).unwrap();
        assert_eq!(digest(other.path()), Ok(bare));
    }

    #[test]
    fn the_digest_is_the_documented_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b"), "2").unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        let text = format!("{} file a\0{} file b\0", Digest::of(b"1"), Digest::of(b"2"));
        assert_eq!(digest(folder.path()), Ok(Digest::of(text.as_bytes())));
    }

    #[test]
    fn every_other_change_shows() {
        type Change = fn(&Path);
        let bare = digest(fixture().path()).unwrap();
        let changes: [(&str, Change); 6] = [
            ("content", |root| {
                fs::write(root.join("src/a.rs"), "b").unwrap();
            }),
            ("a new file", |root| fs::write(root.join("b"), "").unwrap()),
            ("a removed file", |root| {
                fs::remove_file(root.join("src/.case/kept")).unwrap();
            }),
            ("a moved file", |root| {
                fs::rename(root.join("src/a.rs"), root.join("src/b.rs")).unwrap();
            }),
            ("another target", |root| {
                fs::remove_file(root.join("link")).unwrap();
                symlink("src/b.rs", root.join("link")).unwrap();
            }),
            ("a file with the target's text", |root| {
                fs::remove_file(root.join("link")).unwrap();
                fs::write(root.join("link"), "src/a.rs").unwrap();
            }),
        ];
        for (name, change) in changes {
            let folder = fixture();
            change(folder.path());
            assert_ne!(digest(folder.path()), Ok(bare), "{name}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = fixture();
        symlink("/", folder.path().join("root")).unwrap();
        assert!(digest(folder.path()).is_ok());
    }

    #[test]
    fn what_cannot_be_read_has_no_digest() {
        assert_eq!(
            digest(Path::new("/nonexistent")),
            Err(FixtureError::Unreadable)
        );
        let folder = fixture();
        let _socket = UnixListener::bind(folder.path().join("s")).unwrap();
        assert_eq!(digest(folder.path()), Err(FixtureError::NotRegular));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        // Five entries: src, src/a.rs, src/.case, src/.case/kept and link; two bytes; depth two.
        let folder = fixture();
        let exact = Bounds {
            entries_max: 5,
            bytes_max: 2,
            depth_max: 2,
        };
        let all = digest(folder.path());
        assert_eq!(digest_within(folder.path(), exact), all);
        for (bounds, error) in [
            (
                Bounds {
                    entries_max: 4,
                    ..exact
                },
                FixtureError::TooMany,
            ),
            (
                Bounds {
                    bytes_max: 1,
                    ..exact
                },
                FixtureError::TooLarge,
            ),
            (
                Bounds {
                    depth_max: 1,
                    ..exact
                },
                FixtureError::TooDeep,
            ),
        ] {
            assert_eq!(digest_within(folder.path(), bounds), Err(error));
        }
    }

    #[test]
    fn the_errors_state_the_bounds() {
        assert!(
            FixtureError::TooMany
                .to_string()
                .contains(&BOUNDS.entries_max.to_string())
        );
        let mebibytes = BOUNDS.bytes_max / 1024 / 1024;
        assert!(
            FixtureError::TooLarge
                .to_string()
                .contains(&mebibytes.to_string())
        );
        assert!(
            FixtureError::TooDeep
                .to_string()
                .contains(&BOUNDS.depth_max.to_string())
        );
    }
}
