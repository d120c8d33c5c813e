//! What Case itself would find: its `config.json`, and whether its model is overridden.

use std::path::PathBuf;

use super::{FileRole, GatherError, Ledger, Surroundings, bounded_file::FileFault};

/// The variable that overrides the model of every role.
const OVERRIDE: &str = "CASE_MODEL_OVERRIDE";

/// What became of a file of the generated configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConfigFile {
    /// There is none.
    Absent,
    /// Its content.
    Read(Vec<u8>),
    /// Nobody could look.
    Unread,
}

impl ConfigFile {
    /// The content, if it was read.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Read(bytes) => Some(bytes),
            Self::Absent | Self::Unread => None,
        }
    }
}

/// Whether `CASE_MODEL_OVERRIDE` is set. Case ignores an empty one; here it counts, so that nothing
/// hangs on how Case reads it.
pub(super) fn has_override(surroundings: &Surroundings) -> bool {
    surroundings.is_set(OVERRIDE)
}

/// Reads the `config.json` that Case would read.
///
/// A file over the limit is an error: to leave it out would say that there is none, and it cannot
/// be sent.
pub(super) fn read_config(
    surroundings: &Surroundings,
    ledger: &mut Ledger,
) -> Result<ConfigFile, GatherError> {
    let Some((variable, folder)) = data_dir(surroundings) else {
        ledger.note(
            "CASE_DATA_DIR",
            "is not set, and neither is XDG_CONFIG_HOME or HOME: Case would find no config.json",
        );
        return Ok(ConfigFile::Unread);
    };
    match ledger.read(&folder.join("config.json"), FileRole::CaseConfig) {
        Ok(Some(bytes)) => Ok(ConfigFile::Read(bytes)),
        Ok(None) => Ok(ConfigFile::Absent),
        Err(FileFault::TooLarge) => Err(GatherError::ConfigTooLarge { variable }),
        Err(fault @ (FileFault::Unreadable | FileFault::NotRegular)) => {
            ledger.note(
                variable,
                format!("leads to a config.json that {}", fault.describe()),
            );
            Ok(ConfigFile::Unread)
        }
    }
}

/// Case's data folder, and the variable that says so.
pub(super) fn data_dir(surroundings: &Surroundings) -> Option<(&'static str, PathBuf)> {
    let below = |variable, folder: &str| {
        surroundings
            .path(variable)
            .map(|base| (variable, base.join(folder)))
    };
    below("CASE_DATA_DIR", "")
        .or_else(|| below("XDG_CONFIG_HOME", "case"))
        .or_else(|| below("HOME", ".config/case"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use admit_policy::case_config::CONFIG_BYTES_MAX;

    use super::*;

    fn surroundings(folder: &tempfile::TempDir, variables: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            variables: variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            working_dir: folder.path().into(),
            argv: Vec::new(),
        }
    }

    #[test]
    fn the_config_is_looked_for_where_case_looks() {
        let folder = tempfile::tempdir().unwrap();
        for (place, content) in [("data", "1"), ("xdg/case", "2"), ("home/.config/case", "3")] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join("config.json"), content).unwrap();
        }
        let (data, xdg, home) = (
            ("CASE_DATA_DIR", "data"),
            ("XDG_CONFIG_HOME", "xdg"),
            ("HOME", "home"),
        );
        for (variables, content) in [
            (vec![data, xdg, home], "1"),
            (vec![("CASE_DATA_DIR", ""), xdg, home], "2"),
            (vec![("XDG_CONFIG_HOME", ""), home], "3"),
            (vec![home], "3"),
        ] {
            assert_eq!(
                read_config(&surroundings(&folder, &variables), &mut Ledger::default()).unwrap(),
                ConfigFile::Read(content.into()),
                "{variables:?}"
            );
        }
        let missing = surroundings(&folder, &[("CASE_DATA_DIR", "nowhere"), home]);
        assert_eq!(
            read_config(&missing, &mut Ledger::default()).unwrap(),
            ConfigFile::Absent
        );
    }

    #[test]
    fn a_config_that_cannot_be_read_is_never_absent() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("config.json")).unwrap();
        for variables in [&[("CASE_DATA_DIR", ".")][..], &[]] {
            let mut ledger = Ledger::default();
            let read = read_config(&surroundings(&folder, variables), &mut ledger).unwrap();
            assert_eq!(read, ConfigFile::Unread);
            assert!(!ledger.notes.is_empty());
        }
    }

    #[test]
    fn a_config_over_the_limit_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("config.json"),
            vec![b' '; CONFIG_BYTES_MAX + 1],
        )
        .unwrap();
        let surroundings = surroundings(&folder, &[("CASE_DATA_DIR", ".")]);
        assert!(matches!(
            read_config(&surroundings, &mut Ledger::default()),
            Err(GatherError::ConfigTooLarge {
                variable: "CASE_DATA_DIR"
            })
        ));
    }

    #[test]
    fn an_empty_override_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert!(has_override(&surroundings(&folder, &[(OVERRIDE, "")])));
        assert!(!has_override(&surroundings(&folder, &[])));
    }
}
