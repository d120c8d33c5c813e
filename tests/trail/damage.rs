//! Damage of every byte and of every line: each is found, at its place, and none is written over.

use std::{fs, path::PathBuf};

use admit_server::audit::{
    chain::{GENESIS, check, compose},
    log::Receipt,
    record::Entry,
    verify::{DamageKind, Known, verify},
};
use tempfile::TempDir;

use super::{
    append, config, damage, folder, name, open, refusal, segments, torn_files, verified,
    verified_with,
};

/// A log of two segments, the second one open, as it was written.
struct Sample {
    folder: TempDir,
    paths: Vec<PathBuf>,
    contents: Vec<Vec<u8>>,
    receipts: Vec<Receipt>,
}

impl Sample {
    fn new() -> Self {
        let folder = folder();
        let mut config = config(folder.path());
        // The second batch finds the segment full.
        config.segment_bytes = 1024;
        let mut log = open(config).unwrap();
        let mut receipts = append(&mut log, 1..=3);
        receipts.extend(append(&mut log, 4..=6));
        drop(log);
        let paths = segments(folder.path());
        let contents: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let sample = Self {
            folder,
            paths,
            contents,
            receipts,
        };
        assert_eq!(sample.paths.len(), 2);
        assert_eq!(
            (sample.lines(0).len(), sample.lines(1).len()),
            (5, 4),
            "header, entries, checkpoint; header, entries"
        );
        assert_eq!(verified(sample.folder.path()).unwrap().head.seq, 6);
        sample
    }

    /// The lines of a segment, each with its line feed.
    fn lines(&self, at: usize) -> Vec<Vec<u8>> {
        let content = self.contents.get(at).unwrap();
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }

    fn name(&self, at: usize) -> String {
        name(self.paths.get(at).unwrap())
    }

    /// Puts this in the place of a segment.
    fn put(&self, at: usize, content: &[u8]) {
        fs::write(self.paths.get(at).unwrap(), content).unwrap();
    }

    fn restore(&self, at: usize) {
        self.put(at, self.contents.get(at).unwrap());
    }

    /// The place that a check of the log finds, and what is wrong there.
    fn found(&self) -> ((String, u64), DamageKind) {
        let damage = damage(verified(self.folder.path()));
        ((damage.segment, damage.line), damage.kind)
    }

    /// The place that a start is refused for. Nothing may have been written by then.
    fn refused(&self) -> (String, u64) {
        let before: Vec<Vec<u8>> = self
            .paths
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        let damage = refusal(open(config(self.folder.path())));
        for (path, before) in self.paths.iter().zip(before) {
            assert_eq!(fs::read(path).unwrap(), before, "{damage}");
        }
        assert_eq!(torn_files(self.folder.path()).len(), 0, "{damage}");
        assert_eq!(segments(self.folder.path()), self.paths, "{damage}");
        (damage.segment, damage.line)
    }

    /// The place where these lines are a segment's instead of its own, as the check finds it and, for
    /// the last segment, as a start does.
    fn place_of(&self, at: usize, lines: &[Vec<u8>]) -> (String, u64) {
        self.put(at, &lines.concat());
        let (place, _) = self.found();
        if at == 1 {
            assert_eq!(self.refused(), place);
        }
        self.restore(at);
        place
    }
}

#[test]
fn no_byte_can_be_changed_unnoticed() {
    let sample = Sample::new();
    for (at, content) in sample.contents.iter().enumerate() {
        let last_line = u64::try_from(sample.lines(at).len()).unwrap();
        let mut line = 1;
        for (offset, byte) in content.iter().enumerate() {
            let replacements = [b'\n', 0, b' ', b'0', byte ^ 0x01, byte ^ 0x80];
            for replacement in replacements.into_iter().filter(|other| other != byte) {
                let mut changed = content.clone();
                *changed.get_mut(offset).unwrap() = replacement;
                sample.put(at, &changed);
                let context = format!("segment {at}, byte {offset}, {byte} to {replacement}");
                let (place, _) = sample.found();
                assert_eq!(place, (sample.name(at), line), "{context}");
                if at == 1 {
                    assert_eq!(sample.refused(), place, "{context}");
                } else if line == last_line {
                    // The last segment has to follow the one before it.
                    assert_eq!(sample.refused(), (sample.name(at), 0), "{context}");
                }
            }
            line += u64::from(*byte == b'\n');
        }
        sample.restore(at);
    }
    verified(sample.folder.path()).unwrap();
}

