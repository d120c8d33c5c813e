//! The task files of the launch, and the prose beside them, read to be searched. They never travel, and
//! neither does the id of the task, by which Case names what it leaves behind.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use admit_policy::json;

use super::{FileRole, Ledger, RefusalCode, Surroundings, arguments};

/// Longest id of a task, in bytes. It becomes the name of a folder.
const ID_BYTES_MAX: usize = 128;

/// The task files of a launch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskFiles {
    /// The texts that were read.
    pub(super) texts: Vec<String>,
    /// Whether these are all of them.
    pub(super) is_complete: bool,
    /// The id of the one task; `None` when there is not exactly one that Case could run.
    pub(super) id: Option<String>,
}

/// Reads the task file that the caller states and every one that the command names, each with the
/// Markdown beside it.
pub(super) fn read(
    surroundings: &Surroundings,
    stated: Option<&Path>,
    ledger: &mut Ledger,
) -> TaskFiles {
    let mut named: Vec<PathBuf> = Vec::new();
    for path in stated
        .map(Path::to_path_buf)
        .into_iter()
        .chain(arguments::named_tasks(&surroundings.argv))
    {
        let path = surroundings.working_dir.join(path);
        if !named.contains(&path) {
            named.push(path);
        }
    }
    let mut tasks = TaskFiles {
        is_complete: !named.is_empty(),
        texts: Vec::new(),
        id: None,
    };
    if named.is_empty() {
        ledger.note("--task", "is not given and the command names no task file");
        return tasks;
    }
    for path in &named {
        let text = tasks.add(path, FileRole::Task, ledger);
        if named.len() == 1 {
            tasks.id = text.as_deref().and_then(id_of);
        }
        tasks.texts.extend(text);
        for prose in prose_of(path) {
            let text = tasks.add(&prose, FileRole::TaskProse, ledger);
            tasks.texts.extend(text);
        }
    }
    if tasks.id.is_none() {
        ledger.refuse(RefusalCode::TaskInvalid, "--task");
    }
    tasks
}

impl TaskFiles {
    /// The text of the file; the search is incomplete without it.
    fn add(&mut self, path: &Path, role: FileRole, ledger: &mut Ledger) -> Option<String> {
        let fault = match ledger.read(path, role) {
            Ok(None) if role == FileRole::TaskProse => return None,
            Ok(None) => "is not there",
            Err(fault) => fault.describe(),
            // A text of another encoding would hide everything from a search.
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => return Some(text),
                Ok(_) | Err(_) => "is not a text in UTF-8",
            },
        };
        self.is_complete = false;
        ledger.note(
            "--task",
            format!("was not searched: {} {fault}", role.describe()),
        );
        None
    }
}

/// The id in a task file, if it has all that Case needs of one. A repeated key is an error: Case would
/// take the last in silence.
fn id_of(text: &str) -> Option<String> {
    let root = json::parse(text).ok()?;
    let text_of = |key| root.get(key)?.as_str().filter(|text| !text.is_empty());
    for key in ["status", "created", "repo"] {
        text_of(key)?;
    }
    text_of("id").filter(|id| is_id(id)).map(str::to_owned)
}

/// Whether `id` can be the name of a folder and of nothing else.
fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_allowed) && id != "." && id != ".."
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
        let mut ledger = Ledger::default();
        let tasks = read(&surroundings, stated.map(Path::new), &mut ledger);
        (tasks, ledger.notes.len())
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

    #[test]
    fn the_id_of_a_task_is_bounded() {
        let task =
            |id: &str| format!(r#"{{"id":{id},"status":"active","created":"c","repo":"r"}}"#);
        let longest = "a".repeat(ID_BYTES_MAX);
        for id in ["t1", "A-z_0.9", ".x", &longest] {
            assert_eq!(id_of(&task(&format!("\"{id}\""))).as_deref(), Some(id));
        }
        let longer = format!("\"{longest}a\"");
        for id in [
            r#""""#, r#"".""#, r#""..""#, r#""a/b""#, r#""a b""#, r#""é""#, "1", "null", &longer,
        ] {
            assert_eq!(id_of(&task(id)), None, "{id}");
        }
        for text in [
            "",
            "[]",
            r#"{"id":"t1"}"#,
            r#"{"id":"t1","status":"active","created":"c"}"#,
            r#"{"id":"t1","status":"active","created":"c","repo":""}"#,
            r#"{"id":"t1","status":"","created":"c","repo":"r"}"#,
            r#"{"id":"t1","status":"active","created":1,"repo":"r"}"#,
            r#"{"id":"t0","id":"t1","status":"active","created":"c","repo":"r"}"#,
            r#"{"status":"active","created":"c","repo":"r"}"#,
        ] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }

    #[test]
    fn one_task_has_an_id_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let task = r#"{"id":"t1","status":"active","created":"c","repo":"r"}"#;
        fs::write(folder.path().join("a.json"), task).unwrap();
        fs::write(folder.path().join("b.json"), task).unwrap();
        fs::write(folder.path().join("bad.json"), "{}").unwrap();
        for (stated, argv, id) in [
            (Some("a.json"), &["case"][..], Some("t1")),
            (Some("a.json"), &["case", "--task", "./a.json"], Some("t1")),
            (None, &["case", "--task=a.json"], Some("t1")),
            (Some("a.json"), &["case", "--task", "b.json"], None),
            (None, &["case", "--task", "bad.json"], None),
            (None, &["case", "--task", "missing.json"], None),
        ] {
            let surroundings = Surroundings {
                variables: [].into(),
                working_dir: folder.path().into(),
                argv: argv.iter().map(Into::into).collect(),
            };
            let mut ledger = Ledger::default();
            let tasks = read(&surroundings, stated.map(Path::new), &mut ledger);
            assert_eq!(tasks.id.as_deref(), id, "{stated:?} {argv:?}");
            let codes: Vec<_> = ledger.refusals.iter().map(|refusal| refusal.code).collect();
            let due = if id.is_some() {
                vec![]
            } else {
                vec![RefusalCode::TaskInvalid]
            };
            assert_eq!(codes, due, "{stated:?} {argv:?}");
        }
    }
}
