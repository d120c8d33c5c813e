//! Gates of the real lane that come from the launch: what Case would really do.

use alloc::{format, string::String, vec::Vec};

use super::{LaunchView, Objection};
use crate::{
    case_config::CaseConfig,
    facts::{Presence, is_credential_of, is_known_credential},
};

/// The one stage in which real Case is admitted.
const ADMITTED_STAGE: u32 = 2;

pub(super) fn stage_not_admitted(launch: &LaunchView<'_>) -> Option<Objection> {
    (launch.facts.stage != ADMITTED_STAGE).then(|| {
        Objection::new(format!(
            "real Case is admitted in stage {ADMITTED_STAGE} only"
        ))
    })
}

pub(super) fn provider_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    launch
        .facts
        .provider
        .is_empty()
        .then(|| Objection::new("no provider is requested"))
}

pub(super) fn model_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    launch
        .facts
        .model
        .is_empty()
        .then(|| Objection::new("no model is requested"))
}

pub(super) fn config_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    match launch.facts.case_config {
        None => Some(Objection::new("Case would find no config.json")),
        Some(_) => None,
    }
}

pub(super) fn config_invalid(launch: &LaunchView<'_>) -> Option<Objection> {
    match launch.facts.case_config.as_ref()? {
        Err(fault) => Some(Objection::new(format!("config.json {}", fault.describe()))),
        Ok(config) => {
            let malformed = config.malformed_entries();
            (!malformed.is_empty()).then(|| {
                Objection::new(format!(
                    "in config.json, no provider and model as texts under `models`: {}",
                    malformed.join(", ")
                ))
            })
        }
    }
}

/// Case's config, if it can be read at all.
fn readable<'a>(launch: &'a LaunchView<'_>) -> Option<&'a CaseConfig> {
    launch.facts.case_config.as_ref()?.as_ref().ok()
}

pub(super) fn config_mismatch(launch: &LaunchView<'_>) -> Option<Objection> {
    let config = readable(launch)?;
    (!config.default_is(&launch.facts.provider, &launch.facts.model))
        .then(|| Objection::new("`models.default` in config.json is not the requested pair"))
}

pub(super) fn external_fallback(launch: &LaunchView<'_>) -> Option<Objection> {
    let roles = readable(launch)?.roles_elsewhere(&launch.facts.provider, &launch.facts.model);
    (!roles.is_empty()).then(|| {
        Objection::new(format!(
            "Case would use another pair for: {}",
            roles.join(", ")
        ))
    })
}

pub(super) fn model_override(launch: &LaunchView<'_>) -> Option<Objection> {
    let facts = launch.facts;
    match (facts.case_model_override, facts.model_flag) {
        (Presence::Absent, Presence::Absent) => None,
        (Presence::Present, Presence::Unstated | Presence::Absent | Presence::Present) => {
            Some(Objection::new("CASE_MODEL_OVERRIDE is set"))
        }
        (Presence::Unstated | Presence::Absent, Presence::Present) => {
            Some(Objection::new("a --model flag is present"))
        }
        (Presence::Unstated, Presence::Unstated | Presence::Absent)
        | (Presence::Absent, Presence::Unstated) => Some(Objection::new(
            "nobody looked for CASE_MODEL_OVERRIDE and a --model flag",
        )),
    }
}

pub(super) fn agent_mode(launch: &LaunchView<'_>) -> Option<Objection> {
    match launch.facts.agent_flag {
        Presence::Absent => None,
        Presence::Present => Some(Objection::new("an --agent flag is present")),
        Presence::Unstated => Some(Objection::new("nobody looked for an --agent flag")),
    }
}

pub(super) fn foreign_credential(launch: &LaunchView<'_>) -> Option<Objection> {
    let Some(names) = &launch.facts.visible_credentials else {
        return Some(Objection::new("nobody looked for credential variables"));
    };
    let foreign: Vec<&String> = names
        .iter()
        .filter(|name| !is_credential_of(name, &launch.facts.provider))
        .collect();
    if foreign.is_empty() {
        return None;
    }
    // Only names of the fixed table are repeated; any other text of the caller is counted.
    let known: Vec<&str> = foreign
        .iter()
        .map(|name| name.as_str())
        .filter(|name| is_known_credential(name))
        .collect();
    let others = foreign.len().saturating_sub(known.len());
    let message = match (known.is_empty(), others) {
        (false, 0) => format!("credentials of others are visible: {}", known.join(", ")),
        (false, others) => format!(
            "credentials of others are visible: {}, and {others} more",
            known.join(", ")
        ),
        (true, 1) => "1 credential variable of no known provider is visible".into(),
        (true, others) => format!("{others} credential variables of no known provider are visible"),
    };
    Some(Objection::new(message))
}

pub(super) fn fake_baseline_missing(launch: &LaunchView<'_>) -> Option<Objection> {
    let facts = launch.facts;
    match &facts.fake_baseline_run {
        None => Some(Objection::new("no fake baseline is declared")),
        Some(run) if run.is_empty() || *run != facts.run_id => {
            Some(Objection::new("the fake baseline is of another run"))
        }
        Some(_) => None,
    }
}
