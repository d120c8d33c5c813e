//! Replay: a recorded decision derived again, from the record and the basis beside the log; and what
//! it would have been under an edit of the documents.
//!
//! The bases that were used last are kept in memory, and no more than [`BASES_MAX`] of them, so that
//! a log of any length is derived in bounded memory. Deliberately absent: reading the log
//! ([`super::verify`]), the clock (the recorded time decides), and any word for people.

mod evidence;

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use admit_policy::{self as policy, Code, Digest, Snapshot, Standing, Terms, Timestamp, decide};
use serde::Serialize;

use super::{
    basis::{self, BasisError},
    closed,
    keys::NamesKey,
    names::{HMAC_PREFIX, Names},
    record::{AdmissionStatus, Decision, Verdict},
};
pub use evidence::Judgment;

/// Most bases that are kept in memory.
pub const BASES_MAX: usize = 4;

/// Reasons that depend on what a host has of the policy. An edit of the documents brings them up by
/// itself, until the host has the edited file too.
const HOST_CODES: [Code; 2] = [Code::ExpectedPolicyMismatch, Code::AdmissionFileMismatch];

/// What a caller was, or would have been, told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// The code of every reason, in the order of the gates.
    pub reasons: Vec<String>,
    /// What a report states as `case_model_admission_status`.
    pub admission_status: AdmissionStatus,
}

impl Answer {
    /// The answer that was recorded.
    #[must_use]
    pub fn recorded(decision: &Decision) -> Self {
        Self {
            verdict: decision.verdict,
            reasons: decision.reasons.clone(),
            admission_status: decision.admission_status,
        }
    }

    fn derived(decision: &policy::Decision) -> Self {
        let (verdict, reasons) = closed::outcome(&decision.verdict);
        Self {
            verdict,
            reasons,
            admission_status: decision.admission_status.into(),
        }
    }
}

/// Why a decision cannot be derived again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Its basis is not to be had.
    #[error("{0}")]
    Basis(Arc<BasisError>),
    /// The record names a policy and no basis, or the reverse.
    #[error("the record does not state all of policy, basis and freshness, and not none of them")]
    Incomplete,
    /// The basis is that of another policy than the record states.
    #[error("the basis is that of the policy `{basis}`, and the record states `{record}`")]
    OtherPolicy {
        /// The digest in the basis.
        basis: String,
        /// The digest in the record.
        record: String,
    },
    /// A value of the record is none that this version reads.
    #[error("the record's `{0}` is not of a form that this version reads")]
    Unread(&'static str),
}

/// The policy of one moment, with the names that it opens.
#[derive(Debug)]
struct Ground {
    /// The digest of the policy, as records state it.
    policy: String,
    snapshot: Snapshot,
    terms: Terms,
    by_hmac: BTreeMap<String, String>,
}

/// A basis that was looked for, by its digest.
type Sought = (String, Result<Arc<Ground>, Arc<BasisError>>);

/// Derives decisions of the log in one directory, on any number of threads.
#[derive(Debug)]
pub struct Replayer {
    dir: PathBuf,
    key: Option<NamesKey>,
    /// The bases that were used last, the latest first. Locked while one is read, so that none is read
    /// twice at once.
    bases: Mutex<VecDeque<Sought>>,
    no_terms: Terms,
    no_names: BTreeMap<String, String>,
}

/// Edited documents, in the form that recorded facts are compared with.
#[derive(Debug)]
pub struct Edited {
    snapshot: Snapshot,
    by_hmac: BTreeMap<String, String>,
}

impl Edited {
    /// The documents of `snapshot`, closed with the key of the log. `None` when a time in them
    /// cannot be kept.
    #[must_use]
    pub fn of(snapshot: &Snapshot, key: &NamesKey) -> Option<Self> {
        let names = Names::of(Some(snapshot), key.clone());
        let opened = basis::closed(snapshot, &no_terms(), &names)?;
        Some(Self {
            snapshot: opened.snapshot,
            by_hmac: names.by_hmac(),
        })
    }

    /// The digest of the documents.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.snapshot.digest()
    }
}

/// Nothing that a decision without a policy depends on.
fn no_terms() -> Terms {
    Terms {
        staleness_max: Duration::MAX,
        network_classes: BTreeMap::new(),
    }
}

impl Replayer {
    /// Derives the decisions of the log in `dir`. The key is needed for names that a policy has and
    /// the record does not show: those of edited documents.
    #[must_use]
    pub fn new(dir: &Path, key: Option<NamesKey>) -> Self {
        Self {
            dir: dir.to_path_buf(),
            key,
            bases: Mutex::new(VecDeque::new()),
            no_terms: no_terms(),
            no_names: BTreeMap::new(),
        }
    }

    /// The answer that the record of `decision` and its basis give.
    ///
    /// # Errors
    ///
    /// When the record or its basis cannot be read or do not belong together.
    pub fn derive(&self, decision: &Decision) -> Result<Answer, Fault> {
        let ground = self.ground(decision)?;
        let ground = ground.as_deref();
        let standing = Standing {
            snapshot: ground.map(|ground| &ground.snapshot),
            unverified_for: unverified_for(decision),
            terms: ground.map_or(&self.no_terms, |ground| &ground.terms),
        };
        let by_hmac = ground.map_or(&self.no_names, |ground| &ground.by_hmac);
        answer(&standing, decision, by_hmac)
    }

