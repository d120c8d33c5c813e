//! `verify`: whole logs, and every kind of damage with its exact place.

use std::{fs, path::Path};

use serde_json::json;

use crate::{
    audit,
    forging::{hash_of, line_behind, rewrite_history, rewrite_unsigned},
    recording::{ALL_IN_ONE, THREE_EACH, Written, entries, folder, lines, rewrite, segments},
};

const NOTHING: [&str; 0] = [];

/// A log of ten entries in four segments: 1 to 3, 4 to 6, 7 to 9, and 10.
fn ten() -> Written {
    let written = Written::with(10, THREE_EACH);
    let lengths: Vec<usize> = segments(written.dir())
        .iter()
        .map(|segment| lines(segment).len())
        .collect();
    assert_eq!(lengths, [5, 5, 5, 2]);
    written
}

#[test]
fn a_whole_log_is_said_to_be_whole() {
    let written = ten();
    let done = audit(written.dir(), "verify", &["--json"]).exits(0).json();
    assert_eq!(done["schema"], "admitd.audit.verify/1");
    assert_eq!(done["is_whole"], true);
    assert_eq!(done["damage"], json!(null));
    assert_eq!(done["signed_seq"], 9);
    assert_eq!(done["keys"].as_array().unwrap().len(), 1);
    let last = written.receipts.last().unwrap();
    assert_eq!(done["last_entry"], json!({ "seq": 10, "hash": last.hash }));
    let log = &done["log"];
    for (name, number) in [
        ("first_seq", 1),
        ("entries", 10),
        ("segments", 4),
        ("checkpoints", 3),
        ("torn_bytes", 0),
    ] {
        assert_eq!(log[name], number, "{name}");
    }
    let plain = audit(written.dir(), "verify", &NOTHING).exits(0);
    assert!(plain.out.starts_with("whole: 10 entries in 4 segments\n"));
    assert!(plain.out.contains(log["stream_id"].as_str().unwrap()));
    // What is to be kept is printed as it has to be given.
    assert!(plain.out.contains(&format!("--known {}", written.known())));
    assert_eq!(plain.err, "", "nobody looks at the bar");
    audit(written.dir(), "verify", &["--known", &written.known()]).exits(0);
    let key = done["keys"][0].as_str().unwrap();
    audit(written.dir(), "verify", &["--key", key]).exits(0);
}

/// Every receipt is an anchor, also when its entry is the last one before a checkpoint.
#[test]
fn every_receipt_is_known_again() {
    let written = ten();
    let known: Vec<String> = written
        .receipts
        .iter()
        .flat_map(|receipt| {
            [
                "--known".to_owned(),
                format!("{}:{}", receipt.seq, receipt.hash),
            ]
        })
        .collect();
    audit(written.dir(), "verify", &known).exits(0);
    for receipt in &written.receipts {
        let digit = if receipt.hash.starts_with('0') {
            "1"
        } else {
            "0"
        };
        let (seq, hash) = (receipt.seq, format!("{digit}{}", &receipt.hash[1..]));
        let done = audit(
            written.dir(),
            "verify",
            &["--json", "--known", &format!("{seq}:{hash}")],
        );
        let damage = &done.exits(1).json()["damage"];
        assert_eq!(damage["code"], "not-as-known");
        let line: serde_json::Value = serde_json::from_str(
            &lines(&written.dir().join(damage["file"].as_str().unwrap()))
                [usize::try_from(damage["line"].as_u64().unwrap()).unwrap() - 1]
                .0,
        )
        .unwrap();
        assert_eq!(line["seq"], seq);
    }
}

/// What is done to a log, and where the damage has to be found: the segment by its number, the line
/// (0 for the whole file), the code, and a part of the message.
type Case = (
    &'static str,
    fn(&Path),
    usize,
    u64,
    &'static str,
    &'static str,
);

