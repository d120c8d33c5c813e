//! Whether the environment of the process can be told from here at all.
//!
//! Bun, which Case runs on, loads `.env` files of the working directory: they can set any variable
//! that is unset here, the model override and credentials included. Then nobody knows what the
//! process would see, and what nobody knows stays unstated.

use std::{ffi::OsString, io::ErrorKind, path::Path};

use super::{Notes, Surroundings};

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

/// The programs that are Case, or Bun that runs it.
const PROGRAMS: [&str; 3] = ["bun", "case", "ca"];

/// Flags of Bun that load code or configuration, or lead to another working directory.
const LOADING_FLAGS: [&str; 9] = [
    "--cwd",
    "--preload",
    "-r",
    "--require",
    "--import",
    "--config",
    "-c",
    "--eval",
    "-e",
];

/// Whether the variables here are those that the process would see.
pub(super) fn is_environment_known(surroundings: &Surroundings, notes: &mut Notes) -> bool {
    if surroundings.is_set("BUN_OPTIONS") {
        notes.add(
            "BUN_OPTIONS",
            "is set: Bun could load other variables, so the environment stays unstated",
        );
        return false;
    }
    if surroundings
        .argv
        .iter()
        .any(|argument| argument.to_string_lossy().starts_with("--env-file"))
    {
        notes.add(
            "--env-file",
            "is an argument: it loads other variables, so the environment stays unstated",
        );
        return false;
    }
    if !is_case_itself(&surroundings.argv) {
        notes.add(
            "COMMAND",
            "is not `bun`, `case` or `ca` itself, or has a flag that loads more: what the process \
             would see is not known, so the environment stays unstated",
        );
        return false;
    }
    if may_exist(&surroundings.working_dir.join("bunfig.toml")) {
        notes.add(
            "bunfig.toml",
            "in the working directory could load any code, so the environment stays unstated",
        );
        return false;
    }
    let is_loaded = FILES
        .iter()
        .any(|file| may_exist(&surroundings.working_dir.join(file)));
    if is_loaded && !loads_none(surroundings) {
        notes.add(
            ".env",
            "in the working directory could set any variable, so the environment stays unstated: \
             remove it, or start Case as `bun --no-env-file …`",
        );
        return false;
    }
    true
}

/// Whether the command starts Case without anything between that could set a variable, add an argument
/// or load code. No command at all adds nothing.
pub(super) fn is_case_itself(argv: &[OsString]) -> bool {
    let Some((command, arguments)) = argv.split_first() else {
        return true;
    };
    let is_case = Path::new(command)
        .file_name()
        .is_some_and(|name| PROGRAMS.iter().any(|program| name == *program));
    let loads_more = arguments.iter().any(|argument| {
        let argument = argument.to_string_lossy();
        let flag = argument.split('=').next().unwrap_or(&argument);
        LOADING_FLAGS.contains(&flag)
    });
    is_case && !loads_more
}

fn may_exist(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Whether the command is Bun with `--no-env-file` before the script. Behind the script the flag
/// would be the script's, and Case ignores flags that it does not know.
fn loads_none(surroundings: &Surroundings) -> bool {
    let Some((command, arguments)) = surroundings.argv.split_first() else {
        return false;
    };
    Path::new(command)
        .file_name()
        .is_some_and(|name| name == "bun")
        && arguments
            .iter()
            .take_while(|argument| argument.to_string_lossy().starts_with('-'))
            .any(|argument| argument == "--no-env-file")
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
        let mut notes = Notes::default();
        let known = is_environment_known(&surroundings, &mut notes);
        assert_eq!(known, notes.is_empty());
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

    #[test]
    fn only_a_command_that_is_case_itself_shows_what_it_gets() {
        let argv = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for line in [
            "bun --no-env-file case/src/index.ts run --task t.json --mode unattended",
            "/opt/case/bin/ca run -t t.json",
            "case --fresh",
        ] {
            assert!(is_case_itself(&argv(line)), "{line}");
        }
        for line in [
            "env CASE_MODEL_OVERRIDE=x bun --no-env-file case.ts",
            "sh -c case",
            "bun --cwd=elsewhere case.ts",
            "bun --preload ./x.ts case.ts",
            "bun -r ./x.ts case.ts",
            "bun --config=x.toml case.ts",
            "npx case",
        ] {
            assert!(!is_case_itself(&argv(line)), "{line}");
        }
        assert!(is_case_itself(&[]));
    }
}
