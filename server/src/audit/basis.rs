//! The basis of decisions: what the policy and the operator's configuration came down to, at one
//! moment, kept content-addressed beside the log so that decisions can be derived again.
//!
//! A basis is the judgment of the documents and not their text: a document that is not valid may
//! hold a secret, and prose may hold anything. The policy's own digest is in it, so that whoever has
//! the documents (they are kept in git) can tell that they are the ones. Classes of credential
//! sources and networks are closed as in the log, and compared in that form.

mod admission;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use admit_policy::{
    Digest, Pair, Place, Snapshot, Terms,
    document::decision_record::{self, DecisionRecord, NamedPair},
    snapshot::{Admitted, RecordState},
};
use serde::{Deserialize, Serialize, Serializer};

use self::admission::{Classes, KeptAdmission};
use super::{
    names::Names,
    private::{make_folder, replace, sync_folder},
    record,
    words::same_words,
};
use crate::pause::paused;

/// The folder of the bases, within the audit directory.
pub const BASES_FOLDER: &str = "bases";
/// Largest basis that is read, in bytes.
pub const BASIS_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// What is hashed from one pause to the next, in bytes.
const HASHED_BYTES: usize = 16 * 1024;

/// Why a basis is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum BasisError {
    /// There is no file, or it cannot be read.
    #[error("the basis `{digest}` cannot be read")]
    Unreadable {
        /// Its digest.
        digest: String,
        /// What the system says.
        source: io::Error,
    },
    /// Its content has another digest than its name.
    #[error("the basis `{digest}` was changed: its content has another digest")]
    Changed {
        /// Its digest.
        digest: String,
    },
    /// Its content is not a basis.
    #[error("the basis `{digest}` is not of a form that this version reads")]
    Malformed {
        /// Its digest.
        digest: String,
    },
}

/// A basis as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    policy: String,
    record: Record,
    #[serde(serialize_with = "with_pauses")]
    admissions: Vec<KeptAdmission>,
    conflicts: Vec<(String, String)>,
    invalid_admissions: Vec<String>,
    staleness_max_ns: u64,
    network_classes: BTreeMap<String, BTreeSet<record::EndpointScope>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    Missing,
    Conflict,
    Invalid,
    Valid {
        branch: Branch,
        primary: Option<(String, String)>,
        fallback: Option<(String, String)>,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Branch {
    NotDecided,
    ExternalProviderApproved,
    LocalProviderRequired,
}

same_words! {
    decision_record::Branch => Branch { NotDecided, ExternalProviderApproved, LocalProviderRequired, }
}

/// A large policy has thousands of them.
fn with_pauses<S: Serializer>(
    admissions: &[KeptAdmission],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paused(admissions))
}

/// A basis, ready to be kept: its bytes and their digest.
#[derive(Debug)]
pub struct Basis {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    bytes: Vec<u8>,
    /// This process has kept it.
    is_kept: AtomicBool,
    /// A record is based on it.
    is_used: AtomicBool,
}

/// Held while a basis is being kept: two that are equal have one file.
static KEEPING: Mutex<()> = Mutex::new(());

impl Basis {
    /// What `snapshot` and `terms` come down to.
    #[must_use]
    pub fn of(snapshot: &Snapshot, terms: &Terms, names: &Names) -> Self {
        let kept = Kept::of(snapshot, terms, names);
        // A basis has texts, numbers and lists only, all of which JSON can hold.
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        Self {
            digest: Digest::of_parts(paused(bytes.chunks(HASHED_BYTES))),
            bytes,
            is_kept: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
        }
    }

    /// Whether a file of its name is in the audit directory `dir`.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn is_there(&self, dir: &Path) -> io::Result<bool> {
        path(dir, &self.digest.to_string()).try_exists()
    }

    /// Its size, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Whether it was kept for a record.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Keeps the basis in the audit directory `dir` for a record, durably. What a crash left there under its
    /// name is not trusted: it is read, and made durable or made anew.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn keep(&self, dir: &Path) -> io::Result<()> {
        self.is_used.store(true, Ordering::Relaxed);
        self.keep_unused(dir)
    }

    /// The same before any record is based on it.
    pub(super) fn keep_unused(&self, dir: &Path) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let _keeping = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_kept.load(Ordering::Relaxed) && self.is_there(dir)? {
            return Ok(());
        }
        self.write(dir)?;
        self.is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let path = path(dir, &self.digest.to_string());
        let folder = dir.join(BASES_FOLDER);
        make_folder(&folder)?;
        sync_folder(&folder)?;
        if fs::read(&path).is_ok_and(|found| found == self.bytes) {
            fs::File::open(&path)?.sync_all()?;
            return sync_folder(&path);
        }
        replace(&path, &self.bytes)
    }
}

/// A basis that was read again.
#[derive(Debug)]
pub struct Opened {
    /// The snapshot, with closed classes and no places.
    pub snapshot: Snapshot,
    /// The operator's terms, with closed classes.
    pub terms: Terms,
}