/// The lines of the second segment, without their places.
fn second(dir: &Path) -> Vec<String> {
    lines(&segments(dir)[1])
        .into_iter()
        .map(|(line, _)| line)
        .collect()
}

fn edit_second(dir: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines = second(dir);
    edit(&mut lines);
    rewrite(&segments(dir)[1], &lines);
}

/// Changes one byte of the third line of the second segment, that of entry 5: `within` `of`.
fn edit_byte(dir: &Path, of: &str, within: usize) {
    edit_at(dir, |line| line.find(of).unwrap() + within);
}

fn edit_at(dir: &Path, at: impl FnOnce(&str) -> usize) {
    let segment = &segments(dir)[1];
    let (line, offset) = lines(segment)[2].clone();
    let at = usize::try_from(offset).unwrap() + at(&line);
    let mut bytes = fs::read(segment).unwrap();
    bytes[at] ^= 1;
    fs::write(segment, bytes).unwrap();
}

const CASES: &[Case] = &[
    (
        "the first byte",
        |dir| edit_byte(dir, "{\"type", 0),
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "the sequence number",
        |dir| edit_byte(dir, "\"seq\":5", 6),
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "the link",
        |dir| edit_byte(dir, "\"prev\":\"", 20),
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "the verdict",
        |dir| edit_byte(dir, "allow", 0),
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "a fact",
        |dir| edit_byte(dir, "copied-artificial", 3),
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "the hash",
        |dir| edit_byte(dir, "\"hash\":\"", 30),
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "the last quote",
        |dir| edit_at(dir, |line| line.len() - 2),
        1,
        3,
        "line-cut",
        "does not end with a hash",
    ),
    (
        "the last brace",
        |dir| edit_at(dir, |line| line.len() - 1),
        1,
        3,
        "line-cut",
        "does not end with a hash",
    ),
    (
        "a line feed",
        |dir| {
            let segment = &segments(dir)[1];
            let (line, offset) = lines(segment)[2].clone();
            let at = usize::try_from(offset).unwrap() + line.len();
            let mut bytes = fs::read(segment).unwrap();
            bytes[at] = b' ';
            fs::write(segment, bytes).unwrap();
        },
        1,
        3,
        "line-changed",
        "was changed",
    ),
    (
        "a deleted header",
        |dir| edit_second(dir, |lines| drop(lines.remove(0))),
        1,
        1,
        "line-misplaced",
        "begins with its header",
    ),
    (
        "a deleted entry",
        |dir| edit_second(dir, |lines| drop(lines.remove(2))),
        1,
        3,
        "entries-missing",
        "5 was due, this is 6",
    ),
    (
        "a deleted last entry",
        |dir| edit_second(dir, |lines| drop(lines.remove(3))),
        1,
        4,
        "not-next",
        "does not follow",
    ),
    (
        "a deleted checkpoint",
        |dir| edit_second(dir, |lines| drop(lines.remove(4))),
        1,
        0,
        "not-closed",
        "not closed with a checkpoint",
    ),
    (
        "two lines swapped",
        |dir| edit_second(dir, |lines| lines.swap(1, 2)),
        1,
        2,
        "entries-missing",
        "4 was due, this is 5",
    ),
    (
        "a line twice",
        |dir| edit_second(dir, |lines| lines.insert(3, lines[2].clone())),
        1,
        4,
        "out-of-order",
        "6 was due, this is 5",
    ),
    (
        "an old line again",
        |dir| {
            let former = lines(&segments(dir)[0])[1].0.clone();
            edit_second(dir, |lines| lines.insert(2, former));
        },
        1,
        3,
        "out-of-order",
        "5 was due, this is 1",
    ),
    (
        "a line inserted with a right hash",
        |dir| {
            edit_second(dir, |lines| {
                let (forged, _) = line_behind(&hash_of(&lines[1]), &lines[2], Some(5));
                assert_eq!(forged, lines[2], "the forger knows the form");
                let (forged, _) = line_behind(&hash_of(&lines[1]), &lines[1], Some(5));
                lines.insert(2, forged);
            });
        },
        1,
        4,
        "out-of-order",
        "6 was due, this is 5",
    ),
    (
        "a line replaced by one with a right hash",
        |dir| {
            edit_second(dir, |lines| {
                let edited = lines[2].replace("\"stage\":2", "\"stage\":1");
                lines[2] = line_behind(&hash_of(&lines[1]), &edited, Some(5)).0;
            });
        },
        1,
        4,
        "not-next",
        "does not follow",
    ),
    (
        "the last line before a checkpoint replaced, and the checkpoint linked to it",
        |dir| {
            edit_second(dir, |lines| {
                let edited = lines[3].replace("\"dry_run\":false", "\"dry_run\":true");
                let (edited, hash) = line_behind(&hash_of(&lines[2]), &edited, Some(6));
                lines[3] = edited;
                lines[4] = line_behind(&hash, &lines[4], None).0;
            });
        },
        1,
        5,
        "signature-wrong",
        "not by the key",
    ),
    (
        "a line that is no entry and has a right hash",
        |dir| {
            edit_second(dir, |lines| {
                let foreign = lines[2].replace("\"dry_run\":false", "\"dry_run\":7");
                lines[2] = line_behind(&hash_of(&lines[1]), &foreign, Some(5)).0;
            });
        },
        1,
        3,
        "line-foreign",
        "not an entry",
    ),
    (
        "a line behind a checkpoint",
        |dir| {
            edit_second(dir, |lines| {
                let (behind, _) = line_behind(&hash_of(&lines[4]), &lines[3], Some(7));
                lines.push(behind);
            });
        },
        1,
        6,
        "line-misplaced",
        "follows the checkpoint",
    ),
    (
        "the end of a closed segment cut off",
        |dir| {
            let segment = &segments(dir)[1];
            let bytes = fs::read(segment).unwrap();
            fs::write(segment, &bytes[..bytes.len() - 40]).unwrap();
        },
        1,
        5,
        "cut-off",
        "cut off",
    ),
    (
        "a deleted segment",
        |dir| fs::remove_file(&segments(dir)[1]).unwrap(),
        1,
        1,
        "entries-missing",
        "4 was due, this is 7",
    ),
    (
        "the oldest segment deleted",
        |dir| fs::remove_file(&segments(dir)[0]).unwrap(),
        0,
        0,
        "beginning-missing",
        "begins with 4",
    ),
    (
        "a segment under another name",
        |dir| {
            let segments = segments(dir);
            fs::rename(&segments[1], dir.join("segment-00000000000000000005.jsonl")).unwrap();
        },
        1,
        1,
        "segment-foreign",
        "another file",
    ),
    (
        "a segment of another log",
        |dir| {
            let other = ten();
            fs::copy(&segments(other.dir())[1], &segments(dir)[1]).unwrap();
        },
        1,
        1,
        "segment-foreign",
        "another log",
    ),
    (
        "more than a torn tail behind the last line feed",
        |dir| {
            let last = segments(dir).pop().unwrap();
            let mut bytes = fs::read(&last).unwrap();
            bytes.pop();
            bytes.extend_from_slice(b"{\"type\"");
            fs::write(&last, bytes).unwrap();
        },
        3,
        2,
        "not-torn",
        "no torn tail",
    ),
];

