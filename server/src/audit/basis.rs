//! The basis of decisions: what the policy and the operator's configuration came down to, at one
//! moment, kept content-addressed beside the log so that decisions can be derived again.
//!
//! A basis is the judgment of the documents and not their text: a document that is not valid may
//! hold a secret, and prose may hold anything. The policy's own digest is in it, so that whoever has
//! the documents (they are kept in git) can tell that they are the ones. Classes of credential
//! sources and networks are closed as in the log, and compared in that form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use admit_policy::{
    Digest, Pair, Place, Snapshot, Terms, Timestamp,
    document::{
        admission::{self, Admission, Located},
        decision_record::{self, DecisionRecord, NamedPair},
    },
    snapshot::{Admitted, RecordState},
};
use serde::{Deserialize, Serialize};

use super::{
    names::Names,
    private::{make_folder, replace, sync_folder},
    record,
    words::same_words,
};

/// The folder of the bases, within the audit directory.
pub const BASES_FOLDER: &str = "bases";
/// Largest basis that is read, in bytes.
pub const BASIS_BYTES_MAX: u64 = 512 * 1024 * 1024;

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

#[derive(Debug, Serialize, Deserialize)]
struct KeptAdmission {
    digest: String,
    provider: String,
    model: String,
    status: Status,
    provider_class: ProviderClass,
    role: Role,
    credential_source_class: String,
    allowed_network_class: String,
    admission_timestamp: String,
    expires_at: Option<String>,
    auth_bridge: AuthBridge,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Admitted,
    Revoked,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProviderClass {
    LocalCaseCompatible,
    ExternalAnthropic,
    ExternalFallback,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Primary,
    Fallback,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthBridge {
    Proven,
    Unproven,
}

same_words! {
    decision_record::Branch => Branch { NotDecided, ExternalProviderApproved, LocalProviderRequired, }
    admission::Status => Status { Admitted, Revoked, }
    admission::ProviderClass => ProviderClass {
        LocalCaseCompatible, ExternalAnthropic, ExternalFallback,
    }
    admission::Role => Role { Primary, Fallback, }
    admission::AuthBridge => AuthBridge { Proven, Unproven, }
}

/// A basis, ready to be kept: its bytes and their digest.
#[derive(Debug)]
pub struct Basis {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    bytes: Vec<u8>,
}

impl Basis {
    /// What `snapshot` and `terms` come down to.
    #[must_use]
    pub fn of(snapshot: &Snapshot, terms: &Terms, names: &Names) -> Self {
        let kept = Kept::of(snapshot, terms, names);
        // A basis has texts, numbers and lists only, all of which JSON can hold.
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        Self {
            digest: Digest::of(&bytes),
            bytes,
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

    /// Keeps the basis in the audit directory `dir`, durably. What a crash left there under its name is
    /// not trusted: it is read, and made durable or made anew.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn keep(&self, dir: &Path) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
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
        Self {
            version: record::VERSION,
            policy: snapshot.digest().to_string(),
            record,
            admissions: snapshot
                .admissions()
                .map(|admission| KeptAdmission::of(admission, names))
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
            admissions.push((pair, Admitted::One(Box::new(admission))));
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

impl KeptAdmission {
    fn of(admission: &Admission, names: &Names) -> Self {
        Self {
            digest: admission.digest.to_string(),
            provider: admission.pair.value.provider.clone(),
            model: admission.pair.value.model.clone(),
            status: admission.status.value.into(),
            provider_class: admission.provider_class.value.into(),
            role: admission.role.value.into(),
            credential_source_class: names.close_class(&admission.credential_source_class.value),
            allowed_network_class: names.close_class(&admission.allowed_network_class.value),
            admission_timestamp: admission.admission_timestamp.value.to_string(),
            expires_at: admission
                .expires_at
                .as_ref()
                .map(|expires_at| expires_at.value.to_string()),
            auth_bridge: admission.auth_bridge.value.into(),
        }
    }

    fn open(self, nowhere: &Place) -> Option<Admission> {
        let expires_at = match self.expires_at {
            None => None,
            Some(text) => Some(located(Timestamp::parse(&text)?, nowhere)),
        };
        Some(Admission {
            digest: Digest::parse(&self.digest)?,
            pair: located(pair_of((self.provider, self.model)), nowhere),
            status: located(self.status.into(), nowhere),
            provider_class: located(self.provider_class.into(), nowhere),
            role: located(self.role.into(), nowhere),
            credential_source_class: located(self.credential_source_class, nowhere),
            allowed_network_class: located(self.allowed_network_class, nowhere),
            admission_timestamp: located(Timestamp::parse(&self.admission_timestamp)?, nowhere),
            expires_at,
            auth_bridge: located(self.auth_bridge.into(), nowhere),
        })
    }
}

fn located<T>(value: T, place: &Place) -> Located<T> {
    Located {
        value,
        place: place.clone(),
    }
}
