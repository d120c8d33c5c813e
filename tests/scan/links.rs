//! Links: followed inside the directory, counted once, and never a way in from outside.

use std::{fs, os::unix::fs::symlink};

use admit_policy::{FindingCode, Snapshot, source_file::ContentFault};
use admit_server::store::scan::{Limits, scan};

use crate::{ADMISSION, RECORD, Tree, fault, read};

#[test]
fn a_link_inside_is_followed_and_a_file_counts_once() {
    let tree = Tree::new();
    let record = format!("z/{RECORD}");
    tree.file(&record, "record")
        // The same file and the same folder again, relative and absolute.
        .link(RECORD, &record)
        .link(format!("a/{RECORD}"), tree.root.join(&record))
        .link("b", "z")
        .link("c", tree.root.join("z"));
    assert_eq!(tree.found(), [read(&record, "record")]);
    assert_eq!(tree.read().strays, []);

    // A target whose own name is no policy counts under the link's name.
    let tree = Tree::new();
    tree.file("drafts/record.txt", "record")
        .link(RECORD, "drafts/record.txt");
    assert_eq!(tree.found(), [read(RECORD, "record")]);
    // And a link whose name is no policy adds nothing.
    let tree = Tree::new();
    tree.file(RECORD, "record").link("record.txt", RECORD);
    assert_eq!(tree.found(), [read(RECORD, "record")]);
}

#[test]
fn links_that_lead_in_circles_end() {
    let tree = Tree::new();
    tree.file(format!("a/{RECORD}"), "record")
        .link("a/up", "..")
        .link("a/self", ".")
        .link("b/there", "../c")
        .link("c/back", "../b")
        .link("loop", "loop")
        .link(format!("b/{RECORD}"), "ring")
        .link("b/ring", RECORD);
    let expected = [
        read(&format!("a/{RECORD}"), "record"),
        fault(&format!("b/{RECORD}"), ContentFault::LinkNotFollowed),
    ];
    assert_eq!(tree.found(), expected);
}

#[test]
fn a_link_that_leads_out_or_nowhere_is_a_finding_and_never_policy() {
    let tree = Tree::new();
    let record = tree.outside(RECORD, "not ours");
    let beside = tree.folder.path().join("policy-2");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join(ADMISSION), "not ours").unwrap();
    tree.link(format!("a/{RECORD}"), &record)
        .link(format!("b/{RECORD}"), format!("../../outside/{RECORD}"))
        .link(format!("c/{RECORD}"), "gone.md")
        .link(format!("d/{ADMISSION}"), beside.join(ADMISSION))
        .link("e/outside", record.parent().unwrap())
        .link("e/beside", &beside)
        // Neither is policy, whatever they lead to.
        .link("f/gone", "nowhere")
        .link("f/notes.txt", &record);
    let expected: Vec<_> = [
        ("a", RECORD),
        ("b", RECORD),
        ("c", RECORD),
        ("d", ADMISSION),
    ]
    .map(|(folder, name)| fault(&format!("{folder}/{name}"), ContentFault::LinkNotFollowed))
    .into();
    assert_eq!(tree.found(), expected);
    let reading = tree.read();
    let strays: Vec<_> = reading
        .strays
        .iter()
        .map(|stray| (stray.code, &*stray.place.path))
        .collect();
    let code = FindingCode::LinkNotFollowed;
    assert_eq!(strays, [(code, "e/beside"), (code, "e/outside")]);
    // Three records that are not there are three records: nothing opens by breaking a link.
    let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
    let codes: Vec<FindingCode> = snapshot.findings().iter().map(|found| found.code).collect();
    assert_eq!(codes.iter().filter(|found| **found == code).count(), 6);
    assert!(codes.contains(&FindingCode::DecisionRecordConflict));
}

#[test]
fn the_policy_directory_itself_may_be_a_link() {
    let tree = Tree::new();
    tree.file(RECORD, "record")
        .link("inside", tree.root.join(RECORD));
    let link = tree.folder.path().join("link");
    symlink(&tree.root, &link).unwrap();
    assert_eq!(scan(&link, &Limits::DEFAULT).unwrap(), tree.read());
}
