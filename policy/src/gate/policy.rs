//! Gates of the real lane that come from the policy: the record and the admission.

use alloc::{format, vec::Vec};

use super::{LaunchView, Objection, PairView};
use crate::{
    document::{
        admission::{AuthBridge, Role, Status},
        decision_record::{Branch, DecisionRecord},
    },
    finding::Place,
    pair::SILENT_PROVIDER,
    snapshot::{Admitted, RecordState, Snapshot},
};

/// The provider whose credentials reach Case only over a bridge.
const BRIDGED_PROVIDER: &str = "openai-codex";

pub(super) fn unavailable(pair: &PairView<'_>) -> Option<Objection> {
    match pair.standing.snapshot {
        None => Some(Objection::new("no policy has been read yet")),
        Some(_) => None,
    }
}

pub(super) fn stale(pair: &PairView<'_>) -> Option<Objection> {
    pair.standing.is_stale().then(|| {
        Objection::new("the policy directory could not be read for longer than `staleness_max`")
    })
}

pub(super) fn expected_mismatch(launch: &LaunchView<'_>) -> Option<Objection> {
    let snapshot = launch.pair.standing.snapshot?;
    let expected = launch.facts.expected_policy?;
    (expected != snapshot.digest()).then(|| {
        Objection::new(format!(
            "the policy in force has the digest {}",
            snapshot.digest()
        ))
    })
}

pub(super) fn record_missing(pair: &PairView<'_>) -> Option<Objection> {
    match pair.standing.snapshot?.record() {
        RecordState::Missing => Some(Objection::new("the policy has no decision record")),
        RecordState::Conflict(_) | RecordState::Invalid(_) | RecordState::Valid(_) => None,
    }
}

pub(super) fn record_conflict(pair: &PairView<'_>) -> Option<Objection> {
    match pair.standing.snapshot?.record() {
        RecordState::Conflict(places) => Some(Objection::from(
            format!("the policy has {} decision records", places.len()),
            places.iter().cloned(),
        )),
        RecordState::Missing | RecordState::Invalid(_) | RecordState::Valid(_) => None,
    }
}

pub(super) fn record_invalid(pair: &PairView<'_>) -> Option<Objection> {
    match pair.standing.snapshot?.record() {
        RecordState::Invalid(places) => Some(Objection::from(
            "the decision record is not valid",
            places.iter().cloned(),
        )),
        RecordState::Missing | RecordState::Conflict(_) | RecordState::Valid(_) => None,
    }
}

pub(super) fn not_decided(pair: &PairView<'_>) -> Option<Objection> {
    let record = pair.standing.snapshot?.valid_record()?;
    match record.branch {
        Branch::NotDecided => Some(Objection::from(
            "the decision record decides nothing",
            [record.place.clone()],
        )),
        Branch::ExternalProviderApproved | Branch::LocalProviderRequired => None,
    }
}

pub(super) fn admission_file_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    match launch.facts.admission_file {
        None => Some(Objection::new(
            "the host has no admission file that it can read",
        )),
        Some(_) => None,
    }
}

pub(super) fn admission_invalid(launch: &LaunchView<'_>) -> Option<Objection> {
    let snapshot = launch.pair.standing.snapshot?;
    let place = snapshot.invalid_admission(launch.facts.admission_file?)?;
    Some(Objection::from(
        "the host's admission file is not valid",
        [place.clone()],
    ))
}

pub(super) fn admission_conflict(pair: &PairView<'_>) -> Option<Objection> {
    match pair.admitted? {
        Admitted::Conflict(places) => Some(Objection::from(
            format!("{} files admit the pair, so none does", places.len()),
            places.iter().cloned(),
        )),
        Admitted::One(_) => None,
    }
}

pub(super) fn not_admitted(pair: &PairView<'_>) -> Option<Objection> {
    let snapshot = pair.standing.snapshot?;
    if pair.provider.is_empty() || pair.model.is_empty() {
        return None;
    }
    match pair.admitted {
        None => Some(not_among(snapshot)),
        Some(Admitted::One(_) | Admitted::Conflict(_)) => None,
    }
}

/// The objection to a pair that no valid file names. A file that is not valid may be the one that was
/// meant.
fn not_among(snapshot: &Snapshot) -> Objection {
    let message = "no valid admission file names exactly this pair";
    match snapshot.invalid_admissions().count() {
        0 => Objection::new(message),
        1 => Objection::from(
            format!("{message}; one admission file is not valid, see `admitd validate`"),
            snapshot
                .invalid_admissions()
                .map(|(_, place)| place.clone()),
        ),
        many => Objection::from(
            format!("{message}; {many} admission files are not valid, see `admitd validate`"),
            snapshot
                .invalid_admissions()
                .map(|(_, place)| place.clone()),
        ),
    }
}

