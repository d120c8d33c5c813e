//! Reads and writes the files of an evidence folder.
//!
//! A file is whole or not there: it is written beside its place, made durable, and moved there. Only
//! its owner may read it.
//!
//! Deliberately absent: any path in an error. A file of the folder goes by its name.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use admit_client::facts::bounded_file::{FileFault, read_unlinked};
use serde::{Serialize, de::DeserializeOwned};

/// Largest file of JSON that is read from the folder, in bytes.
pub(crate) const JSON_BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong with a file of the folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It is there and cannot be read.
    #[error("{name} {}", fault.describe())]
    Read {
        /// The name of the file within the folder.
        name: &'static str,
        /// What is wrong.
        fault: FileFault,
    },
    /// It has not its form. The fault names no value.
    #[error("{name} has not the form that this version gives it")]
    Form {
        /// The name of the file within the folder.
        name: &'static str,
    },
    /// It cannot be written.
    #[error("{name} cannot be written: {error}")]
    Write {
        /// The name of the file within the folder.
        name: &'static str,
        /// What the operating system says.
        error: io::Error,
    },
}

/// The content of the file of JSON at `path`; `None` when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    name: &'static str,
) -> Result<Option<T>, StoreError> {
    match read_unlinked(path, JSON_BYTES_MAX) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| StoreError::Form { name }),
        Err(fault) => Err(StoreError::Read { name, fault }),
    }
}

/// `value` as JSON that people can read.
pub(crate) fn json(name: &'static str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| StoreError::Write {
        name,
        error: io::Error::other(error),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes `value` as JSON that people can read.
pub(crate) fn write_json(
    path: &Path,
    name: &'static str,
    value: &impl Serialize,
) -> Result<(), StoreError> {
    let bytes = json(name, value)?;
    write(path, &bytes).map_err(|error| StoreError::Write { name, error })
}

/// Puts `bytes` at `path`, with every folder that it needs, durably and in one step.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder(folder)?;
    // Its mode is 0600.
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Makes a folder that only its owner may enter, with those above it that are missing.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path, name: &'static str) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::Write { name, error }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use serde_json::Value;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_read_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/below/a.json");
        write(&path, b"1").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("new")), 0o700);
        assert_eq!(mode(&folder.path().join("new/below")), 0o700);
        write(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        // Nothing is left beside it.
        assert_eq!(
            fs::read_dir(folder.path().join("new/below"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn a_link_is_replaced_and_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, b"mine").unwrap();
        let path = folder.path().join("a");
        symlink(&other, &path).unwrap();
        write(&path, b"1").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(fs::read(&path).unwrap(), b"1");
    }

    #[test]
    fn json_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let read = || read_json::<Value>(&path, "a.json");
        assert!(read().unwrap().is_none());
        write_json(&path, "a.json", &Value::from(7)).unwrap();
        assert_eq!(read().unwrap(), Some(Value::from(7)));
        fs::write(&path, "7 7").unwrap();
        assert!(matches!(read(), Err(StoreError::Form { .. })));
        let length = usize::try_from(JSON_BYTES_MAX).unwrap();
        fs::write(&path, format!("7{}", " ".repeat(length - 1))).unwrap();
        assert_eq!(read().unwrap(), Some(Value::from(7)));
        fs::write(&path, format!("7{}", " ".repeat(length))).unwrap();
        let error = read().unwrap_err();
        assert_eq!(error.to_string(), "a.json is larger than its limit");
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(matches!(read(), Err(StoreError::Read { .. })));
        remove(&path, "a.json").unwrap();
        remove(&path, "a.json").unwrap();
        assert!(read().unwrap().is_none());
    }
}
