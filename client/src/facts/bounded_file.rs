//! Reads a file that may be anything: never more than its bound, never a device, never a wait.
//!
//! A pipe is opened without waiting for its other end, and refused like everything that is not a
//! regular file. A link is followed, unless the reader says that there must be none.

use std::{fs::File, io::Read as _, path::Path};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, open},
    io::Errno,
};

/// Why a file that is there was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// The operating system refuses.
    Unreadable,
    /// It is a folder, a pipe, a device or a socket.
    NotRegular,
    /// It is larger than its bound.
    TooLarge,
}

impl FileFault {
    /// The fault, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read",
            Self::NotRegular => "is not a regular file",
            Self::TooLarge => "is larger than its limit",
        }
    }
}

/// The content of the file at `path`, up to `bytes_max` bytes; `None` when there is no such file.
///
/// # Errors
///
/// When it is there and was not read to its end.
pub fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, FileFault> {
    read_with(path, bytes_max, OFlags::empty())
}

/// As [`read`], where a link at `path` itself is no regular file.
///
/// # Errors
///
/// When it is there and was not read to its end.
pub fn read_unlinked(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, FileFault> {
    read_with(path, bytes_max, OFlags::NOFOLLOW)
}

fn read_with(path: &Path, bytes_max: u64, more: OFlags) -> Result<Option<Vec<u8>>, FileFault> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | more;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        // Opening a socket fails so, and a link that must not be followed.
        Err(Errno::NXIO) => return Err(FileFault::NotRegular),
        Err(Errno::LOOP) if more.contains(OFlags::NOFOLLOW) => return Err(FileFault::NotRegular),
        Err(_) => return Err(FileFault::Unreadable),
    };
    let stat = fstat(&file).map_err(|_| FileFault::Unreadable)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileFault::NotRegular);
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|_| FileFault::Unreadable)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= bytes_max => Ok(Some(bytes)),
        Ok(_) | Err(_) => Err(FileFault::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::{CWD, mknodat};

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"12345").unwrap();
        symlink(&path, folder.path().join("link")).unwrap();
        assert_eq!(read(&path, 5), Ok(Some(b"12345".to_vec())));
        assert_eq!(
            read(&folder.path().join("link"), 5),
            Ok(Some(b"12345".to_vec()))
        );
        assert_eq!(read(&path, 4), Err(FileFault::TooLarge));
        assert_eq!(read_unlinked(&path, 5), Ok(Some(b"12345".to_vec())));
        assert_eq!(
            read_unlinked(&folder.path().join("link"), 5),
            Err(FileFault::NotRegular)
        );
    }

    #[test]
    fn what_is_not_there_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert_eq!(read(&path, 5), Ok(None));
        fs::write(&path, b"").unwrap();
        assert_eq!(read(&path.join("below-a-file"), 5), Ok(None));
    }

    #[test]
    fn a_folder_a_pipe_a_device_and_a_socket_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [folder.path(), &pipe, &socket, Path::new("/dev/zero")] {
            assert_eq!(read(path, 5), Err(FileFault::NotRegular), "{path:?}");
        }
    }
}