pub(super) fn admission_file_mismatch(launch: &LaunchView<'_>) -> Option<Objection> {
    let admission = launch.pair.admission()?;
    (launch.facts.admission_file? != admission.digest).then(|| {
        Objection::from(
            "the host's admission file is not this one",
            [Place::whole(&admission.pair.place.path)],
        )
    })
}

pub(super) fn admission_revoked(pair: &PairView<'_>) -> Option<Objection> {
    let status = &pair.admission()?.status;
    match status.value {
        Status::Admitted => None,
        Status::Revoked => Some(Objection::from(
            "the admission is revoked",
            [status.place.clone()],
        )),
    }
}

pub(super) fn admission_not_yet_valid(pair: &PairView<'_>) -> Option<Objection> {
    let from = &pair.admission()?.admission_timestamp;
    (from.value > pair.now).then(|| {
        Objection::from(
            format!("the admission holds from {} on", from.value),
            [from.place.clone()],
        )
    })
}

pub(super) fn review_due(pair: &PairView<'_>) -> Option<Objection> {
    let until = pair.admission()?.expires_at.as_ref()?;
    (until.value <= pair.now).then(|| {
        Objection::from(
            format!("the admission is due for review since {}", until.value),
            [until.place.clone()],
        )
    })
}

pub(super) fn decision_status_mismatch(pair: &PairView<'_>) -> Option<Objection> {
    let record = pair.decided()?;
    let admission = pair.admission()?;
    let own_class = record.branch.own_class()?;
    let class = &admission.provider_class;
    if admission.role.value == Role::Primary && class.value != own_class {
        Some(Objection::from(
            format!(
                "the admission's class is not that of `{}`",
                record.branch.as_str()
            ),
            [class.place.clone(), record.place.clone()],
        ))
    } else if record.branch == Branch::LocalProviderRequired
        && admission.pair.value.provider == SILENT_PROVIDER
    {
        Some(Objection::from(
            format!("`{SILENT_PROVIDER}` is not a local provider"),
            [admission.pair.place.clone(), record.place.clone()],
        ))
    } else {
        None
    }
}

/// The role that the record gives the pair; `None` when it does not name it.
fn selected_role<'a>(record: &'a DecisionRecord, pair: &PairView<'_>) -> Option<(Role, &'a Place)> {
    [
        (Role::Primary, &record.primary),
        (Role::Fallback, &record.fallback),
    ]
    .into_iter()
    .find_map(|(role, named)| {
        let named = named.as_ref()?;
        named
            .pair
            .is(pair.provider, pair.model)
            .then_some((role, &named.place))
    })
}

pub(super) fn pair_not_selected(pair: &PairView<'_>) -> Option<Objection> {
    let record = pair.decided()?;
    pair.admission()?;
    match selected_role(record, pair) {
        Some(_) => None,
        None => {
            let named: Vec<Place> = [&record.primary, &record.fallback]
                .into_iter()
                .flatten()
                .map(|named| named.place.clone())
                .collect();
            let places = if named.is_empty() {
                Vec::from([record.place.clone()])
            } else {
                named
            };
            Some(Objection::from(
                "the decision record does not select this pair",
                places,
            ))
        }
    }
}

pub(super) fn fallback_not_explicit(pair: &PairView<'_>) -> Option<Objection> {
    let (role, place) = selected_role(pair.decided()?, pair)?;
    let admission = pair.admission()?;
    let message = match (role, admission.role.value) {
        (Role::Primary, Role::Primary) | (Role::Fallback, Role::Fallback) => return None,
        (Role::Fallback, Role::Primary) => {
            "the pair is the record's fallback, and the admission's role is not `fallback`"
        }
        (Role::Primary, Role::Fallback) => {
            "the pair is the record's primary one, and the admission's role is `fallback`"
        }
    };
    Some(Objection::from(
        message,
        [admission.role.place.clone(), place.clone()],
    ))
}

pub(super) fn auth_bridge_unproven(pair: &PairView<'_>) -> Option<Objection> {
    let bridge = &pair.admission()?.auth_bridge;
    match bridge.value {
        AuthBridge::Proven => None,
        AuthBridge::Unproven => (pair.provider == BRIDGED_PROVIDER).then(|| {
            Objection::from(
                format!("no bridge is proven that carries the credentials of `{BRIDGED_PROVIDER}` into Case"),
                [bridge.place.clone()],
            )
        }),
    }
}

pub(super) fn credential_source_mismatch(launch: &LaunchView<'_>) -> Option<Objection> {
    let class = &launch.pair.admission()?.credential_source_class;
    (launch.facts.credential_source_class != class.value).then(|| {
        Objection::from(
            format!(
                "the launch does not state the credential source class `{}`",
                class.value
            ),
            [class.place.clone()],
        )
    })
}
