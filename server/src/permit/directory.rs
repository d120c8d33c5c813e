//! The directory of the keys: read whole, added to, and tidied up.
//!
//! Keys are ordered by when they were made. A new one is always the newest, whatever the clock says,
//! and nobody removes the newest: so the daemon and `admitd permit rotate` need no lock between them.
//! Deliberately absent: any trust in the time of a file, which a copy does not keep.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use admit_permit::{PublicKey, SigningKey};
use admit_policy::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    audit::private::{replace, sync_folder},
    key_file::{
        KEY_FILE_BYTES_MAX, KeyError, PRIVATE_KEY_FORM, from_pem, read_private, to_pem,
        write_private,
    },
};

/// Most entries of the directory, whatever they are.
pub const ENTRIES_MAX: usize = 1024;
/// Write access for others than the owner.
const OTHERS_WRITE_MODE: u32 = 0o022;
/// The form of the file of a public key.
const FORM: &str = "a public key of this form and name: `{\"version\":1,\"created\":…,\"jwk\":…}`";
const VERSION: u32 = 1;
const PUBLIC: &str = "json";
const PRIVATE: &str = "pem";

/// Why the keys of permits are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory cannot be used.
    #[error("the directory of permit keys `{}` cannot be used", dir.display())]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may write it, or a file in it.
    #[error("`{}` may be written by others than its owner; `chmod go-w` it", path.display())]
    OpenToOthers {
        /// The directory or the file.
        path: PathBuf,
    },
    /// It has too many entries.
    #[error("the directory of permit keys `{}` has more than {ENTRIES_MAX} entries", dir.display())]
    TooManyEntries {
        /// The directory.
        dir: PathBuf,
    },
    /// There is a private key without its public half.
    #[error("the key file `{}` lacks the `.json` beside it; restore both, or take it away", path.display())]
    PublicMissing {
        /// The file of the private key.
        path: PathBuf,
    },
    /// No key signs.
    #[error("the directory of permit keys `{}` has no private key any more", dir.display())]
    PrivateMissing {
        /// The directory.
        dir: PathBuf,
    },
    /// Somebody else owns the directory, and could not use a key that is made here.
    #[error("the directory of permit keys `{}` belongs to another user; run this as that user", dir.display())]
    OtherOwner {
        /// The directory.
        dir: PathBuf,
    },
    /// A file is not to be had, or not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no thread that could look at it again.
    #[error("the system refuses a thread that follows the permit keys")]
    Thread(#[source] io::Error),
    /// The system gives no random bytes.
    #[error("no key can be made: {0}")]
    Make(#[from] admit_permit::KeyFault),
}

/// One key of the directory.
#[derive(Debug)]
pub struct Entry {
    /// When it was made, in seconds since the Unix epoch.
    pub created: i64,
    /// The public half.
    pub public: PublicKey,
    /// The private half, while there is one.
    pub private: Option<SigningKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicFile {
    version: u32,
    created: String,
    jwk: Box<RawValue>,
}

/// Every key in `dir`, the newest first.
///
/// # Errors
///
/// When the directory or a key in it cannot be used.
pub fn read(dir: &Path) -> Result<Vec<Entry>, DirectoryError> {
    let unusable = |source| DirectoryError::Unusable {
        dir: dir.into(),
        source,
    };
    let metadata = fs::metadata(dir).map_err(unusable)?;
    is_closed(dir, &metadata)?;
    let mut names: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    let [publics, privates] = &mut names;
    for (count, entry) in fs::read_dir(dir).map_err(unusable)?.enumerate() {
        if count >= ENTRIES_MAX {
            return Err(DirectoryError::TooManyEntries { dir: dir.into() });
        }
        let name = entry.map_err(unusable)?.file_name();
        match name.to_str().and_then(|name| name.rsplit_once('.')) {
            Some((kid, PUBLIC)) => publics.push(kid.to_owned()),
            Some((kid, PRIVATE)) => privates.push(kid.to_owned()),
            // Not of ours, or not finished.
            Some(_) | None => {}
        }
    }
    if let Some(kid) = privates.iter().find(|kid| !publics.contains(kid)) {
        return Err(DirectoryError::PublicMissing {
            path: path_of(dir, kid, PRIVATE),
        });
    }
    let mut entries = publics
        .iter()
        .map(|kid| read_entry(dir, kid))
        .collect::<Result<Vec<Entry>, DirectoryError>>()?;
    entries.sort_by(|a, b| (b.created, b.public.kid()).cmp(&(a.created, a.public.kid())));
    Ok(entries)
}

/// Makes a key in `dir`, newer than every one of `entries`; `now` in seconds since the Unix epoch.
/// Its name.
///
/// # Errors
///
/// When the files cannot be written.
pub fn make(dir: &Path, entries: &[Entry], now: i64) -> Result<String, DirectoryError> {
    let der = SigningKey::generate_pkcs8()?;
    let key = SigningKey::from_pkcs8(&der)?;
    let newest = entries.first().map(|entry| entry.created);
    // A clock that was set back must not make a key that never signs.
    let created = newest.map_or(now, |newest| now.max(newest.saturating_add(1)));
    let form = |path: &Path| KeyError::Form {
        path: path.into(),
        form: "one that can be made now; is the clock of this host right",
    };
    let path = path_of(dir, key.kid(), PUBLIC);
    let created = Timestamp::from_unix(created, 0).ok_or_else(|| form(&path))?;
    let file = PublicFile {
        version: VERSION,
        created: created.to_string(),
        jwk: RawValue::from_string(key.public().to_jwk()).map_err(|_| form(&path))?,
    };
    let json = serde_json::to_vec(&file).map_err(|_| form(&path))?;
    // The public half first: a private one alone would be an error.
    write_private(&path, &json)?;
    write_private(&path_of(dir, key.kid(), PRIVATE), to_pem(&der).as_bytes())?;
    Ok(key.kid().to_owned())
}

/// The place of the key that signs: the newest one with a private half.
#[must_use]
pub fn signing(entries: &[Entry]) -> Option<usize> {
    entries.iter().position(|entry| entry.private.is_some())
}

/// Takes away what is of no more use at `now`, in seconds since the Unix epoch: the private halves of
/// superseded keys, and superseded keys that were so for `verify_for`.
///
/// # Errors
///
/// When a file cannot be removed.
pub fn tidy(
    dir: &Path,
    entries: Vec<Entry>,
    now: i64,
    verify_for: Duration,
) -> Result<Vec<Entry>, DirectoryError> {
    let Some(signing) = signing(&entries) else {
        return Ok(entries);
    };
    let verify_for = i64::try_from(verify_for.as_secs()).unwrap_or(i64::MAX);
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    // A key is superseded when the one before it here was made.
    let mut superseded: Option<i64> = None;
    for (at, mut entry) in entries.into_iter().enumerate() {
        let created = entry.created;
        let since = superseded.unwrap_or(created);
        superseded = Some(created);
        if at > signing && entry.private.take().is_some() {
            remove(&path_of(dir, entry.public.kid(), PRIVATE))?;
        }
        if at > signing && now >= since.saturating_add(verify_for) {
            remove(&path_of(dir, entry.public.kid(), PUBLIC))?;
        } else {
            kept.push(entry);
        }
    }
    Ok(kept)
}

/// Makes sure that whoever owns `dir` can use what is made in it by this process.
///
/// # Errors
///
/// [`DirectoryError::OtherOwner`].
pub fn is_own(dir: &Path) -> Result<(), DirectoryError> {
    let unusable = |source| DirectoryError::Unusable {
        dir: dir.into(),
        source,
    };
    let probe = dir.join("owner");
    // What a file that is made here belongs to, the system itself says best.
    replace(&probe, b"").map_err(unusable)?;
    let made = fs::metadata(&probe).map(|metadata| metadata.uid());
    fs::remove_file(&probe).map_err(unusable)?;
    let owner = fs::metadata(dir).map_err(unusable)?.uid();
    if made.map_err(unusable)? == owner {
        Ok(())
    } else {
        Err(DirectoryError::OtherOwner { dir: dir.into() })
    }
}

fn path_of(dir: &Path, kid: &str, ending: &str) -> PathBuf {
    dir.join(format!("{kid}.{ending}"))
}

fn is_closed(path: &Path, metadata: &fs::Metadata) -> Result<(), DirectoryError> {
    if metadata.permissions().mode() & OTHERS_WRITE_MODE == 0 {
        Ok(())
    } else {
        Err(DirectoryError::OpenToOthers { path: path.into() })
    }
}

fn read_entry(dir: &Path, kid: &str) -> Result<Entry, DirectoryError> {
    let path = path_of(dir, kid, PUBLIC);
    let file = |source| KeyError::File {
        path: path.clone(),
        source,
    };
    let metadata = fs::metadata(&path).map_err(file)?;
    is_closed(&path, &metadata)?;
    if metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(file(io::ErrorKind::FileTooLarge.into()).into());
    }
    let json = fs::read_to_string(&path).map_err(file)?;
    let (created, public) = parse_public(&json)
        .filter(|(_, public)| public.kid() == kid)
        .ok_or_else(|| KeyError::Form {
            path: path.clone(),
            form: FORM,
        })?;
    let path = path_of(dir, kid, PRIVATE);
    let private = match read_private(&path)? {
        None => None,
        Some(pem) => Some(
            from_pem(&pem)
                .and_then(|der| SigningKey::from_pkcs8(&der).ok())
                .filter(|key| key.kid() == kid)
                .ok_or(KeyError::Form {
                    path,
                    form: PRIVATE_KEY_FORM,
                })?,
        ),
    };
    Ok(Entry {
        created,
        public,
        private,
    })
}

fn parse_public(json: &str) -> Option<(i64, PublicKey)> {
    let file: PublicFile = serde_json::from_str(json).ok()?;
    let (created, _) = Timestamp::parse(&file.created)?.unix();
    let public = PublicKey::parse(file.jwk.get()).ok()?;
    (file.version == VERSION).then_some((created, public))
}

/// Removes a file, durably; it may be gone already.
fn remove(path: &Path) -> Result<(), KeyError> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    };
    removed.map_err(|source| KeyError::File {
        path: path.into(),
        source,
    })
}