#[test]
fn every_damage_is_found_in_its_place() {
    for (what, damage, segment, line, code, message) in CASES {
        let written = ten();
        damage(written.dir());
        let file = segments(written.dir())[*segment].clone();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let done = audit(written.dir(), "verify", &["--json"]).exits(1).json();
        assert_eq!(done["is_whole"], false, "{what}");
        let found = &done["damage"];
        assert_eq!(found["file"], name.as_str(), "{what}: {found}");
        assert_eq!(
            found["line"].as_u64().unwrap_or(0),
            *line,
            "{what}: {found}"
        );
        assert!(
            found["code"].as_str().unwrap().starts_with(code),
            "{what}: {found}"
        );
        assert!(
            found["message"].as_str().unwrap().contains(message),
            "{what}: {found}"
        );
        let plain = audit(written.dir(), "verify", &NOTHING).exits(1);
        assert!(plain.out.starts_with("DAMAGED"), "{what}: {}", plain.out);
        let place = match found["byte"].as_u64() {
            None => format!("  at      {}\n", file.display()),
            Some(byte) => {
                // The place is the first byte of that line.
                let bytes = fs::read(&file).unwrap();
                let before = &bytes[..usize::try_from(byte).unwrap()];
                let feeds = before.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(u64::try_from(feeds).unwrap() + 1, *line, "{what}");
                assert!(before.is_empty() || before.ends_with(b"\n"), "{what}");
                format!("  at      {}, line {line}, byte {byte}\n", file.display())
            }
        };
        assert!(plain.out.contains(&place), "{what}: {}", plain.out);
        assert!(plain.out.contains("\n  help    "), "{what}: {}", plain.out);
    }
}

