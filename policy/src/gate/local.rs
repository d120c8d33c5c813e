//! Gates of a local provider: its endpoint, and the adapter that leads Case to it.
//!
//! They hold while the branch is `local_provider_required`, and not for an admission of another
//! class.

use alloc::{collections::BTreeSet, format, vec::Vec};

use super::{LaunchView, Objection, PairView};
use crate::{
    document::{
        admission::{Located, ProviderClass},
        decision_record::Branch,
    },
    facts::{AdapterState, EndpointScope, LocalProvider, Presence, ServedModel},
};

/// Whether the gates of a local provider hold for this pair.
fn applies(pair: &PairView<'_>) -> bool {
    let is_local_branch = match pair.decided().map(|record| record.branch) {
        Some(Branch::LocalProviderRequired) => true,
        Some(Branch::NotDecided | Branch::ExternalProviderApproved) | None => false,
    };
    let is_local_class = match pair
        .admission()
        .map(|admission| admission.provider_class.value)
    {
        Some(ProviderClass::LocalCaseCompatible) | None => true,
        Some(ProviderClass::ExternalAnthropic | ProviderClass::ExternalFallback) => false,
    };
    is_local_branch && is_local_class
}

/// What is known of the local provider, when these gates hold.
fn local(launch: &LaunchView<'_>) -> Option<LocalProvider> {
    applies(&launch.pair).then_some(launch.facts.local_provider)
}

/// The admission's network class and its scopes, if the configuration defines it.
fn network_class<'a>(
    pair: &PairView<'a>,
) -> Option<(
    &'a Located<alloc::string::String>,
    Option<&'a BTreeSet<EndpointScope>>,
)> {
    if !applies(pair) {
        return None;
    }
    let class = &pair.admission()?.allowed_network_class;
    Some((class, pair.standing.terms.network_classes.get(&class.value)))
}

pub(super) fn base_url_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    match local(launch)?.base_url {
        Presence::Present => None,
        Presence::Absent | Presence::Unstated => Some(Objection::new(
            "the base URL of the local provider is not supplied",
        )),
    }
}

pub(super) fn network_class_undefined(pair: &PairView<'_>) -> Option<Objection> {
    match network_class(pair)? {
        (_, Some(_)) => None,
        (class, None) => Some(Objection::from(
            "the server's configuration does not define this network class",
            [class.place.clone()],
        )),
    }
}

pub(super) fn network_class_not_allowed(launch: &LaunchView<'_>) -> Option<Objection> {
    let (class, scopes) = network_class(&launch.pair)?;
    let scope = launch.facts.local_provider.endpoint_scope;
    let within = scopes.is_some_and(|scopes| scope.is_some_and(|scope| scopes.contains(&scope)));
    (!within).then(|| {
        let allowed: Vec<&str> = scopes.into_iter().flatten().map(|s| s.as_str()).collect();
        let allowed = if allowed.is_empty() {
            "none".into()
        } else {
            allowed.join(", ")
        };
        let stated = scope.map_or("not stated", EndpointScope::as_str);
        Objection::from(
            format!("the scope of the endpoint is {stated}; the network class allows: {allowed}"),
            [class.place.clone()],
        )
    })
}

pub(super) fn adapter_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    match local(launch)?.adapter {
        AdapterState::Absent => Some(Objection::new("there is no models.json")),
        AdapterState::Valid
        | AdapterState::Malformed
        | AdapterState::PairAbsent
        | AdapterState::OtherEndpoint
        | AdapterState::ShellCommand => None,
    }
}

pub(super) fn adapter_invalid(launch: &LaunchView<'_>) -> Option<Objection> {
    let message = match local(launch)?.adapter {
        AdapterState::Absent | AdapterState::Valid => return None,
        AdapterState::Malformed => "models.json is malformed, and Pi would drop it whole",
        AdapterState::PairAbsent => "models.json has no entry for the requested pair",
        AdapterState::OtherEndpoint => "models.json leads elsewhere than the base URL",
        AdapterState::ShellCommand => "models.json has a value that would run a shell command",
    };
    Some(Objection::new(message))
}

pub(super) fn served_model_mismatch(launch: &LaunchView<'_>) -> Option<Objection> {
    match local(launch)?.served_model {
        ServedModel::NotProbed | ServedModel::Match => None,
        ServedModel::Mismatch => Some(Objection::new("the endpoint does not serve the model")),
        ServedModel::Unstated => Some(Objection::new(
            "it is not stated whether the endpoint was asked which models it serves",
        )),
    }
}