    /// The answer that the launch would have got had the documents been the edited ones, and all else
    /// as it was: the time, how fresh the policy was, the operator's configuration, and the host's
    /// own files. A decision without a policy would have had none of the edited one either.
    ///
    /// # Errors
    ///
    /// When the record or its basis cannot be read or do not belong together.
    pub fn derive_under(&self, edited: &Edited, decision: &Decision) -> Result<Answer, Fault> {
        let Some(ground) = self.ground(decision)? else {
            return self.derive(decision);
        };
        let standing = Standing {
            snapshot: Some(&edited.snapshot),
            unverified_for: unverified_for(decision),
            terms: &ground.terms,
        };
        answer(&standing, decision, &edited.by_hmac)
    }

    /// What the decision was based on; `None` when no policy had been read.
    fn ground(&self, decision: &Decision) -> Result<Option<Arc<Ground>>, Fault> {
        let stated = (&decision.policy, &decision.basis, decision.unverified_ns);
        let (policy, digest) = match stated {
            (None, None, None) => return Ok(None),
            (Some(policy), Some(basis), Some(_)) => (policy, basis),
            (_, _, _) => return Err(Fault::Incomplete),
        };
        let ground = self.basis(digest).map_err(Fault::Basis)?;
        if ground.policy == *policy {
            Ok(Some(ground))
        } else {
            let (basis, record) = (ground.policy.clone(), policy.clone());
            Err(Fault::OtherPolicy { basis, record })
        }
    }

    /// The basis with this digest; what was found wrong with it is remembered too.
    fn basis(&self, digest: &str) -> Result<Arc<Ground>, Arc<BasisError>> {
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let at = bases.iter().position(|(known, _)| known == digest);
        let sought = at.and_then(|at| bases.remove(at));
        let sought = sought.unwrap_or_else(|| {
            bases.truncate(BASES_MAX.saturating_sub(1));
            let read = basis::read(&self.dir, digest);
            let ground = read.map(|opened| self.opened(opened)).map_err(Arc::new);
            (digest.to_owned(), ground)
        });
        let found = sought.1.clone();
        bases.push_front(sought);
        found
    }

    fn opened(&self, opened: basis::Opened) -> Arc<Ground> {
        let by_hmac = match &self.key {
            Some(key) => Names::of(Some(&opened.snapshot), key.clone()).by_hmac(),
            None => BTreeMap::new(),
        };
        Arc::new(Ground {
            policy: opened.snapshot.digest().to_string(),
            snapshot: opened.snapshot,
            terms: opened.terms,
            by_hmac,
        })
    }
}

fn unverified_for(decision: &Decision) -> Duration {
    Duration::from_nanos(decision.unverified_ns.unwrap_or_default())
}

fn answer(
    standing: &Standing<'_>,
    decision: &Decision,
    by_hmac: &BTreeMap<String, String>,
) -> Result<Answer, Fault> {
    let at = Timestamp::parse(&decision.time).ok_or(Fault::Unread("time"))?;
    for (name, digest) in [
        ("expected_policy", &decision.facts.expected_policy),
        ("admission_file", &decision.facts.admission_file),
    ] {
        // What is no digest must not decide as one.
        let is_read = |text: &str| Digest::parse(text).is_some() || text.starts_with(HMAC_PREFIX);
        if !digest.as_deref().is_none_or(is_read) {
            return Err(Fault::Unread(name));
        }
    }
    let facts = closed::open_facts(&decision.facts, by_hmac);
    Ok(Answer::derived(&decide(standing, &facts, at)))
}

/// What an edit of the documents does to a past decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was denied, and would be allowed.
    Allowed,
    /// It was denied, and would be allowed as soon as the host has the edited file too.
    AllowedWithHost,
    /// It was allowed, and would be denied.
    Denied,
    /// It was allowed, and would be denied only until the host has the edited file too.
    DeniedUntilHost,
    /// It was denied, and would be denied for other reasons.
    Reasons,
    /// Nothing.
    None,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 6] = [
        Self::Allowed,
        Self::AllowedWithHost,
        Self::Denied,
        Self::DeniedUntilHost,
        Self::Reasons,
        Self::None,
    ];

    /// What happened between the `recorded` answer and the one `under` the edit.
    #[must_use]
    pub fn between(recorded: &Answer, under: &Answer) -> Self {
        // A host that had the right file before the edit will get the edited one.
        let is_hosts = |reason: &String| {
            HOST_CODES.iter().any(|code| code.as_str() == reason)
                && !recorded.reasons.contains(reason)
        };
        let only_host = !under.reasons.is_empty() && under.reasons.iter().all(is_hosts);
        match (recorded.verdict, under.verdict) {
            (Verdict::Deny, Verdict::Allow) => Self::Allowed,
            (Verdict::Deny, Verdict::Deny) if only_host => Self::AllowedWithHost,
            (Verdict::Allow, Verdict::Deny) if only_host => Self::DeniedUntilHost,
            (Verdict::Allow, Verdict::Deny) => Self::Denied,
            (Verdict::Deny, Verdict::Deny) if recorded.reasons != under.reasons => Self::Reasons,
            (Verdict::Deny, Verdict::Deny) | (Verdict::Allow, Verdict::Allow) => Self::None,
        }
    }

    /// Whether the verdict changes, now or as soon as the host follows.
    #[must_use]
    pub fn is_flip(self) -> bool {
        match self {
            Self::Allowed | Self::AllowedWithHost | Self::Denied | Self::DeniedUntilHost => true,
            Self::Reasons | Self::None => false,
        }
    }
}
