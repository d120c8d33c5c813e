//! Links: followed inside the directory, counted once, and never a way in from outside.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use admit_policy::{FindingCode, Snapshot, source_file::ContentFault};
use admit_server::store::scan::{Limits, ScanError, scan};

use crate::{ADMISSION, RECORD, Tree, bound_by_permissions, fault, read};

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

#[test]
fn a_link_inside_that_cannot_be_looked_up_fails_a_reading() {
    // No name is that long, which the system says to root too.
    let too_long = "n".repeat(300);
    let targets: [fn(&Tree) -> PathBuf; 4] = [
        |_| PathBuf::new(),
        |_| "../b/..".into(),
        |_| "../../policy".into(),
        |tree| tree.root.join("b"),
    ];
    for target in targets {
        // A folder, for all that is known, and a file that is policy.
        for name in ["sot", RECORD] {
            let tree = Tree::new();
            let target = target(&tree).join(&too_long);
            tree.folder("b").link(format!("a/{name}"), &target);
            let error = tree.scan(&Limits::DEFAULT).unwrap_err();
            let link = format!("`a/{name}`");
            assert!(
                matches!(&error, ScanError::Entry { entry, .. } if *entry == link),
                "{link} to {}: {error}",
                target.display()
            );
        }
    }
}

#[test]
fn a_link_to_the_outside_that_cannot_be_looked_up_is_a_finding() {
    let tree = Tree::new();
    let outside = tree.outside("note", "not ours");
    let too_long = outside.with_file_name("n".repeat(300));
    let beside = Path::new("../../outside").join("n".repeat(300));
    tree.link(format!("a/{RECORD}"), &too_long)
        .link(format!("b/{ADMISSION}"), &beside)
        .link("c", &too_long)
        // As it is written the rest leads in; as far as it can be followed it leads out.
        .link("out", outside.parent().unwrap())
        .link("d", format!("out/{}", "n".repeat(300)));
    let expected = [("a", RECORD), ("b", ADMISSION)]
        .map(|(folder, name)| fault(&format!("{folder}/{name}"), ContentFault::LinkNotFollowed));
    assert_eq!(tree.found(), expected);
    let strays = tree.read().strays;
    let strays: Vec<_> = strays.iter().map(|stray| &*stray.place.path).collect();
    assert_eq!(strays, ["c", "d", "out"]);
}

#[test]
fn a_link_that_the_account_may_not_follow_fails_a_reading_or_is_a_finding() {
    let Some(mut validate) = bound_by_permissions() else {
        println!("skipped: there is no account here that permissions bind");
        return;
    };
    let tree = Tree::new();
    let permit = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    permit(tree.folder.path(), 0o755).unwrap();
    tree.file(RECORD, "record");
    validate.arg("validate").arg(&tree.root);

    // Out: whoever owns the rest of the disk need not let this account in.
    let locked = tree.outside(RECORD, "not ours");
    let outside = locked.parent().unwrap();
    tree.link(format!("a/{RECORD}"), &locked)
        .link("b", outside.join("folder"));
    permit(outside, 0o000).unwrap();
    let output = validate.output().unwrap();
    permit(outside, 0o755).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for path in [&format!("a/{RECORD}"), "b"] {
        assert!(
            said.contains("error[link-not-followed]") && said.contains(path),
            "{path}: {said}"
        );
    }

    // In: a volume of Kubernetes whose folder only root may enter, and a folder whose entries may be
    // listed and not looked up.
    tree.file(format!("..2026_06_01/sot/{RECORD}"), "second")
        .link("..data", "..2026_06_01")
        .link("sot", "..data/sot")
        .link("listed/up", "../..2026_06_01/sot");
    for (folder, mode, entry) in [
        ("..2026_06_01", 0o000, "sot"),
        ("listed", 0o444, "listed/up"),
    ] {
        permit(&tree.root.join(folder), mode).unwrap();
        let output = validate.output().unwrap();
        permit(&tree.root.join(folder), 0o755).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{folder}: {said}");
        let expected = format!("the entry `{entry}` cannot be looked up");
        assert!(said.contains(&expected), "{folder}: {said}");
    }
}
