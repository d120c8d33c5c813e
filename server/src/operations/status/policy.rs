//! The policy in force, as rows of the page.

use admit_policy::{
    Finding, Pair, Place, Reason, Snapshot, Standing, Timestamp,
    document::{
        admission::{Admission, Role, Status},
        decision_record::Branch,
        work_item::WorkItem,
    },
    pair_objections,
    snapshot::RecordState,
};

use super::{Capped, ROWS_MAX, apart, moment, moment::Moment, safe};
use crate::store::State;

/// Most things that block a work item, and most places of a reason, in one row.
const CELL_ENTRIES_MAX: usize = 8;
/// From how many days on an expiry is said to be near, and urgent.
const NEAR_DAYS: u64 = 14;
const URGENT_DAYS: u64 = 2;
const DAY_S: u64 = 24 * 60 * 60;

/// The policy in force.
#[derive(Debug)]
pub(super) struct PolicyView {
    pub(super) is_stale: bool,
    pub(super) failure: Option<String>,
    pub(super) verified: Option<Moment>,
    /// How long it has not been verified, in seconds and for a person; none when it never was.
    pub(super) age: Option<(u64, String)>,
    pub(super) staleness_max: (u64, String),
    pub(super) loaded: Option<LoadedView>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct LoadedView {
    pub(super) digest: String,
    pub(super) read: Moment,
    pub(super) branch: &'static str,
    pub(super) branch_means: &'static str,
    pub(super) admitted: usize,
    pub(super) pairs: Capped<PairRow>,
    pub(super) expiries: Capped<ExpiryRow>,
    pub(super) findings: Capped<FindingRow>,
    pub(super) work_items: Capped<WorkItemRow>,
}

/// A pair that the policy names.
#[derive(Debug)]
pub(super) struct PairRow {
    pub(super) provider: String,
    pub(super) model: String,
    /// Why it is not admitted; nothing when it is.
    pub(super) reasons: Vec<ReasonRow>,
}

#[derive(Debug)]
pub(super) struct ReasonRow {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) places: Vec<String>,
}

/// An admission and until when it holds.
#[derive(Debug)]
pub(super) struct ExpiryRow {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) role: &'static str,
    pub(super) is_revoked: bool,
    pub(super) place: String,
    /// None when nothing but its condition ends it.
    pub(super) expires: Option<Moment>,
    pub(super) urgency: Urgency,
}

/// How near an expiry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It is past.
    Expired,
    /// Less than [`URGENT_DAYS`] away.
    Urgent,
    /// Less than [`NEAR_DAYS`] away.
    Near,
    /// Farther away, or there is none.
    Far,
}

/// A finding with the line that it stands in, cut where the underlined part begins and ends.
#[derive(Debug)]
pub(super) struct FindingRow {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: &'static str,
    pub(super) place: String,
    pub(super) line: u32,
    pub(super) excerpt: Option<[String; 3]>,
}

#[derive(Debug)]
pub(super) struct WorkItemRow {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) status: Option<String>,
    pub(super) blocked_by: Vec<String>,
    pub(super) place: String,
}

impl PolicyView {
    pub(super) fn of(state: &State, standing: &Standing<'_>, now: Timestamp) -> Self {
        let staleness_max = standing.terms.staleness_max;
        let age = standing.unverified_for;
        let loaded = state.loaded.as_ref();
        Self {
            is_stale: standing.is_stale(),
            failure: state.failure.as_deref().map(safe),
            verified: state.verify_time.map(|at| Moment::new(at, now)),
            age: loaded.map(|_| (age.as_secs(), moment::length(age))),
            staleness_max: (staleness_max.as_secs(), moment::length(staleness_max)),
            loaded: loaded.map(|loaded| {
                let read = Moment::new(loaded.read_time, now);
                LoadedView::of(&loaded.snapshot, read, standing, now)
            }),
        }
    }

    /// Every code that stands in a row.
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        let pairs = self.loaded.iter().flat_map(|loaded| &loaded.pairs.rows);
        pairs.flat_map(|pair| pair.reasons.iter().map(|reason| reason.code))
    }
}

impl LoadedView {
    fn of(snapshot: &Snapshot, read: Moment, standing: &Standing<'_>, now: Timestamp) -> Self {
        let (branch, branch_means) = branch(snapshot);
        let (admitted, others): (Vec<_>, Vec<_>) = snapshot
            .pairs()
            .into_iter()
            .map(|pair| {
                let objections = pair_objections(standing, &pair.provider, &pair.model, now);
                (pair, objections)
            })
            .partition(|(_, objections)| objections.is_empty());
        let mut admissions: Vec<&Admission> = snapshot.admissions().collect();
        admissions.sort_by_key(|admission| {
            let expires = admission.expires_at.as_ref().map(|at| at.value);
            (expires.is_none(), expires)
        });
        Self {
            digest: snapshot.digest().to_string(),
            read,
            branch,
            branch_means,
            admitted: admitted.len(),
            pairs: Capped {
                more: admitted
                    .len()
                    .saturating_add(others.len())
                    .saturating_sub(ROWS_MAX),
                rows: admitted
                    .iter()
                    .chain(&others)
                    .take(ROWS_MAX)
                    .map(|(pair, reasons)| PairRow::of(pair, reasons))
                    .collect(),
            },
            expiries: Capped::of(admissions.into_iter(), |admission| {
                ExpiryRow::of(admission, now)
            }),
            findings: Capped::of(snapshot.findings().iter(), FindingRow::of),
            work_items: Capped::of(snapshot.work_items().iter(), WorkItemRow::of),
        }
    }
}

