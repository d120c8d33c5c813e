//! The arguments of the command: the flags that would choose a model, and the task that it names.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

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