#[test]
fn a_cut_tail_is_found_with_one_reply_in_hand() {
    for cut in 1..=9 {
        let written = ten();
        let known = ["--known".to_owned(), written.known(), "--json".to_owned()];
        let mut left = cut;
        for segment in segments(written.dir()).iter().rev() {
            let mut lines: Vec<String> = lines(segment).into_iter().map(|(line, _)| line).collect();
            while left > 0 && lines.len() > 1 {
                left -= usize::from(lines.pop().unwrap().contains("\",\"seq\":"));
            }
            if lines.len() > 1 {
                rewrite(segment, &lines);
                break;
            }
            fs::remove_file(segment).unwrap();
        }
        assert_eq!(entries(written.dir()).len(), 10 - cut);
        // What is left is whole by itself: nothing but what is known elsewhere tells.
        audit(written.dir(), "verify", &NOTHING).exits(0);
        let damage = &audit(written.dir(), "verify", &known).exits(1).json()["damage"];
        assert_eq!(damage["code"], "tail-cut");
        let message = format!("the log ends with {}, and 10 is known", 10 - cut);
        assert!(
            damage["message"].as_str().unwrap().contains(&message),
            "{damage}"
        );
        let last = segments(written.dir()).pop().unwrap();
        assert_eq!(damage["file"], last.file_name().unwrap().to_str().unwrap());
    }
    let written = ten();
    for segment in segments(written.dir()) {
        fs::remove_file(segment).unwrap();
    }
    audit(written.dir(), "verify", &NOTHING).exits(2);
    audit(written.dir(), "verify", &["--known", &written.known()]).exits(1);
}

#[test]
fn a_log_that_ends_with_a_closed_segment_is_remarked_on() {
    let written = ten();
    assert!(
        !audit(written.dir(), "verify", &NOTHING)
            .out
            .contains("closed segment")
    );
    fs::remove_file(segments(written.dir()).pop().unwrap()).unwrap();
    let done = audit(written.dir(), "verify", &NOTHING).exits(0);
    assert!(
        done.out.contains("the log ends with a closed segment"),
        "{}",
        done.out
    );
    let done = audit(written.dir(), "verify", &["--json"]).exits(0).json();
    assert_eq!(done["log"]["ends_with_checkpoint"], true);
}

#[test]
fn a_rewritten_log_is_found_with_a_reply_or_a_key_in_hand() {
    let written = ten();
    let key = audit(written.dir(), "verify", &["--json"]).json()["keys"][0].clone();
    let key = key.as_str().unwrap();
    rewrite_history(written.dir(), |line| {
        line.replace("\"dry_run\":false", "\"dry_run\":true")
    });
    audit(written.dir(), "verify", &NOTHING).exits(0);
    let first = written.receipts.first().unwrap();
    let known = format!("1:{}", first.hash);
    let done = audit(written.dir(), "verify", &["--json", "--known", &known]);
    let damage = &done.exits(1).json()["damage"];
    assert_eq!(
        (&damage["code"], &damage["line"]),
        (&json!("not-as-known"), &json!(2))
    );
    let done = audit(written.dir(), "verify", &["--json", "--key", key]);
    let damage = &done.exits(1).json()["damage"];
    assert_eq!(
        (&damage["code"], &damage["line"]),
        (&json!("key-not-trusted"), &json!(5))
    );
}

