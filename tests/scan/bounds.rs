//! Sizes, numbers, depths and names: what is just within its bound, and what is just beyond it.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use admit_policy::source_file::ContentFault;
use admit_server::store::scan::{Limits, ScanError};

use crate::{ADMISSION, RECORD, Tree, read};

/// Has the form of a key and opens nothing.
const SECRET: &str = "sk-ant-0123456789abcdef";

#[test]
fn a_file_has_a_largest_size() {
    for (name, bytes_max) in [
        (RECORD, 1024 * 1024),
        (ADMISSION, 64 * 1024),
        ("A-ISSUES.md", 1024 * 1024),
    ] {
        let tree = Tree::new();
        for (bytes, is_read) in [
            (bytes_max, true),
            (bytes_max + 1, false),
            (10_000_000, false),
        ] {
            tree.file(name, &"x".repeat(bytes));
            let (path, content) = tree.found().remove(0);
            assert_eq!(path, name);
            let expected = if is_read {
                Ok(bytes)
            } else {
                Err(ContentFault::TooLarge)
            };
            assert_eq!(
                content.map(|content| content.len()),
                expected,
                "{name} with {bytes} bytes"
            );
        }
    }
}

#[test]
fn names_that_cannot_be_shown_are_findings() {
    let names: [&[u8]; 6] = [
        b"CTO-CASE-MODEL-PROVIDER-ADMISSION.\xff.json",
        b"CTO-CASE-MODEL-PROVIDER-ADMISSION.\x1b[31m.json",
        b"CTO-CASE-MODEL-PROVIDER-ADMISSION.a\n.json",
        "CTO-CASE-MODEL-PROVIDER-ADMISSION.\u{202e}a.json".as_bytes(),
        "CTO-CASE-MODEL-PROVIDER-ADMISSION.\u{200b}a.json".as_bytes(),
        b"f\xffolder/CTO-CASE-PROVIDER-DECISION-RECORD.md",
    ];
    for name in names {
        let tree = Tree::new();
        tree.file(OsStr::from_bytes(name), "content");
        let found = tree.found();
        assert_eq!(found.len(), 1);
        for (path, content) in found {
            assert_eq!(content, Err(ContentFault::NameInvalid), "{path}");
            assert!(
                !path
                    .chars()
                    .any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}'))
            );
        }
    }
    // An ordinary name in another script is nobody's fault.
    let tree = Tree::new();
    tree.file(format!("größe/日本/{RECORD}"), "content");
    assert_eq!(
        tree.found(),
        [read(&format!("größe/日本/{RECORD}"), "content")]
    );
}

#[test]
fn a_path_that_is_shown_has_a_longest_length() {
    // The contract gives a path 4096 bytes. An escape takes more room than what it stands for.
    let tree = Tree::new();
    let folder = "\u{1b}".repeat(250);
    tree.file(format!("{folder}/{folder}/{folder}/{RECORD}"), "content");
    let found = tree.found();
    assert_eq!(found.len(), 1);
    for (path, content) in found {
        assert_eq!(content, Err(ContentFault::NameInvalid));
        assert!(path.len() <= 4096, "{} bytes", path.len());
    }
}

#[test]
fn secrets_in_names_are_never_shown() {
    let tree = Tree::new();
    tree.file(
        format!("CTO-CASE-MODEL-PROVIDER-ADMISSION.{SECRET}.json"),
        "content",
    )
    .file(format!("{SECRET}/{RECORD}"), "content")
    .link(format!("password={SECRET}"), tree.folder.path());
    let reading = tree.read();
    assert_eq!(reading.files.len(), 2);
    assert!(
        reading
            .files
            .iter()
            .all(|file| file.content == Err(ContentFault::NameInvalid))
    );
    assert_eq!(reading.strays.len(), 1);
    assert!(!format!("{reading:?}").contains("0123456789abcdef"));
    tree.folder(format!("a/{SECRET}"));
    let limits = Limits {
        depth_max: 1,
        ..Limits::DEFAULT
    };
    let error = tree.scan(&limits).unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("0123456789abcdef"),
        "{error}"
    );
}

#[test]
fn every_limit_has_two_sides() {
    let tree = Tree::new();
    tree.file(format!("a/{RECORD}"), "12345")
        .file("a/b/X-ISSUES.md", "67890")
        .file("a/note", "");
    // Two folders deep, five entries, two files, ten bytes.
    let just = Limits {
        depth_max: 2,
        entries_max: 5,
        files_max: 2,
        bytes_max: 10,
    };
    assert_eq!(tree.scan(&just).unwrap().files.len(), 2);
    let error = |limits: Limits| tree.scan(&limits).unwrap_err();
    let too_deep = error(Limits {
        depth_max: 1,
        ..just
    });
    assert!(matches!(&too_deep, ScanError::TooDeep { folder, max: 1 } if folder == "`a/b`"));
    assert!(matches!(
        error(Limits {
            entries_max: 4,
            ..just
        }),
        ScanError::TooManyEntries { max: 4 }
    ));
    assert!(matches!(
        error(Limits {
            files_max: 1,
            ..just
        }),
        ScanError::TooManyFiles { max: 1 }
    ));
    assert!(matches!(
        error(Limits {
            bytes_max: 9,
            ..just
        }),
        ScanError::TooManyBytes { max: 9 }
    ));
    // A link does not lead deeper than a folder does, and does not count twice.
    tree.link("a/b/c", "../b");
    let linked = Limits {
        entries_max: 6,
        ..just
    };
    assert_eq!(tree.scan(&linked).unwrap().files.len(), 2);
}

#[test]
fn the_deepest_folder_of_the_daemon_is_the_32nd() {
    let tree = Tree::new();
    let deepest = vec!["d"; 32].join("/");
    tree.file(format!("{deepest}/{RECORD}"), "record");
    assert_eq!(
        tree.found(),
        [read(&format!("{deepest}/{RECORD}"), "record")]
    );
    tree.folder(format!("{deepest}/d"));
    let error = tree.scan(&Limits::DEFAULT).unwrap_err();
    assert!(
        matches!(error, ScanError::TooDeep { max: 32, .. }),
        "{error}"
    );
}
