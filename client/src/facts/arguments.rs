//! The arguments of the command: whether Case itself gets them, the flags that would choose a model, and
//! the task that they name.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Flags of Bun, before the script, that load nothing and lead nowhere.
const HARMLESS_BUN_FLAGS: [&str; 8] = [
    "--no-env-file",
    "--no-install",
    "--no-addons",
    "--no-macros",
    "--silent",
    "--smol",
    "--bun",
    "-b",
];

/// Endings of a script. Without one Bun could take the word for one of its commands, or for a script
/// of a `package.json`.
const SCRIPT_ENDINGS: [&str; 4] = ["ts", "mts", "js", "mjs"];

/// Whether the command starts Case without anything between that could set a variable, add an argument
/// or load code. No command at all adds nothing.
pub(super) fn is_case_itself(argv: &[OsString]) -> bool {
    argv.is_empty() || of_case(argv).is_some()
}

/// What Case itself gets: the arguments behind `case`, `ca`, or Bun's script. `None` when something
/// could stand between that sets a variable, adds an argument or loads code.
pub(super) fn of_case(argv: &[OsString]) -> Option<&[OsString]> {
    let (command, arguments) = argv.split_first()?;
    match Path::new(command).file_name()?.to_str()? {
        "case" | "ca" => Some(arguments),
        "bun" => {
            let script_at = arguments
                .iter()
                .position(|argument| !HARMLESS_BUN_FLAGS.iter().any(|flag| argument == flag))?;
            let (script, arguments) = arguments.get(script_at..)?.split_first()?;
            is_script(script).then_some(arguments)
        }
        _ => None,
    }
}

fn is_script(word: &OsStr) -> bool {
    let ending = Path::new(word).extension().and_then(OsStr::to_str);
    !word.as_bytes().starts_with(b"-")
        && ending.is_some_and(|ending| SCRIPT_ENDINGS.contains(&ending))
}

/// Whether the command is Bun with `--no-env-file` before the script. Behind the script the flag
/// would be the script's, and Case ignores flags that it does not know.
pub(super) fn loads_no_dotenv(argv: &[OsString]) -> bool {
    let Some((command, arguments)) = argv.split_first() else {
        return false;
    };
    Path::new(command)
        .file_name()
        .is_some_and(|name| name == "bun")
        && arguments
            .iter()
            .take_while(|argument| argument.as_bytes().starts_with(b"-"))
            .any(|argument| argument == "--no-env-file")
}

