//! Torn tails: what a crash leaves is set aside byte for byte, noted, and followed by the next entry.

use std::fs;

use admit_policy::Digest;
use admit_server::audit::record::Entry;

use super::{
    append, config, entries, folder, name, open, segments, torn_files, verified, verified_with,
};

#[test]
fn a_tail_that_is_torn_at_any_byte_is_set_aside() {
    let folder = folder();
    let mut log = open(config(folder.path())).unwrap();
    let receipts = append(&mut log, 1..=3);
    drop(log);
    let path = segments(folder.path()).pop().unwrap();
    let content = fs::read(&path).unwrap();
    let header = content.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in header..=content.len() {
        let cut = content.get(..end).unwrap();
        let whole = cut.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let (kept, torn) = cut.split_at(whole);
        let kept_entries = kept.iter().filter(|byte| **byte == b'\n').count() - 1;
        fs::write(&path, cut).unwrap();
        let _ = fs::remove_dir_all(folder.path().join("torn"));

        let before = verified(folder.path()).unwrap();
        assert_eq!(before.torn_bytes, u64::try_from(torn.len()).unwrap());
        let mut log = open(config(folder.path())).unwrap();
        let next = append(&mut log, [9]).pop().unwrap();
        drop(log);

        let after = fs::read(&path).unwrap();
        assert!(after.starts_with(kept), "cut at {end}");
        let noted = usize::from(!torn.is_empty());
        let seq = u64::try_from(kept_entries + noted + 1).unwrap();
        assert_eq!(next.seq, seq, "cut at {end}");
        let known = receipts.get(..kept_entries).unwrap();
        let verified = verified_with(folder.path(), known).unwrap();
        assert_eq!((verified.head.seq, verified.torn_bytes), (seq, 0));
        let saved: Vec<Vec<u8>> = torn_files(folder.path())
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        if torn.is_empty() {
            assert!(saved.is_empty(), "cut at {end}");
            continue;
        }
        assert_eq!(saved, [torn], "cut at {end}");
        let entries = entries(folder.path());
        let recovered = entries.iter().find_map(|(links, entry)| {
            let Entry::Recovered(recovered) = entry else {
                return None;
            };
            Some((links.seq, recovered))
        });
        let (at, recovered) = recovered.unwrap();
        assert_eq!(at, Some(seq - 1), "cut at {end}");
        assert_eq!(recovered.torn_bytes, u64::try_from(torn.len()).unwrap());
        assert_eq!(recovered.torn_digest, Digest::of(torn).to_string());
    }
}

#[test]
fn a_crash_at_any_point_of_a_rotation_loses_nothing() {
    let folder = folder();
    let mut config = config(folder.path());
    config.segment_bytes = 1024;
    let mut log = open(config.clone()).unwrap();
    let receipts = append(&mut log, 1..=3);
    append(&mut log, [4]);
    drop(log);
    let paths = segments(folder.path());
    let [closed, next] = paths.as_slice() else {
        panic!("not two segments: {paths:?}");
    };
    let content = fs::read(closed).unwrap();
    let checkpoint = content.split_inclusive(|byte| *byte == b'\n').next_back();
    let entries_end = content.len() - checkpoint.unwrap().len();
    for end in entries_end..=content.len() {
        for path in segments(folder.path()) {
            fs::remove_file(path).unwrap();
        }
        // The checkpoint was being written, or was written and the next segment had no name yet.
        fs::write(closed, content.get(..end).unwrap()).unwrap();
        fs::write(next.with_extension("new"), "half a header").unwrap();
        let mut log = open(config.clone()).unwrap();
        let is_torn = end != entries_end && end != content.len();
        let seq = append(&mut log, [5]).pop().unwrap().seq;
        drop(log);
        assert_eq!(seq, 4 + u64::from(is_torn), "cut at {end}");
        let verified = verified_with(folder.path(), &receipts).unwrap();
        assert_eq!(verified.head.seq, seq, "cut at {end}");
    }
}

#[test]
fn what_was_set_aside_is_noted_even_when_the_first_start_failed() {
    let folder = folder();
    let mut log = open(config(folder.path())).unwrap();
    append(&mut log, 1..=2);
    drop(log);
    let path = segments(folder.path()).pop().unwrap();
    let mut content = fs::read(&path).unwrap();
    content.extend_from_slice(b"{\"type\":\"gap\",\"seq\":3,");
    fs::write(&path, content).unwrap();
    // No file system has this much space: nothing can be written.
    let mut full = config(folder.path());
    full.free_space_min = u64::MAX / 2;
    open(full).unwrap_err();
    drop(open(config(folder.path())).unwrap());
    let noted: Vec<u64> = entries(folder.path())
        .iter()
        .filter_map(|(_, entry)| {
            let Entry::Recovered(recovered) = entry else {
                return None;
            };
            Some(recovered.torn_bytes)
        })
        .collect();
    assert_eq!(noted, [22], "{:?}", torn_files(folder.path()));
}

#[test]
fn a_name_of_the_torn_tail_says_where_it_was() {
    let folder = folder();
    let mut log = open(config(folder.path())).unwrap();
    append(&mut log, [1]);
    drop(log);
    let path = segments(folder.path()).pop().unwrap();
    let mut content = fs::read(&path).unwrap();
    let offset = content.len();
    content.push(b'{');
    fs::write(&path, content).unwrap();
    drop(open(config(folder.path())).unwrap());
    let files = torn_files(folder.path());
    let [file] = files.as_slice() else {
        panic!("not one torn tail: {files:?}");
    };
    let expected = format!("{}.{offset}.", name(&path));
    assert!(name(file).starts_with(&expected), "{}", file.display());
}
