//! Gates of every lane, and the one of the fake lane.

use alloc::{format, vec::Vec};

use super::{LaunchView, Objection};
use crate::{
    facts::{FixtureKind, Presence, ScanTarget},
    pair::FAKE_PROVIDER,
};

pub(super) fn lane_unspecified(_: &LaunchView<'_>) -> Option<Objection> {
    // The table asks this gate in no lane but the unspecified one.
    Some(Objection::new("the lane is not stated, or not known"))
}

pub(super) fn secret_scan_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    let Some(scan) = &launch.facts.secret_scan else {
        return Some(Objection::new("nobody searched for secrets"));
    };
    let missing = [
        (
            ScanTarget::Argv,
            "the search for secrets left out the arguments",
        ),
        (
            ScanTarget::TaskFile,
            "the search for secrets left out the task file",
        ),
        (
            ScanTarget::GeneratedConfig,
            "the search for secrets left out the generated config",
        ),
    ]
    .into_iter()
    .find(|(target, _)| !scan.covered.contains(target));
    missing.map(|(_, message)| Objection::new(message))
}

pub(super) fn secret_detected(launch: &LaunchView<'_>) -> Option<Objection> {
    let found = launch
        .facts
        .secret_scan
        .iter()
        .flat_map(|scan| &scan.findings);
    let mut places: Vec<&str> = found.map(|target| scanned_place(*target)).collect();
    places.sort_unstable();
    places.dedup();
    if !places.is_empty() {
        let places = places.join(" and in ");
        Some(Objection::new(format!(
            "the caller's search found a secret in {places}"
        )))
    } else if launch.facts.has_secret {
        Some(Objection::new(
            "the request itself has something that looks like a secret",
        ))
    } else {
        None
    }
}

fn scanned_place(target: ScanTarget) -> &'static str {
    match target {
        ScanTarget::Unstated => "a place that is not known",
        ScanTarget::Argv => "the arguments",
        ScanTarget::TaskFile => "the task file",
        ScanTarget::GeneratedConfig => "the generated config",
    }
}

pub(super) fn fixture_out_of_scope(launch: &LaunchView<'_>) -> Option<Objection> {
    match launch.facts.fixture {
        FixtureKind::CopiedArtificial => None,
        FixtureKind::Unstated => Some(Objection::new("the kind of the fixture is not stated")),
        FixtureKind::ArtificialOriginal => Some(Objection::new("the fixture is not a copy")),
        FixtureKind::RealRepository => Some(Objection::new("the fixture is not artificial")),
    }
}

pub(super) fn target_repository_exposed(launch: &LaunchView<'_>) -> Option<Objection> {
    match launch.facts.target_repository {
        Presence::Absent => None,
        Presence::Present => Some(Objection::new("a Target Repository path is visible")),
        Presence::Unstated => Some(Objection::new(
            "nobody looked whether a Target Repository path is visible",
        )),
    }
}

pub(super) fn fake_lane_names_provider(launch: &LaunchView<'_>) -> Option<Objection> {
    let facts = launch.facts;
    if facts.provider.is_empty() {
        (!facts.model.is_empty())
            .then(|| Objection::new("the fake lane has a model without a provider"))
    } else {
        (facts.provider != FAKE_PROVIDER)
            .then(|| Objection::new("the fake lane names a provider other than `fake`"))
    }
}