/// Reads the basis with this digest from the audit directory `dir`.
///
/// # Errors
///
/// When it is not there, was changed, or is not of a form that this version reads.
pub fn read(dir: &Path, digest: &str) -> Result<Opened, BasisError> {
    let unreadable = |source| BasisError::Unreadable {
        digest: digest.to_owned(),
        source,
    };
    let path = path(dir, digest);
    if Digest::parse(digest).is_none() {
        return Err(unreadable(io::ErrorKind::InvalidInput.into()));
    }
    if fs::metadata(&path).map_err(unreadable)?.len() > BASIS_BYTES_MAX {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    if Digest::parse(digest) != Some(Digest::of(&bytes)) {
        return Err(BasisError::Changed {
            digest: digest.to_owned(),
        });
    }
    serde_json::from_slice::<Kept>(&bytes)
        .ok()
        .and_then(Kept::open)
        .ok_or_else(|| BasisError::Malformed {
            digest: digest.to_owned(),
        })
}

/// `snapshot` and `terms` as a basis gives them back: closed, and without places.
#[must_use]
pub fn closed(snapshot: &Snapshot, terms: &Terms, names: &Names) -> Option<Opened> {
    Kept::of(snapshot, terms, names).open()
}

fn path(dir: &Path, digest: &str) -> PathBuf {
    dir.join(BASES_FOLDER).join(format!("{digest}.json"))
}

impl Kept {
    fn of(snapshot: &Snapshot, terms: &Terms, names: &Names) -> Self {
        let pair = |named: &NamedPair| (named.pair.provider.clone(), named.pair.model.clone());
        let record = match snapshot.record() {
            RecordState::Missing => Record::Missing,
            RecordState::Conflict(_) => Record::Conflict,
            RecordState::Invalid(_) => Record::Invalid,
            RecordState::Valid(record) => Record::Valid {
                branch: record.branch.into(),
                primary: record.primary.as_ref().map(pair),
                fallback: record.fallback.as_ref().map(pair),
            },
        };
        let conflicts = snapshot
            .admitted_pairs()
            .filter(|(_, admitted)| matches!(admitted, Admitted::Conflict(_)))
            .map(|(pair, _)| (pair.provider, pair.model))
            .collect();
        let invalid = snapshot.invalid_admissions();
        let mut classes = Classes::new(names);
        Self {
            version: record::VERSION,
            policy: snapshot.digest().to_string(),
            record,
            admissions: paused(snapshot.admissions())
                .map(|admission| KeptAdmission::of(admission, &mut classes))
                .collect(),
            conflicts,
            invalid_admissions: invalid.map(|(digest, _)| digest.to_string()).collect(),
            staleness_max_ns: u64::try_from(terms.staleness_max.as_nanos()).unwrap_or(u64::MAX),
            network_classes: terms
                .network_classes
                .iter()
                .map(|(class, scopes)| {
                    let scopes = scopes.iter().map(|scope| (*scope).into()).collect();
                    (names.close_class(class), scopes)
                })
                .collect(),
        }
    }

    fn open(self) -> Option<Opened> {
        if self.version != record::VERSION {
            return None;
        }
        let nowhere = Place::whole(&Arc::from(""));
        let named = |pair: (String, String)| NamedPair {
            pair: pair_of(pair),
            place: nowhere.clone(),
        };
        let record = match self.record {
            Record::Missing => RecordState::Missing,
            Record::Conflict => RecordState::Conflict(Vec::new()),
            Record::Invalid => RecordState::Invalid(Vec::new()),
            Record::Valid {
                branch,
                primary,
                fallback,
            } => RecordState::Valid(DecisionRecord {
                branch: branch.into(),
                place: nowhere.clone(),
                primary: primary.map(named),
                fallback: fallback.map(named),
            }),
        };
        let mut admissions = Vec::new();
        for kept in self.admissions {
            let admission = kept.open(&nowhere)?;
            let pair = admission.pair.value.clone();
            admissions.push((pair, Admitted::One(Arc::new(admission))));
        }
        for pair in self.conflicts {
            admissions.push((pair_of(pair), Admitted::Conflict(Vec::new())));
        }
        let invalid: Option<Vec<Digest>> = self
            .invalid_admissions
            .iter()
            .map(|digest| Digest::parse(digest))
            .collect();
        Some(Opened {
            snapshot: Snapshot::of_judgments(
                Digest::parse(&self.policy)?,
                record,
                admissions,
                invalid?,
            ),
            terms: Terms {
                staleness_max: Duration::from_nanos(self.staleness_max_ns),
                network_classes: self
                    .network_classes
                    .into_iter()
                    .map(|(class, scopes)| (class, scopes.into_iter().map(Into::into).collect()))
                    .collect(),
            },
        })
    }
}

fn pair_of((provider, model): (String, String)) -> Pair {
    Pair { provider, model }
}
