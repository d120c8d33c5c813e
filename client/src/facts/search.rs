//! The searches that a launch is stated with: for secrets, and for paths of Target Repositories. What
//! was not read was not searched.

use admit_proto::v1::{Presence, ScanTarget, SecretScan};

use super::{
    Launch, Surroundings, TargetRepositories, case::ConfigFile, has_secret, scan,
    target_repository, task_file::TaskFiles,
};

/// What the search of the generated configuration found.
pub(super) struct GeneratedConfig {
    is_covered: bool,
    pub(super) is_secret_in_case_config: bool,
    is_secret_in_models: bool,
}

impl GeneratedConfig {
    /// Searches both files. One that is not there has been looked for, and holds no secret.
    pub(super) fn search(
        surroundings: &Surroundings,
        config: &ConfigFile,
        models: &ConfigFile,
    ) -> Self {
        let is_variable = |name: &str| surroundings.value(name).is_some();
        let has_secret = |file: &ConfigFile| {
            file.bytes()
                .is_some_and(|bytes| scan::config_has_secret(bytes, &is_variable))
        };
        Self {
            is_covered: *config != ConfigFile::Unread && *models != ConfigFile::Unread,
            is_secret_in_case_config: has_secret(config),
            is_secret_in_models: has_secret(models),
        }
    }
}

/// What the search for secrets covered, and where it found something.
pub(super) fn secret_scan(
    surroundings: &Surroundings,
    tasks: &TaskFiles,
    generated: &GeneratedConfig,
) -> SecretScan {
    let searched = [
        (
            ScanTarget::Argv,
            !surroundings.argv.is_empty(),
            scan::arguments_have_secret(&surroundings.argv),
        ),
        (
            ScanTarget::TaskFile,
            tasks.is_complete,
            tasks.texts.iter().any(|text| has_secret(text)),
        ),
        (
            ScanTarget::GeneratedConfig,
            generated.is_covered,
            generated.is_secret_in_case_config || generated.is_secret_in_models,
        ),
    ];
    let those = |wanted: fn(bool, bool) -> bool| {
        searched
            .into_iter()
            .filter(|(_, is_covered, has_secret)| wanted(*is_covered, *has_secret))
            .map(|(target, ..)| target.into())
            .collect()
    };
    SecretScan {
        covered: those(|is_covered, _| is_covered),
        findings: those(|_, has_secret| has_secret),
    }
}

/// Whether a Target Repository is visible. Absent is said only after everything was searched.
pub(super) fn target_repository(
    surroundings: &Surroundings,
    launch: &Launch,
    config: &ConfigFile,
    models: &ConfigFile,
    tasks: &TaskFiles,
) -> Presence {
    let repositories = match &launch.target_repositories {
        TargetRepositories::Unstated => return Presence::Unspecified,
        TargetRepositories::None => return Presence::Absent,
        TargetRepositories::These(repositories) => repositories,
    };
    let texts: Vec<&[u8]> = [config.bytes(), models.bytes()]
        .into_iter()
        .flatten()
        .chain(tasks.texts.iter().map(String::as_bytes))
        .collect();
    let is_searched = !surroundings.argv.is_empty()
        && tasks.is_complete
        && *config != ConfigFile::Unread
        && *models != ConfigFile::Unread;
    if target_repository::is_visible(surroundings, repositories, &texts) {
        Presence::Present
    } else if is_searched {
        Presence::Absent
    } else {
        Presence::Unspecified
    }
}
