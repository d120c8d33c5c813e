//! Whether the environment of the process can be told from here at all.
//!
//! Bun, which Case runs on, loads `.env` files of the working directory: they can set any variable
//! that is unset here, the model override and credentials included. Then nobody knows what the
//! process would see, and what nobody knows stays unstated. The wrapper refuses besides, to give the
//! real reason.

use super::{FileRole, Ledger, RefusalCode, Surroundings, arguments};

/// The files that Bun loads.
const FILES: [&str; 8] = [
    ".env",
    ".env.local",
    ".env.development",
    ".env.development.local",
    ".env.production",
    ".env.production.local",
    ".env.test",
    ".env.test.local",
];

/// Whether the variables here are those that the process would see.
pub(super) fn is_environment_known(surroundings: &Surroundings, ledger: &mut Ledger) -> bool {
    // Each is looked at, so that each is told.
    [
        has_no_bun_options,
        is_command_known,
        has_no_bun_config,
        has_no_dotenv,
    ]
    .map(|look| look(surroundings, ledger))
    .into_iter()
    .all(|is_known| is_known)
}

fn has_no_bun_options(surroundings: &Surroundings, ledger: &mut Ledger) -> bool {
    let is_set = surroundings.is_set("BUN_OPTIONS");
    if is_set {
        ledger.note(
            "BUN_OPTIONS",
            "is set: Bun could load other variables, so the environment stays unstated",
        );
        ledger.refuse(RefusalCode::BunOptionsSet, "BUN_OPTIONS");
    }
    !is_set
}

fn is_command_known(surroundings: &Surroundings, ledger: &mut Ledger) -> bool {
    let argv = &surroundings.argv;
    let loads_file = argv
        .iter()
        .any(|argument| argument.to_string_lossy().starts_with("--env-file"));
    let is_known = arguments::is_case_itself(argv) && !loads_file;
    if !is_known {
        ledger.note(
            "COMMAND",
            "is not `case`, `ca` or `bun` with a script, or has a flag that loads more: what the \
             process would see is not known, so the environment stays unstated",
        );
        ledger.refuse(RefusalCode::CommandNotCase, "COMMAND");
    }
    is_known
}

fn has_no_bun_config(surroundings: &Surroundings, ledger: &mut Ledger) -> bool {
    let path = surroundings.working_dir.join("bunfig.toml");
    let is_absent = ledger.is_absent(&path, FileRole::BunConfig);
    if !is_absent {
        ledger.note(
            "bunfig.toml",
            "in the working directory could load any code, so the environment stays unstated",
        );
        ledger.refuse(RefusalCode::BunConfigInWorkingDirectory, "bunfig.toml");
    }
    is_absent
}

fn has_no_dotenv(surroundings: &Surroundings, ledger: &mut Ledger) -> bool {
    if arguments::loads_no_dotenv(&surroundings.argv) {
        return true;
    }
    let mut are_absent = true;
    for file in FILES {
        if !ledger.is_absent(&surroundings.working_dir.join(file), FileRole::Environment) {
            ledger.refuse(RefusalCode::DotenvInWorkingDirectory, file);
            are_absent = false;
        }
    }
    if !are_absent {
        ledger.note(
            ".env",
            "in the working directory could set any variable, so the environment stays unstated: \
             remove it, or start Case as `bun --no-env-file …`",
        );
    }
    are_absent
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn is_known(file: Option<&str>, variables: &[(&str, &str)], argv: &[&str]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        if let Some(file) = file {
            fs::write(folder.path().join(file), "CASE_MODEL_OVERRIDE=x").unwrap();
        }
        let surroundings = Surroundings {
            variables: variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            working_dir: folder.path().into(),
            argv: argv.iter().map(Into::into).collect(),
        };
        let mut ledger = Ledger::default();
        let known = is_environment_known(&surroundings, &mut ledger);
        assert_eq!(known, ledger.notes.is_empty());
        known
    }

    #[test]
    fn a_dotenv_file_makes_the_environment_unknown() {
        let bun = ["/usr/bin/bun", "--no-env-file", "case.ts", "run"];
        assert!(is_known(None, &[], &["case", "run"]));
        assert!(is_known(Some(".env"), &[], &bun));
        assert!(is_known(Some(".envrc"), &[], &["case"]));
        for file in FILES {
            assert!(!is_known(Some(file), &[], &["case", "run"]), "{file}");
        }
        for argv in [
            &[][..],
            &["case", "--no-env-file"],
            &["bun", "case.ts", "--no-env-file"],
            &["bun", "--env-file=x", "case.ts"],
            &["bunny", "--no-env-file", "case.ts"],
        ] {
            assert!(!is_known(Some(".env"), &[], argv), "{argv:?}");
        }
    }

    #[test]
    fn other_ways_to_load_variables_count() {
        assert!(!is_known(
            None,
            &[("BUN_OPTIONS", "--preload x")],
            &["case"]
        ));
        assert!(!is_known(None, &[], &["bun", "--env-file", "x", "case.ts"]));
    }
}
