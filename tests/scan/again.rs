//! Readings after the first: what is taken from memory, and what is read again.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    time::Duration,
};

use admit_policy::source_file::ContentFault;
use admit_server::store::scan::{
    Limits, Reading,
    memory::{Memory, Trust},
    scan_again,
};

use super::{ADMISSION, RECORD, Tree};

/// A file is remembered from its second reading on, and for long.
const AT_ONCE: Trust = Trust {
    stamp_step_max: Duration::ZERO,
    content_age_max: Duration::from_secs(3600),
};
const OTHER: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.b.json";
const LINK: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.link.json";
const ITEMS: &str = "A-ISSUES.md";

/// A record, two admissions, a link to a file of another name, and work items.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.file(RECORD, "record")
        .file(ADMISSION, "one")
        .file(OTHER, "two")
        .file("first", "three")
        .file("second", "four!")
        .link(LINK, "first")
        .file(ITEMS, "items");
    tree
}

/// The files that count as policy in it, beside the record.
const FILES: usize = 4;
/// The record, which is read each time.
const RECORDS: usize = 1;

fn read_again(tree: &Tree, memory: &mut Memory) -> (Reading, usize) {
    let reading = scan_again(&tree.root, &Limits::DEFAULT, memory).unwrap();
    (reading, memory.contents_read() - RECORDS)
}

/// A memory that has all of it.
fn full(tree: &Tree) -> Memory {
    let mut memory = Memory::new(AT_ONCE);
    for files_read in [FILES, FILES, 0, 0] {
        let (reading, read) = read_again(tree, &mut memory);
        assert_eq!(read, files_read);
        assert_eq!(reading, tree.read());
    }
    memory
}

/// Writes `content` in the place of the file, and restores the time of its content.
fn write_behind_its_time(tree: &Tree, path: &str, content: &str) {
    let path = tree.root.join(path);
    let before = fs::metadata(&path).unwrap();
    fs::write(&path, content).unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap());
    let file = File::options().write(true).open(&path).unwrap();
    file.set_times(times).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(before.len(), after.len());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

/// A change of the directory, and how many files have to be read for it.
type Change = (&'static str, fn(&Tree), usize);

const CHANGES: &[Change] = &[
    ("nothing", |_| {}, 0),
    (
        "an edit",
        |tree| drop(tree.file(ADMISSION, "other").root.clone()),
        1,
    ),
    (
        "an edit of the same size, with the time restored",
        |tree| write_behind_its_time(tree, ADMISSION, "eno"),
        1,
    ),
    (
        "an edit behind a link",
        |tree| write_behind_its_time(tree, "first", "eerht"),
        1,
    ),
    (
        "another file in its place",
        |tree| {
            let aside = tree.outside("aside", "eno");
            let modified = fs::metadata(tree.root.join(ADMISSION)).unwrap().modified();
            let times = FileTimes::new().set_modified(modified.unwrap());
            let file = File::options().write(true).open(&aside).unwrap();
            file.set_times(times).unwrap();
            fs::rename(aside, tree.root.join(ADMISSION)).unwrap();
        },
        1,
    ),
    (
        "two files that change places",
        |tree| {
            let [one, two] = [ADMISSION, OTHER].map(|name| tree.root.join(name));
            fs::rename(&one, tree.root.join("aside")).unwrap();
            fs::rename(&two, &one).unwrap();
            fs::rename(tree.root.join("aside"), two).unwrap();
        },
        2,
    ),
    (
        "a link that leads elsewhere",
        |tree| {
            fs::remove_file(tree.root.join(LINK)).unwrap();
            tree.link(LINK, "second");
        },
        1,
    ),
    (
        "a link that leads to a file that is known",
        |tree| {
            fs::remove_file(tree.root.join(LINK)).unwrap();
            tree.link(LINK, OTHER);
        },
        0,
    ),
    (
        "another mode",
        |tree| {
            let mode = fs::Permissions::from_mode(0o000);
            fs::set_permissions(tree.root.join(ADMISSION), mode).unwrap();
        },
        1,
    ),
    (
        "a deletion",
        |tree| fs::remove_file(tree.root.join(OTHER)).unwrap(),
        0,
    ),
    (
        "a directory in its place",
        |tree| {
            fs::remove_file(tree.root.join(ADMISSION)).unwrap();
            tree.folder(ADMISSION);
        },
        0,
    ),
    (
        "a new file",
        |tree| drop(tree.file(format!("deep/{ADMISSION}"), "new").root.clone()),
        1,
    ),
];

#[test]
fn only_what_has_changed_is_read_again() {
    for (what, change, files_read) in CHANGES {
        let tree = tree();
        let mut memory = full(&tree);
        change(&tree);
        let (reading, read) = read_again(&tree, &mut memory);
        assert_eq!(reading, tree.read(), "{what}");
        assert_eq!(read, *files_read, "{what}");
    }
}

#[test]
fn what_was_only_just_seen_is_read_again() {
    // Within one step of the kernel's clock, a second change would leave the same stamp.
    let tree = tree();
    let mut memory = Memory::new(Trust::DEFAULT);
    for _ in 0..4 {
        assert_eq!(read_again(&tree, &mut memory).1, FILES);
    }
}

#[test]
fn now_and_then_all_is_read_again() {
    let tree = tree();
    let mut memory = Memory::new(Trust {
        content_age_max: Duration::ZERO,
        ..AT_ONCE
    });
    for _ in 0..4 {
        assert_eq!(read_again(&tree, &mut memory).1, FILES);
    }
}

#[test]
fn a_file_that_is_known_is_too_large_under_a_name_of_another_kind() {
    let tree = Tree::new();
    tree.file(ITEMS, &"x".repeat(100_000));
    let mut memory = Memory::new(AT_ONCE);
    let [items, admission] = [ITEMS, ADMISSION].map(|name| tree.root.join(name));
    fs::hard_link(items, &admission).unwrap();
    assert_eq!(fs::metadata(&admission).unwrap().nlink(), 2);
    for _ in 0..4 {
        let (reading, _) = read_again(&tree, &mut memory);
        let contents = reading.files.iter().map(|file| file.content.clone());
        let faults: Vec<_> = contents.map(Result::err).collect();
        assert_eq!(faults, [None, Some(ContentFault::TooLarge)]);
    }
}

#[test]
fn a_reading_that_failed_forgets_nothing() {
    let tree = tree();
    let mut memory = full(&tree);
    let limits = Limits {
        files_max: 1,
        ..Limits::DEFAULT
    };
    scan_again(&tree.root, &limits, &mut memory).unwrap_err();
    let (reading, read) = read_again(&tree, &mut memory);
    assert_eq!((reading, read), (tree.read(), 0));
}