#[test]
fn a_cut_within_a_closed_segment_is_found() {
    let sample = Sample::new();
    let content = sample.contents.first().unwrap();
    let mut line = 1;
    for (end, byte) in content.iter().enumerate() {
        sample.put(0, content.get(..end).unwrap());
        let is_at_boundary = end == 0 || content.get(end - 1) == Some(&b'\n');
        let (place, kind) = sample.found();
        if end == 0 {
            assert_eq!(place, (sample.name(0), 0), "{kind}");
        } else if is_at_boundary {
            assert_eq!(place, (sample.name(0), 0), "cut at {end}: {kind}");
            assert_eq!(kind, DamageKind::NotClosed, "cut at {end}");
        } else {
            assert_eq!(place, (sample.name(0), line), "cut at {end}");
            assert_eq!(kind, DamageKind::CutOff, "cut at {end}");
        }
        line += u64::from(*byte == b'\n');
    }
}

#[test]
fn a_header_that_is_cut_is_no_torn_tail() {
    let sample = Sample::new();
    let content = sample.contents.last().unwrap();
    let header = sample.lines(1).first().unwrap().len();
    for end in 0..header {
        sample.put(1, content.get(..end).unwrap());
        assert_eq!(sample.refused(), (sample.name(1), 0), "cut at {end}");
        let (place, kind) = sample.found();
        assert_eq!(place.0, sample.name(1), "cut at {end}");
        assert_eq!(kind, DamageKind::NoHeader, "cut at {end}");
    }
}

#[test]
fn a_deleted_line_is_found() {
    let sample = Sample::new();
    for at in 0..2 {
        let lines = sample.lines(at);
        for (index, _) in lines.iter().enumerate() {
            let is_last = index + 1 == lines.len();
            let mut left = lines.clone();
            left.remove(index);
            if at == 1 && is_last {
                // What nobody knows of can be cut off; whoever has a reply notices.
                sample.put(1, &left.concat());
                assert_eq!(verified(sample.folder.path()).unwrap().head.seq, 5);
                let found = damage(verified_with(sample.folder.path(), &sample.receipts));
                let cut = DamageKind::TailCut { last: 5, known: 6 };
                assert_eq!((found.segment, found.kind), (sample.name(1), cut));
                sample.restore(1);
                continue;
            }
            let expected = if is_last {
                // Without its checkpoint it may have been rewritten by anybody.
                (sample.name(0), 0)
            } else {
                (sample.name(at), u64::try_from(index).unwrap() + 1)
            };
            let place = sample.place_of(at, &left);
            assert_eq!(place, expected, "segment {at}, line {}", index + 1);
        }
    }
}

#[test]
fn a_line_in_the_wrong_place_is_found() {
    let sample = Sample::new();
    for at in 0..2 {
        let lines = sample.lines(at);
        for (index, line) in lines.iter().enumerate() {
            let number = u64::try_from(index).unwrap() + 1;
            let mut twice = lines.clone();
            twice.insert(index, line.clone());
            let place = sample.place_of(at, &twice);
            assert_eq!(place, (sample.name(at), number + 1), "line {number} twice");
            if index + 1 < lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(index, index + 1);
                let place = sample.place_of(at, &swapped);
                assert_eq!(place, (sample.name(at), number), "line {number} swapped");
            }
        }
    }
}

#[test]
fn an_inserted_line_is_found() {
    let sample = Sample::new();
    let other = Sample::new();
    let foreign = other.lines(1).last().unwrap().clone();
    let garbage: [&[u8]; 6] = [
        b"\n",
        b"{}\n",
        b"garbage\n",
        b"\0\0\0\0\n",
        b"\xff\xfe{\"type\":\"gap\"}\n",
        &foreign,
    ];
    for at in 0..2 {
        let lines = sample.lines(at);
        for index in 0..=lines.len() {
            for inserted in garbage {
                let mut more = lines.clone();
                more.insert(index, inserted.to_vec());
                let place = sample.place_of(at, &more);
                let number = u64::try_from(index).unwrap() + 1;
                assert_eq!(place, (sample.name(at), number), "{inserted:?}");
            }
        }
    }
}

#[test]
fn a_line_of_the_next_segment_does_not_fit_into_this_one() {
    let sample = Sample::new();
    let moved = sample.lines(1);
    let mut lines = sample.lines(0);
    // Its checkpoint closed the segment.
    lines.extend(moved.iter().cloned());
    let place = sample.place_of(0, &lines);
    assert_eq!(place, (sample.name(0), 6));
    // Without the checkpoint there is a header in the middle.
    let mut lines = sample.lines(0);
    lines.pop();
    lines.extend(moved.iter().cloned());
    let place = sample.place_of(0, &lines);
    assert_eq!(place, (sample.name(0), 5));
}

