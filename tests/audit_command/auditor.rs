//! What an auditor does who trusts none of this: `deploy/verify_audit.py`, the commands that the
//! documentation gives, and the progress that a person sees. They need Python, jq and coreutils.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Done,
    forging::{rewrite_history, rewrite_unsigned},
    recording::{THREE_EACH, Written, lines, rewrite, segments},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn python(dir: &Path) -> Done {
    let script = root().join("deploy/verify_audit.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(dir)
        .output()
        .unwrap();
    Done::of(output)
}

#[test]
#[ignore = "needs python3"]
fn the_independent_verifier_agrees() {
    let written = Written::with(10, THREE_EACH);
    let last = written.receipts.last().unwrap();
    let whole = python(written.dir()).exits(0);
    assert!(
        whole.out.contains(&format!("10:{}", last.hash)),
        "{}",
        whole.out
    );

    type Edit = fn(&mut Vec<String>);
    let edits: [(&str, u64, Edit); 6] = [
        ("an edit", 3, |lines| {
            lines[2] = lines[2].replace("\"stage\":2", "\"stage\":3");
        }),
        ("a deleted line", 3, |lines| drop(lines.remove(2))),
        ("lines swapped", 2, |lines| lines.swap(1, 2)),
        ("a line twice", 4, |lines| lines.insert(3, lines[2].clone())),
        ("a deleted header", 1, |lines| drop(lines.remove(0))),
        ("a cut line", 5, |lines| {
            let last = lines.last_mut().unwrap();
            last.truncate(last.len() - 9);
        }),
    ];
    for (what, line, edit) in edits {
        let written = Written::with(10, THREE_EACH);
        let segment = &segments(written.dir())[1];
        let mut all: Vec<String> = lines(segment).into_iter().map(|(line, _)| line).collect();
        edit(&mut all);
        rewrite(segment, &all);
        let done = python(written.dir()).exits(1);
        let place = format!("{}:{line}:", segment.file_name().unwrap().to_str().unwrap());
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains(&place), "{what}: {said}");
    }
    let written = Written::with(10, THREE_EACH);
    fs::remove_file(&segments(written.dir())[1]).unwrap();
    python(written.dir()).exits(1);

    // Nobody needs a key to rewrite a log without its checkpoints.
    let written = Written::with(10, THREE_EACH);
    rewrite_unsigned(written.dir(), |line| {
        line.replace("\"stage\":1", "\"stage\":2")
    });
    let done = python(written.dir()).exits(1);
    let first = segments(written.dir()).swap_remove(0);
    let place = format!("{}: DAMAGED: no checkpoint", first.display());
    assert!(done.err.starts_with(&place), "{}", done.err);
    fs::write(&first, "").unwrap();
    python(written.dir()).exits(1);

    // A log that somebody rewrote as a whole has another head; this is what a head is kept for.
    let written = Written::with(10, THREE_EACH);
    let head = python(written.dir()).exits(0).out;
    rewrite_history(written.dir(), |line| {
        line.replace("\"stage\":1", "\"stage\":2")
    });
    assert_ne!(python(written.dir()).exits(0).out, head);

    // What is being written, or what a crash left, is no damage.
    let written = Written::with(3, THREE_EACH);
    let segment = segments(written.dir()).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 20]).unwrap();
    python(written.dir()).exits(0);
}

/// The commands of the documentation, as a reader would copy them.
#[test]
#[ignore = "needs jq and sha256sum"]
fn the_documented_commands_do_what_they_say() {
    let written = Written::with(10, THREE_EACH);
    let page = fs::read_to_string(root().join("docs/audit.md")).unwrap();
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap().0)
        .filter(|block| block.contains("jq") || block.contains("sha256sum"))
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(written.dir())
            .output()
            .unwrap();
        let done = Done::of(output).exits(0);
        assert_eq!(done.err, "", "{block}");
        assert_ne!(done.out, "", "{block}");
        assert!(!done.out.contains("FAILED"), "{block}: {}", done.out);
    }
}

/// A bar is drawn where somebody looks, and taken off again.
#[test]
#[ignore = "needs python3"]
fn on_a_terminal_there_is_a_bar_and_color() {
    let written = Written::with(10, THREE_EACH);
    let program = format!(
        "import pty, sys; sys.exit(pty.spawn([{:?}, 'audit', 'verify', '--audit-dir', {:?}]) >> 8)",
        env!("CARGO_BIN_EXE_admitd"),
        written.dir()
    );
    let output = Command::new("python3")
        .args(["-c", &program])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let done = Done::of(output).exits(0);
    assert!(done.out.contains("checking ["), "{:?}", done.out);
    assert!(
        done.out.contains("\u{1b}[1m\u{1b}[32mwhole"),
        "{:?}",
        done.out
    );
}
