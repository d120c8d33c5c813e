//! The task files of the launch, and the prose beside them, read to be searched. They never travel.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{Notes, Surroundings, arguments, bounded_file};

/// Largest task file, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// The task files of a launch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskFiles {
    /// The texts that were read.
    pub(super) texts: Vec<String>,
    /// Whether these are all of them.
    pub(super) is_complete: bool,
}

/// Reads the task file that the caller states and every one that the command names, each with the
/// Markdown beside it.
pub(super) fn read(
    surroundings: &Surroundings,
    stated: Option<&Path>,
    notes: &mut Notes,
) -> TaskFiles {
    let mut named: Vec<PathBuf> = stated.map(Path::to_path_buf).into_iter().collect();
    named.extend(arguments::named_tasks(&surroundings.argv));
    if named.is_empty() {
        notes.add("--task", "is not given and the command names no task file");
    }
    let mut tasks = TaskFiles {
        is_complete: !named.is_empty(),
        texts: Vec::new(),
    };
    for path in named {
        let path = surroundings.working_dir.join(path);
        tasks.add(&path, true, notes);
        for prose in prose_of(&path) {
            tasks.add(&prose, false, notes);
        }
    }
    tasks
}

impl TaskFiles {
    fn add(&mut self, path: &Path, is_required: bool, notes: &mut Notes) {
        let fault = match bounded_file::read(path, BYTES_MAX) {
            Ok(None) if !is_required => return,
            Ok(None) => "is not there",
            Err(fault) => fault.describe(),
            // A text of another encoding would hide everything from a search.
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => {
                    self.texts.push(text);
                    return;
                }
                Ok(_) | Err(_) => "is not a text in UTF-8",
            },
        };
        self.is_complete = false;
        let which = if is_required {
            "the task file"
        } else {
            "the Markdown beside the task file"
        };
        notes.add("--task", format!("was not searched: {which} {fault}"));
    }
}

/// Where the prose of a task may be: `x.md` beside `x.task.json`, and `y.md` beside `y.json`.
fn prose_of(task: &Path) -> Vec<PathBuf> {
    let plain = task.with_extension("md");
    let Some(stem) = task
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_suffix(".task.json"))
    else {
        return if plain == task {
            Vec::new()
        } else {
            vec![plain]
        };
    };
    let mut name = OsString::from(stem);
    name.push(".md");
    vec![task.with_file_name(name), plain]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_in(folder: &Path, stated: Option<&str>, argv: &[&str]) -> (TaskFiles, usize) {
        let surroundings = Surroundings {
            variables: [].into(),
            working_dir: folder.into(),
            argv: argv.iter().map(Into::into).collect(),
        };
        let mut notes = Notes::default();
        let tasks = read(&surroundings, stated.map(Path::new), &mut notes);
        (tasks, notes.into_vec().len())
    }

    #[test]
    fn the_stated_and_the_named_task_are_read_with_their_prose() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.task.json", "1"),
            ("a.md", "2"),
            ("b.json", "3"),
            ("b.md", "4"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (tasks, notes) = read_in(
            folder.path(),
            Some("a.task.json"),
            &["case", "--task", "b.json"],
        );
        assert_eq!(tasks.texts, ["1", "2", "3", "4"]);
        assert!(tasks.is_complete);
        assert_eq!(notes, 0);
    }

    #[test]
    fn what_was_not_read_leaves_the_search_incomplete() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("good.json"), "{}").unwrap();
        fs::write(folder.path().join("utf16.json"), b"{\0}\0").unwrap();
        fs::write(folder.path().join("latin.json"), b"\xe9").unwrap();
        fs::write(folder.path().join("prose.json"), "{}").unwrap();
        fs::create_dir(folder.path().join("prose.md")).unwrap();
        for (stated, argv) in [
            (None, &["case"][..]),
            (Some("missing.json"), &[]),
            (Some("utf16.json"), &[]),
            (Some("latin.json"), &[]),
            (Some("prose.json"), &[]),
            (Some("good.json"), &["case", "-t", "missing.json"]),
        ] {
            let (tasks, notes) = read_in(folder.path(), stated, argv);
            assert!(!tasks.is_complete, "{stated:?} {argv:?}");
            assert_eq!(notes, 1, "{stated:?} {argv:?}");
        }
        let (tasks, _) = read_in(folder.path(), Some("good.json"), &[]);
        assert!(tasks.is_complete);
    }
}