#[test]
fn a_segment_that_is_missing_renamed_or_foreign_is_found() {
    let folder = folder();
    let mut config = config(folder.path());
    config.segment_bytes = 1;
    let mut log = open(config).unwrap();
    let receipts: Vec<_> = (1..=3).flat_map(|n| append(&mut log, [n])).collect();
    drop(log);
    let paths = segments(folder.path());
    let [first, middle, last] = paths.as_slice() else {
        panic!("not three segments: {paths:?}");
    };
    let aside = folder.path().join("aside");
    let found = |missing: &PathBuf| {
        fs::rename(missing, &aside).unwrap();
        let found = damage(verified_with(folder.path(), &receipts));
        fs::rename(&aside, missing).unwrap();
        (found.segment, found.kind)
    };
    assert_eq!(
        found(first),
        (name(middle), DamageKind::BeginMissing(2)),
        "the first"
    );
    let missing = DamageKind::Missing {
        expected: 2,
        found: 3,
    };
    assert_eq!(found(middle), (name(last), missing), "the middle");
    let cut = DamageKind::TailCut { last: 2, known: 3 };
    assert_eq!(found(last), (name(middle), cut), "the last");

    let renamed = folder.path().join("segment-00000000000000000009.jsonl");
    fs::rename(last, &renamed).unwrap();
    let foreign = DamageKind::HeaderForeign("file");
    assert_eq!(damage(verified(folder.path())).kind, foreign);
    assert_eq!(refusal(open(super::config(folder.path()))).kind, foreign);
    fs::rename(&renamed, last).unwrap();

    // A segment of another log under the right name.
    let other = Sample::new();
    let own = fs::read(first).unwrap();
    fs::write(first, other.contents.first().unwrap()).unwrap();
    let found = damage(verified(folder.path()));
    assert_eq!((found.segment, found.line), (name(middle), 1));
    fs::write(first, own).unwrap();
    assert_eq!(verified(folder.path()).unwrap().head.seq, 3);
}

/// A line with a change of its text, behind the line with this hash; its own hash is right again.
fn rewritten(line: &[u8], prev: &str, from: &str, to: &str) -> (Vec<u8>, String) {
    let seq = check(line.trim_ascii_end()).unwrap().seq;
    let text = String::from_utf8(line.to_vec()).unwrap().replace(from, to);
    let entry_type = text.split('"').nth(3).unwrap();
    let (_, members) = text.split_once("\"prev\":\"").unwrap();
    let (_, members) = members.split_once("\",").unwrap();
    let (members, _) = members.rsplit_once(",\"hash\":").unwrap();
    let mut line = Vec::new();
    let hash = compose(&mut line, entry_type, seq, prev, members.as_bytes());
    (line, hash)
}

#[test]
fn who_makes_every_hash_anew_still_lacks_the_signature() {
    let sample = Sample::new();
    for (from, to, is_found) in [
        ("\"refused\":2", "\"refused\":2", false),
        ("\"refused\":2", "\"refused\":7", true),
        ("\"last_seq\":3", "\"last_seq\":4", true),
    ] {
        let mut prev = GENESIS.to_owned();
        let mut lines = Vec::new();
        for line in sample.lines(0) {
            let (line, hash) = rewritten(&line, &prev, from, to);
            lines.push(line);
            prev = hash;
        }
        sample.put(0, &lines.concat());
        if is_found {
            let place = (sample.name(0), 5);
            assert_eq!(sample.found(), (place, DamageKind::Signature), "{to}");
        } else {
            assert_eq!(lines, sample.lines(0));
        }
    }
}

#[test]
fn a_checkpoint_that_is_signed_by_others_is_not_trusted() {
    let sample = Sample::new();
    let entries = super::entries(sample.folder.path());
    let key = entries.iter().find_map(|(_, entry)| {
        let Entry::Checkpoint(checkpoint) = entry else {
            return None;
        };
        Some(checkpoint.key.clone())
    });
    let known = |key: String| Known {
        hashes: Default::default(),
        keys: vec![key],
    };
    let check = |key| verify(sample.folder.path(), &known(key), |_, _, _| {});
    assert_eq!(check(key.unwrap()).unwrap().checkpoints, 1);
    let found = damage(check("00".repeat(32)));
    assert_eq!(
        (found.segment, found.line, found.kind),
        (sample.name(0), 5, DamageKind::KeyNotTrusted)
    );
}
