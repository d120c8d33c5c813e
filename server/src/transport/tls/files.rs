//! The three files of TLS, read within bounds.
//!
//! Deliberately absent: what stands in them.

use std::{
    fs::{File, Metadata},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use ring::digest::{SHA256, digest};
use rustix::{
    fs::{Mode, OFlags, open},
    process::geteuid,
};

use super::{
    bounds::{CERTIFICATES_BYTES_MAX, KEY_BYTES_MAX},
    fault::{FileFault, TlsError},
};
use crate::config::TlsConfig;

/// Access for others than the owner.
const OTHERS_MODE: u32 = 0o077;
/// The same, but for reading by the group.
const OTHERS_BUT_GROUP_READ_MODE: u32 = 0o037;
const ROOT_UID: u32 = 0;

/// Which file: its key of the configuration and its path.
#[derive(Clone, Debug)]
pub(super) struct Source {
    key: &'static str,
    pub(super) path: PathBuf,
}

impl Source {
    pub(super) fn fault(&self, fault: FileFault) -> TlsError {
        TlsError::File {
            key: self.key,
            path: self.path.clone(),
            fault,
        }
    }
}

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) certificate: Source,
    pub(super) key: Source,
    pub(super) client_ca: Source,
}

/// What the files hold.
pub(super) struct Content {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_ca: Vec<u8>,
}

impl Files {
    pub(super) fn of(config: &TlsConfig) -> Self {
        let source = |key, path: &PathBuf| Source {
            key,
            // A change of the working directory must not lead elsewhere.
            path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        };
        Self {
            certificate: source("tls.certificate", &config.certificate),
            key: source("tls.key", &config.key),
            client_ca: source("tls.client_ca", &config.client_ca),
        }
    }

    pub(super) fn sources(&self) -> [&Source; 3] {
        [&self.certificate, &self.key, &self.client_ca]
    }

    pub(super) fn read(&self) -> Result<Content, TlsError> {
        let bytes = |source: &Source, bytes_max, is_allowed: fn(&Metadata) -> bool| {
            read(&source.path, bytes_max, is_allowed).map_err(|fault| source.fault(fault))
        };
        Ok(Content {
            certificate: bytes(&self.certificate, CERTIFICATES_BYTES_MAX, |_| true)?,
            key: bytes(&self.key, KEY_BYTES_MAX, |metadata| {
                is_private(
                    metadata.permissions().mode(),
                    metadata.uid(),
                    geteuid().as_raw(),
                )
            })?,
            client_ca: bytes(&self.client_ca, CERTIFICATES_BYTES_MAX, |_| true)?,
        })
    }
}

impl Content {
    /// What tells this content from any other.
    pub(super) fn digest(&self) -> Vec<u8> {
        [&self.certificate, &self.key, &self.client_ca]
            .iter()
            .flat_map(|bytes| digest(&SHA256, bytes).as_ref().to_vec())
            .collect()
    }
}

/// Whether a private key with these permissions is one. What root keeps for another user is read by a
/// group: a Secret of Kubernetes has no other way to a daemon that is not root.
fn is_private(mode: u32, owner_uid: u32, own_uid: u32) -> bool {
    let forbidden = if owner_uid == ROOT_UID && own_uid != ROOT_UID {
        OTHERS_BUT_GROUP_READ_MODE
    } else {
        OTHERS_MODE
    };
    mode & forbidden == 0
}

/// The content of the regular file at `path`. Never waits for the other end of a pipe.
fn read(
    path: &Path,
    bytes_max: u64,
    is_allowed: fn(&Metadata) -> bool,
) -> Result<Vec<u8>, FileFault> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|errno| FileFault::Unreadable(errno.into()))?;
    let metadata = file.metadata().map_err(FileFault::Unreadable)?;
    if !metadata.is_file() {
        return Err(FileFault::NotRegular);
    }
    if !is_allowed(&metadata) {
        return Err(FileFault::OpenToOthers);
    }
    let mut bytes = Vec::new();
    let length = file
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(FileFault::Unreadable)?;
    match u64::try_from(length) {
        Ok(length) if length <= bytes_max => Ok(bytes),
        Ok(_) | Err(_) => Err(FileFault::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn a_private_key_is_its_owners_or_of_a_group_that_root_gave_it_to() {
        for (mode, owner, own, expected) in [
            (0o100_600, 7, 7, true),
            (0o100_400, 7, 7, true),
            (0o100_640, 7, 7, false),
            (0o100_604, 7, 7, false),
            (0o100_600, 0, 0, true),
            (0o100_640, 0, 0, false),
            (0o100_640, 0, 7, true),
            (0o100_440, 0, 7, true),
            (0o100_660, 0, 7, false),
            (0o100_650, 0, 7, false),
            (0o100_644, 0, 7, false),
            (0o100_640, 8, 7, false),
        ] {
            assert_eq!(is_private(mode, owner, own), expected, "{mode:o} {owner}");
        }
    }
}