/// What the decision record selects, and what that means.
fn branch(snapshot: &Snapshot) -> (&'static str, &'static str) {
    match snapshot.record() {
        RecordState::Missing => (
            "no record",
            "there is no decision record, so no pair may run",
        ),
        RecordState::Conflict(_) => (
            "conflict",
            "there is more than one decision record, so no pair may run",
        ),
        RecordState::Invalid(_) => (
            "not valid",
            "the decision record is not valid, so no pair may run",
        ),
        RecordState::Valid(record) => (
            record.branch.as_str(),
            match record.branch {
                Branch::NotDecided => "nothing is decided, so no pair may run",
                Branch::ExternalProviderApproved => "an external provider is approved",
                Branch::LocalProviderRequired => "a local provider is required",
            },
        ),
    }
}

impl PairRow {
    fn of(pair: &Pair, reasons: &[Reason]) -> Self {
        Self {
            provider: safe(&pair.provider),
            model: safe(&pair.model),
            reasons: reasons
                .iter()
                .map(|reason| ReasonRow {
                    code: reason.code.as_str(),
                    message: safe(&reason.message),
                    places: reason
                        .places
                        .iter()
                        .take(CELL_ENTRIES_MAX)
                        .map(place)
                        .collect(),
                })
                .collect(),
        }
    }
}

impl ExpiryRow {
    fn of(admission: &Admission, now: Timestamp) -> Self {
        let expires = admission.expires_at.as_ref().map(|at| at.value);
        Self {
            provider: safe(&admission.pair.value.provider),
            model: safe(&admission.pair.value.model),
            role: match admission.role.value {
                Role::Primary => "primary",
                Role::Fallback => "fallback",
            },
            is_revoked: admission.status.value == Status::Revoked,
            place: place(&admission.pair.place),
            expires: expires.map(|at| Moment::new(at, now)),
            urgency: Urgency::of(expires, now),
        }
    }
}

impl Urgency {
    fn of(expires: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(expires) = expires else {
            return Self::Far;
        };
        let (distance, is_ahead) = apart(now, expires);
        if !is_ahead {
            return Self::Expired;
        }
        match distance.as_secs() / DAY_S {
            days if days < URGENT_DAYS => Self::Urgent,
            days if days < NEAR_DAYS => Self::Near,
            _ => Self::Far,
        }
    }

    /// For a person; nothing when there is nothing to say.
    pub(super) fn describe(self) -> Option<&'static str> {
        match self {
            Self::Expired => Some("expired"),
            Self::Urgent => Some("under 2 days"),
            Self::Near => Some("under 14 days"),
            Self::Far => None,
        }
    }

    /// The class of its badge.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Expired | Self::Urgent => "bad",
            Self::Near => "warn",
            Self::Far => "quiet",
        }
    }
}

impl FindingRow {
    fn of(finding: &Finding) -> Self {
        Self {
            code: finding.code.as_str(),
            message: safe(&finding.message),
            help: finding.code.help(),
            place: place(&finding.place),
            line: finding.place.line,
            excerpt: finding.excerpt.as_ref().map(|excerpt| {
                let start = usize::try_from(excerpt.underline_start).unwrap_or(usize::MAX);
                let length = usize::try_from(excerpt.underline_length).unwrap_or(usize::MAX);
                let mut characters = excerpt.text.chars();
                let before = characters.by_ref().take(start).collect();
                let underlined: String = characters.by_ref().take(length.max(1)).collect();
                let underlined = if underlined.is_empty() {
                    // The place is the end of the line; a mark needs something to stand under.
                    " ".into()
                } else {
                    underlined
                };
                [before, underlined, characters.collect()]
            }),
        }
    }
}

impl WorkItemRow {
    fn of(item: &WorkItem) -> Self {
        Self {
            id: safe(&item.id),
            title: safe(&item.title),
            status: item.status.as_deref().map(safe),
            blocked_by: item
                .blocked_by
                .iter()
                .take(CELL_ENTRIES_MAX)
                .map(|entry| safe(entry))
                .collect(),
            place: place(&item.place),
        }
    }
}

/// A place, as `admitd validate` writes it.
fn place(place: &Place) -> String {
    let path = safe(&place.path);
    if place.line == 0 {
        path
    } else {
        format!("{path}:{}:{}", place.line, place.column)
    }
}