/// Whether `--<name>` is among the arguments, in any form and anywhere, also where the command would
/// not take it for a flag.
pub(super) fn has_flag(argv: &[OsString], name: &str) -> bool {
    argv.iter().any(|argument| {
        argument
            .as_bytes()
            .strip_prefix(b"--")
            .and_then(|argument| argument.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    })
}

/// The one task file of Case's `run`, if there is no other way to read the arguments.
///
/// Case reads what follows `--task`, `-t`, `--mode` and `-m` as their value, whatever it looks like, splits
/// short flags that stand together, takes the last of several tasks, and without a task falls back to
/// an issue and silences itself.
pub(super) fn explicit_task(arguments: &[OsString]) -> Option<PathBuf> {
    let words = match arguments.split_first()? {
        (verb, rest) if verb == "run" => rest,
        (first, _) if first.as_bytes().starts_with(b"-") => arguments,
        _ => return None,
    };
    let mut task = None;
    let mut words = words.iter().map(|word| word.as_bytes());
    while let Some(word) = words.next() {
        let value = match word {
            b"--task" | b"-t" => words.next().filter(|value| is_value(value))?,
            b"--mode" | b"-m" => {
                words.next();
                continue;
            }
            b"--" => return None,
            _ => match (word.strip_prefix(b"--task="), word) {
                (Some(value), _) if is_value(value) => value,
                (Some(_), _) => return None,
                (None, [b'-', b'-', ..]) => continue,
                (None, [b'-', _, ..]) => return None,
                // Case ignores it beside a task.
                (None, _) => continue,
            },
        };
        if task.replace(value).is_some() {
            return None;
        }
    }
    task.map(|task| PathBuf::from(OsStr::from_bytes(task)))
}

fn is_value(word: &[u8]) -> bool {
    !word.is_empty() && !word.starts_with(b"-")
}

/// Every path that `--task` or `-t` names, in any form that Case takes.
pub(super) fn named_tasks(argv: &[OsString]) -> Vec<PathBuf> {
    let mut tasks = Vec::new();
    for (at, argument) in argv.iter().enumerate() {
        let bytes = argument.as_bytes();
        let attached = bytes
            .strip_prefix(b"--task=")
            .or_else(|| bytes.strip_prefix(b"-t=").or(bytes.strip_prefix(b"-t")))
            .filter(|attached| !attached.is_empty());
        if let Some(attached) = attached {
            tasks.push(PathBuf::from(OsStr::from_bytes(attached)));
        } else if argument == "--task" || argument == "-t" {
            tasks.extend(argv.get(at.saturating_add(1)).map(PathBuf::from));
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_flag_is_found_in_every_form() {
        for arguments in [
            &["case", "--model"][..],
            &["case", "--model", "x"],
            &["case", "run", "--model=x"],
            &["case", "--model="],
            &["case", "--", "--model"],
        ] {
            assert!(has_flag(&argv(arguments), "model"), "{arguments:?}");
            assert!(!has_flag(&argv(arguments), "agent"), "{arguments:?}");
        }
        for arguments in [&["case", "--models"][..], &["model"], &["-model"], &[]] {
            assert!(!has_flag(&argv(arguments), "model"), "{arguments:?}");
        }
    }

    #[test]
    fn only_a_command_that_is_case_itself_shows_what_case_gets() {
        let of_case = |line: &str| of_case(&words(line)).map(<[OsString]>::len);
        for (line, count) in [
            (
                "/usr/bin/bun --no-env-file case/src/index.ts run --task t.json --mode unattended",
                5,
            ),
            ("bun --smol --no-env-file case.mjs", 0),
            ("bun case.ts -e x --cwd y", 4),
            ("/opt/case/bin/ca run -t t.json", 3),
            ("case --fresh", 1),
        ] {
            assert_eq!(of_case(line), Some(count), "{line}");
        }
        for line in [
            "env CASE_MODEL_OVERRIDE=x bun --no-env-file case.ts",
            "sh -c case",
            "npx case",
            "bunx case",
            "bun",
            "bun --no-env-file",
            "bun run case.ts",
            "bun x case.ts",
            "bun case",
            "bun - case.ts",
            "bun --cwd=elsewhere case.ts",
            "bun --cwd elsewhere case.ts",
            "bun --preload ./x.ts case.ts",
            "bun -r ./x.ts case.ts",
            "bun -r./x.ts case.ts",
            "bun --config=x.toml case.ts",
            "bun --env-file=x case.ts",
            "bun -e x.ts",
            "bun --inspect case.ts",
        ] {
            assert_eq!(of_case(line), None, "{line}");
        }
        assert_eq!(super::of_case(&[]), None);
    }

    #[test]
    fn a_task_is_explicit_in_the_forms_that_read_in_one_way() {
        for line in [
            "run --task t.json",
            "run --task=t.json --mode unattended",
            "--mode unattended -t t.json",
            "--task t.json --fresh --dry-run --provider x",
            "run -m unattended --task t.json 1234",
        ] {
            assert_eq!(
                explicit_task(&words(line)),
                Some(PathBuf::from("t.json")),
                "{line}"
            );
        }
        for line in [
            "run",
            "1234 --task t.json",
            "create --task t.json",
            "run 1234",
            "run --task",
            "run --task=",
            "run --task --fresh",
            "run --mode --task t.json",
            "run -m --task t.json",
            "run -- --task t.json",
            "run --task t.json -- x",
            "run -tt.json",
            "run -t=t.json",
            "run -xt t.json",
            "run --task u.json -tt.json",
            "run --task u.json -xt t.json",
            "run --task t.json --task u.json",
            "run --task t.json -t t.json",
            "run --task=t.json --task=u.json",
            "run --tasks t.json",
        ] {
            assert_eq!(explicit_task(&words(line)), None, "{line}");
        }
        assert_eq!(explicit_task(&[]), None);
        assert_eq!(explicit_task(&argv(&["run", "--task", ""])), None);
    }

    #[test]
    fn a_task_is_found_in_every_form() {
        for arguments in [
            &["case", "--task", "a.task.json"][..],
            &["case", "--task=a.task.json"],
            &["case", "-t", "a.task.json"],
            &["case", "-t=a.task.json"],
            &["case", "-ta.task.json"],
        ] {
            assert_eq!(
                named_tasks(&argv(arguments)),
                [PathBuf::from("a.task.json")],
                "{arguments:?}"
            );
        }
        assert!(named_tasks(&argv(&["case", "--task"])).is_empty());
        assert!(named_tasks(&argv(&["case", "--tasks", "x"])).is_empty());
    }
}
