//! The gates about Case's `config.json`, as SPEC section 5 says how Case resolves a role.

use crate::{
    expected::Denied,
    world::{Config, Entry, Models, World},
};

/// What Case would use for a role, by section 5: a pair, or an error (`None`).
fn resolve<'a>(models: &'a Models, role: &str) -> Option<(&'a str, &'a str)> {
    const SILENT: (&str, &str) = ("anthropic", "claude-sonnet-4-6");
    let Models::Entries(entries) = models else {
        return Some(SILENT);
    };
    let entry = |name: &str| entries.iter().find(|(found, _)| *found == name);
    let of_entry = |entry: &Entry| match entry {
        Entry::Pair(provider, model) => Some((*provider, *model)),
        Entry::Falsy(_) | Entry::Malformed(_) => None,
    };
    match (entry(role), entry("default")) {
        (Some((_, own @ (Entry::Pair(..) | Entry::Malformed(_)))), _) => of_entry(own),
        (_, None | Some((_, Entry::Falsy("null")))) => Some(SILENT),
        (_, Some((_, default))) => of_entry(default),
    }
}

pub(crate) fn config(world: &World, denied: &mut Denied) {
    const ROLES: [&str; 6] = [
        "implementer",
        "verifier",
        "reviewer",
        "closer",
        "retrospective",
        "orchestrator",
    ];
    let models = match &world.stated.config {
        // The one code says it all, as it does for a broken file: there are no bytes to judge.
        Config::Missing => return denied.when(true, "case-config-missing"),
        Config::Broken(_) => return denied.when(true, "case-config-invalid"),
        Config::Object { models, .. } => models,
    };
    let requested = (world.stated.provider, world.stated.model);
    let malformed = match models {
        Models::Absent | Models::NotAnObject(_) => false,
        Models::Entries(entries) => entries.iter().any(|(name, entry)| {
            (*name == "default" || ROLES.contains(name)) && matches!(entry, Entry::Malformed(_))
        }),
    };
    denied.when(malformed, "case-config-invalid");
    let default = match models {
        Models::Absent | Models::NotAnObject(_) => None,
        Models::Entries(entries) => entries.iter().find_map(|(name, entry)| match entry {
            Entry::Pair(provider, model) if *name == "default" => Some((*provider, *model)),
            _ => None,
        }),
    };
    denied.when(default != Some(requested), "case-config-mismatch");
    let elsewhere = ROLES
        .iter()
        .filter_map(|role| resolve(models, role))
        .any(|resolved| resolved != requested);
    denied.when(elsewhere, "external-fallback");
}
