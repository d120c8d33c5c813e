//! The policy in force: from the store's state to messages.

use admit_policy::{
    Finding, Snapshot, Standing, Timestamp,
    document::{decision_record::Branch, work_item::WorkItem},
    gate::PLACES_MAX,
    pair_objections,
    snapshot::Admitted,
};
use admit_proto::v1;
use prost::Message;

use super::{answer::reason, bounded, count, place, timestamp};
use crate::store::State;

/// Most entries of each list of a policy.
pub const ENTRIES_MAX: usize = 1000;
/// Largest list of a policy, in bytes on the wire; so a policy stays below the 4 MiB that clients
/// take.
pub const LIST_BYTES_MAX: usize = 1024 * 1024;
const TEXT_CHARS_MAX: usize = 1024;
const TITLE_CHARS_MAX: usize = 256;
const STATUS_CHARS_MAX: usize = 64;
const BLOCKED_BY_MAX: usize = 32;

/// The policy in force.
#[must_use]
pub fn policy(state: &State, standing: &Standing<'_>, now: Timestamp) -> v1::Policy {
    let mut policy = v1::Policy {
        stale: standing.is_stale(),
        read_failure: bounded(state.failure.as_deref().unwrap_or_default(), TEXT_CHARS_MAX),
        verify_time: state.verify_time.map(timestamp),
        ..v1::Policy::default()
    };
    let Some(loaded) = &state.loaded else {
        return policy;
    };
    let snapshot = &loaded.snapshot;
    policy.digest = snapshot.digest().to_string();
    policy.read_time = Some(timestamp(loaded.read_time));
    policy.branch = branch(snapshot).into();
    let pairs = snapshot.pairs();
    policy.pairs_count = count(pairs.len());
    policy.next_expire_time = next_expiry(standing, snapshot, now).map(timestamp);
    policy.pairs = bounded_list(
        pairs
            .iter()
            .map(|named| pair(standing, snapshot, &named.provider, &named.model, now)),
    );
    policy.findings_count = count(snapshot.findings().len());
    policy.findings = bounded_list(snapshot.findings().iter().map(finding));
    policy.work_items = bounded_list(snapshot.work_items().iter().map(work_item));
    policy
}

/// The first entries of a list, within [`ENTRIES_MAX`] and [`LIST_BYTES_MAX`].
fn bounded_list<M: Message>(entries: impl Iterator<Item = M>) -> Vec<M> {
    let mut bytes_left = LIST_BYTES_MAX;
    entries
        .take(ENTRIES_MAX)
        .map_while(|entry| {
            bytes_left = bytes_left.checked_sub(entry.encoded_len())?;
            Some(entry)
        })
        .collect()
}

/// The event that tells of the policy in force.
#[must_use]
pub fn policy_changed(state: &State) -> v1::PolicyChanged {
    match &state.loaded {
        None => v1::PolicyChanged::default(),
        Some(loaded) => v1::PolicyChanged {
            digest: loaded.snapshot.digest().to_string(),
            read_time: Some(timestamp(loaded.read_time)),
            branch: branch(&loaded.snapshot).into(),
            findings_count: count(loaded.snapshot.findings().len()),
        },
    }
}

/// The event that tells whether a pair is admitted.
#[must_use]
pub fn pair_changed(
    standing: &Standing<'_>,
    provider: &str,
    model: &str,
    now: Timestamp,
) -> v1::PairChanged {
    let (state, reasons) = pair_state(standing, provider, model, now);
    v1::PairChanged {
        state: state.into(),
        reasons,
        policy_digest: standing
            .snapshot
            .map(|snapshot| snapshot.digest().to_string())
            .unwrap_or_default(),
    }
}

fn pair_state(
    standing: &Standing<'_>,
    provider: &str,
    model: &str,
    now: Timestamp,
) -> (v1::PairState, Vec<v1::Reason>) {
    let reasons = pair_objections(standing, provider, model, now);
    let state = if reasons.is_empty() {
        v1::PairState::Admitted
    } else {
        v1::PairState::Revoked
    };
    (state, reasons.iter().map(reason).collect())
}

fn branch(snapshot: &Snapshot) -> v1::Branch {
    match snapshot.valid_record().map(|record| record.branch) {
        None => v1::Branch::Unspecified,
        Some(Branch::NotDecided) => v1::Branch::NotDecided,
        Some(Branch::ExternalProviderApproved) => v1::Branch::ExternalProviderApproved,
        Some(Branch::LocalProviderRequired) => v1::Branch::LocalProviderRequired,
    }
}

fn pair(
    standing: &Standing<'_>,
    snapshot: &Snapshot,
    provider: &str,
    model: &str,
    now: Timestamp,
) -> v1::Pair {
    let (state, reasons) = pair_state(standing, provider, model, now);
    let (places, expire_time) = match snapshot.admitted(provider, model) {
        None => (Vec::new(), None),
        Some(Admitted::One(admission)) => (
            vec![place(&admission.pair.place)],
            admission
                .expires_at
                .as_ref()
                .map(|expires| timestamp(expires.value)),
        ),
        Some(Admitted::Conflict(places)) => {
            (places.iter().take(PLACES_MAX).map(place).collect(), None)
        }
    };
    v1::Pair {
        provider: provider.into(),
        model: model.into(),
        state: state.into(),
        reasons,
        places,
        expire_time,
    }
}

/// When the next admission of a pair that is admitted now is due for review.
#[must_use]
pub fn next_expiry(
    standing: &Standing<'_>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Option<Timestamp> {
    snapshot
        .admissions()
        .filter_map(|admission| {
            let expires_at = admission.expires_at.as_ref()?.value;
            let pair = &admission.pair.value;
            pair_objections(standing, &pair.provider, &pair.model, now)
                .is_empty()
                .then_some(expires_at)
        })
        .min()
}

/// A finding on the wire.
#[must_use]
pub fn finding(finding: &Finding) -> v1::Finding {
    let excerpt = finding.excerpt.as_ref();
    v1::Finding {
        code: finding.code.as_str().into(),
        message: bounded(&finding.message, TEXT_CHARS_MAX),
        help: bounded(finding.code.help(), TEXT_CHARS_MAX),
        place: Some(place(&finding.place)),
        excerpt: excerpt
            .map(|excerpt| excerpt.text.clone())
            .unwrap_or_default(),
        underline_start: excerpt.map_or(0, |excerpt| excerpt.underline_start),
        underline_length: excerpt.map_or(0, |excerpt| excerpt.underline_length),
    }
}

fn work_item(item: &WorkItem) -> v1::WorkItem {
    v1::WorkItem {
        id: item.id.clone(),
        title: bounded(&item.title, TITLE_CHARS_MAX),
        status: bounded(item.status.as_deref().unwrap_or_default(), STATUS_CHARS_MAX),
        blocked_by: item
            .blocked_by
            .iter()
            .take(BLOCKED_BY_MAX)
            .map(|entry| bounded(entry, TITLE_CHARS_MAX))
            .collect(),
        place: Some(place(&item.place)),
    }
}