/// Without checkpoints there is no signature that could be wrong, with or without a key in hand.
#[test]
fn a_rewritten_log_without_checkpoints_is_found() {
    let written = ten();
    let key = audit(written.dir(), "verify", &["--json"]).json()["keys"][0].clone();
    rewrite_unsigned(written.dir(), |line| {
        line.replace("\"dry_run\":false", "\"dry_run\":true")
    });
    let lengths: Vec<usize> = segments(written.dir())
        .iter()
        .map(|segment| lines(segment).len())
        .collect();
    assert_eq!(lengths, [4, 4, 4, 2]);
    let first = segments(written.dir()).swap_remove(0);
    for arguments in [&["--json"][..], &["--json", "--key", key.as_str().unwrap()]] {
        let damage = &audit(written.dir(), "verify", arguments).exits(1).json()["damage"];
        assert_eq!(damage["code"], "not-closed");
        assert_eq!(damage["file"], first.file_name().unwrap().to_str().unwrap());
    }
}

#[test]
fn what_is_being_written_is_no_damage() {
    let written = Written::with(3, ALL_IN_ONE);
    let segment = segments(written.dir()).pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    let (last, offset) = lines(&segment).pop().unwrap();
    // Cut anywhere within the last line, its line feed included.
    for length in [1, 10, last.len() / 2, last.len() - 1, last.len()] {
        let end = usize::try_from(offset).unwrap() + length;
        fs::write(&segment, &whole[..end]).unwrap();
        let done = audit(written.dir(), "verify", &["--json"]).exits(0).json();
        assert_eq!(done["log"]["torn_bytes"], length);
        assert_eq!(done["last_entry"]["seq"], 2);
        let plain = audit(written.dir(), "verify", &NOTHING).exits(0);
        assert!(
            plain.out.contains("behind the last line feed"),
            "{}",
            plain.out
        );
        for (command, arguments) in [
            ("tail", &["-n", "5"][..]),
            ("replay", &[]),
            ("show", &["2"]),
        ] {
            let done = audit(written.dir(), command, arguments).exits(0);
            assert_eq!(done.err, "", "{command}");
        }
        audit(written.dir(), "show", &["3"]).exits(1);
    }
}

#[test]
fn what_cannot_be_checked_is_no_whole_log() {
    let empty = folder();
    for (dir, arguments) in [
        (empty.path(), &[][..]),
        (&empty.path().join("none"), &[]),
        (empty.path(), &["--known", "1"]),
        (
            empty.path(),
            &[
                "--known",
                "0:0000000000000000000000000000000000000000000000000000000000000000",
            ],
        ),
        (empty.path(), &["--key", "00"]),
    ] {
        let done = audit(dir, "verify", arguments).exits(2);
        assert_eq!(done.out, "");
        assert_ne!(done.err, "");
    }
    let written = Written::with(1, ALL_IN_ONE);
    let digits = |digit: &str| format!("1:{}", digit.repeat(64));
    let twice = ["--known".into(), digits("1"), "--known".into(), digits("2")];
    audit(written.dir(), "verify", &twice).exits(2);
    // A log of a later version is not damaged.
    rewrite_history(written.dir(), |line| {
        line.replace("\"version\":1", "\"version\":2")
    });
    let done = audit(written.dir(), "verify", &NOTHING).exits(2);
    assert!(done.err.contains("version 2"), "{}", done.err);
}
