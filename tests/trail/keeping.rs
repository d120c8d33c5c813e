//! Keeping a log: segments are closed by size and age, kept for their time, written by one process,
//! and signed with keys that are private.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use admit_policy::Timestamp;

use admit_server::audit::{
    LogConfig, Trail,
    chain::{GENESIS, compose},
    keys::{KeyError, NAMES_KEY_FILE, NamesKey, SIGNING_KEY_FILE, SigningKey},
    log::{Draft, Log, Receipt},
    metrics::TrailMetrics,
    private::sync_folder,
    record::{Cause, Entry, Retired, Segment},
    recovery::OpenError,
    verify::DamageKind,
};
use prometheus_client::registry::Registry;

use super::{
    append, config, damage, entries, entry, folder, name, open, segments, verified, verified_with,
};

/// A log that closes a segment after every entry.
fn one_entry_each(dir: &Path) -> LogConfig {
    LogConfig {
        segment_bytes: 1,
        ..config(dir)
    }
}

fn append_each(log: &mut Log, numbers: impl IntoIterator<Item = u64>) -> Vec<Receipt> {
    let appended = numbers.into_iter().flat_map(|number| append(log, [number]));
    appended.collect()
}

fn headers(dir: &Path) -> Vec<Segment> {
    let headers = entries(dir).into_iter().filter_map(|(_, entry)| {
        let Entry::Segment(header) = entry else {
            return None;
        };
        Some(header)
    });
    headers.collect()
}

fn retired(dir: &Path) -> Vec<Retired> {
    let retired = entries(dir).into_iter().filter_map(|(_, entry)| {
        let Entry::Retired(retired) = entry else {
            return None;
        };
        Some(retired)
    });
    retired.collect()
}

#[test]
fn a_segment_is_closed_when_it_is_full() {
    let folder = folder();
    let mut config = config(folder.path());
    config.segment_bytes = 2000;
    let mut log = open(config.clone()).unwrap();
    let mut receipts = append_each(&mut log, 1..=20);
    drop(log);
    let mut log = open(config).unwrap();
    receipts.extend(append_each(&mut log, 21..=40));
    drop(log);
    let verified = verified_with(folder.path(), &receipts).unwrap();
    let paths = segments(folder.path());
    assert!(verified.segments >= 4, "{verified:?}");
    assert_eq!(verified.checkpoints, verified.segments - 1, "{verified:?}");
    assert_eq!((verified.entries, verified.head.seq), (40, 40));
    let (_, closed) = paths.split_last().unwrap();
    for path in closed {
        // It is full with its last entry, and not before.
        let content = fs::read(path).unwrap();
        let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        let [entries @ .., checkpoint] = lines.as_slice() else {
            panic!("an empty segment");
        };
        let full = content.len() - checkpoint.len();
        let before = full - entries.last().unwrap().len();
        assert!(before < 2000 && full >= 2000, "{before} {full}");
    }
}

#[test]
fn a_segment_is_closed_when_it_is_old() {
    let folder = folder();
    let mut config = config(folder.path());
    let mut log = open(config.clone()).unwrap();
    append_each(&mut log, 1..=3);
    drop(log);
    assert_eq!(segments(folder.path()).len(), 1);
    config.segment_age = Duration::ZERO;
    let mut log = open(config).unwrap();
    append_each(&mut log, 4..=6);
    drop(log);
    let verified = verified(folder.path()).unwrap();
    assert_eq!((verified.segments, verified.entries), (4, 6));
    assert_eq!(verified.checkpoints, 3);
}

/// A log of one segment whose header and only entry were written by hand, at this time.
fn write_segment(dir: &Path, time: &str) {
    drop(open(config(dir)).unwrap());
    let mut header = headers(dir).pop().unwrap();
    header.time = time.into();
    let mut content = Vec::new();
    let mut prev = GENESIS.to_owned();
    for (entry_type, seq, entry) in [
        ("segment", None, Entry::Segment(header)),
        ("gap", Some(1), entry(1)),
    ] {
        let json = serde_json::to_string(&entry).unwrap();
        let (_, members) = json.split_once(',').unwrap();
        let members = members.strip_suffix('}').unwrap();
        prev = compose(&mut content, entry_type, seq, &prev, members.as_bytes());
    }
    let path = segments(dir).pop().unwrap();
    fs::write(path, content).unwrap();
    assert_eq!(verified(dir).unwrap().head.seq, 1);
}

#[test]
fn a_segment_grows_older_while_nothing_runs() {
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    let minute_ago = minute_ago.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let minute_ago = Timestamp::from_unix(i64::try_from(minute_ago).unwrap(), 0).unwrap();
    for (time, age, is_old) in [
        ("2020-01-01T00:00:00Z", Duration::from_secs(86_400), true),
        ("2999-01-01T00:00:00Z", Duration::from_secs(86_400), false),
        (&minute_ago.to_string(), Duration::from_secs(30), true),
        (&minute_ago.to_string(), Duration::from_secs(3600), false),
    ] {
        let folder = folder();
        write_segment(folder.path(), time);
        let mut config = config(folder.path());
        config.segment_age = age;
        let mut log = open(config).unwrap();
        append_each(&mut log, 2..=3);
        drop(log);
        let verified = verified(folder.path()).unwrap();
        let closed = u64::from(is_old);
        assert_eq!(verified.checkpoints, closed, "{time} {age:?}");
        assert_eq!(verified.entries, 3);
    }
}

#[test]
fn a_segment_without_an_entry_is_never_closed() {
    let folder = folder();
    let mut config = one_entry_each(folder.path());
    config.segment_age = Duration::ZERO;
    let mut receipts = Vec::new();
    for number in 1..=3 {
        let mut log = open(config.clone()).unwrap();
        // The writer does so to find out whether the disk is back.
        for _ in 0..3 {
            assert!(log.append(&[]).unwrap().is_empty());
        }
        receipts.extend(append(&mut log, [number]));
        drop(log);
        verified_with(folder.path(), &receipts).unwrap();
    }
    assert_eq!(verified(folder.path()).unwrap().segments, 3);
}

#[test]
fn only_segments_that_expired_and_were_exported_are_retired() {
    let folder = folder();
    let with = |retention| LogConfig {
        retention,
        ..one_entry_each(folder.path())
    };
    let mut log = open(with(None)).unwrap();
    let receipts = append_each(&mut log, 1..=5);
    while log.retire(None).unwrap() {}
    drop(log);
    let mut log = open(with(Some(Duration::from_secs(3600)))).unwrap();
    while log.retire(None).unwrap() {}
    drop(log);
    assert_eq!(segments(folder.path()).len(), 5);

    let mut log = open(with(Some(Duration::ZERO))).unwrap();
    while log.retire(Some(0)).unwrap() {}
    assert_eq!(segments(folder.path()).len(), 5);
    while log.retire(Some(2)).unwrap() {}
    drop(log);
    let after = verified(folder.path()).unwrap();
    assert_eq!(after.first_seq, 3);
    let gone = retired(folder.path());
    assert_eq!(gone.last().unwrap().last_seq, 2, "{gone:?}");
    // Who knows an entry that is still there has it checked; one that is gone cannot be.
    verified_with(folder.path(), receipts.get(2..).unwrap()).unwrap();
    let gone = damage(verified_with(folder.path(), &receipts));
    assert_eq!(gone.kind, DamageKind::KnownRetired(1));

    // Without a receiver nothing is held back for it. The segment that is written to stays.
    let written_to = segments(folder.path()).pop().unwrap();
    let mut log = open(with(Some(Duration::ZERO))).unwrap();
    while segments(folder.path()).first() != Some(&written_to) {
        assert!(log.retire(None).unwrap());
    }
    drop(log);
    let last = verified(folder.path()).unwrap();
    let mut log = open(with(None)).unwrap();
    let next = append(&mut log, [9]);
    assert_eq!(next.last().unwrap().seq, last.head.seq + 1);
    drop(log);
    verified_with(folder.path(), &next).unwrap();
}

#[test]
fn what_nobody_retired_is_missing() {
    let folder = folder();
    let mut config = one_entry_each(folder.path());
    config.retention = Some(Duration::ZERO);
    let mut log = open(config).unwrap();
    append_each(&mut log, 1..=5);
    while log.retire(Some(2)).unwrap() {}
    drop(log);
    verified(folder.path()).unwrap();
    let oldest = segments(folder.path()).swap_remove(0);
    fs::remove_file(oldest).unwrap();
    let found = damage(verified(folder.path()));
    assert_eq!(found.kind, DamageKind::BeginMissing(4));
}

#[test]
fn a_crash_between_two_deletions_is_no_damage() {
    let folder = folder();
    let mut config = one_entry_each(folder.path());
    config.retention = Some(Duration::ZERO);
    let mut log = open(config.clone()).unwrap();
    append_each(&mut log, 1..=5);
    let kept: Vec<(PathBuf, Vec<u8>)> = segments(folder.path())
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    while log.retire(Some(3)).unwrap() {}
    let head = log.head().seq;
    drop(log);
    // The deletion went as far as this.
    for deleted in [3, 2, 1, 0] {
        for (path, content) in kept.get(deleted..3).unwrap() {
            fs::write(path, content).unwrap();
        }
        let verified = verified(folder.path()).unwrap();
        assert_eq!(verified.first_seq, u64::try_from(deleted).unwrap() + 1);
        assert_eq!(verified.head.seq, head);
    }
    // The next time goes on from there.
    let mut log = open(config).unwrap();
    while log.retire(Some(3)).unwrap() {}
    drop(log);
    assert_eq!(verified(folder.path()).unwrap().first_seq, 4);
}

#[test]
fn one_process_writes() {
    let folder = folder();
    let (dir, aside) = (folder.path().join("audit"), folder.path().join("aside"));
    let mut first = open(config(&dir)).unwrap();
    let receipts = append(&mut first, [1]);
    // Who deletes what could be taken for a lock does not let another one in.
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.metadata().unwrap().len() == 0 {
            fs::remove_file(path).unwrap();
        }
    }
    let refused = open(config(&dir));
    assert!(
        matches!(refused, Err(OpenError::InUse { .. })),
        "{refused:?}"
    );
    // Nor who moves the directory: there it is the same log.
    fs::rename(&dir, &aside).unwrap();
    let refused = open(config(&aside));
    assert!(
        matches!(refused, Err(OpenError::InUse { .. })),
        "{refused:?}"
    );
    // Another directory in its place is another log, which the first process does not touch.
    let mut second = open(config(&dir)).unwrap();
    let other = append(&mut second, [1]);
    assert_eq!(
        first.append(&[Draft::of(&entry(2))]).unwrap_err().cause,
        Cause::FileReplaced
    );
    drop((first, second));
    assert_ne!(
        verified_with(&dir, &other).unwrap().stream_id,
        verified_with(&aside, &receipts).unwrap().stream_id
    );
    drop(open(config(&aside)).unwrap());
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let folder = folder();
    drop(open(config(folder.path())).unwrap());
    for (mode, is_refused) in [(0o755, false), (0o775, true), (0o707, true), (0o700, false)] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        match open(config(folder.path())) {
            Ok(_) => assert!(!is_refused, "{mode:o}"),
            Err(OpenError::OpenToOthers { .. }) => assert!(is_refused, "{mode:o}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_signing_key_that_is_named_has_to_be_there() {
    let folder = folder();
    let key = folder.path().join("key.pem");
    let mut named = config(&folder.path().join("audit"));
    named.signing_key = Some(key.clone());
    let refused = open(named.clone());
    assert!(matches!(refused, Err(OpenError::Key(_))), "{refused:?}");
    assert!(!key.exists());
    SigningKey::load_or_make(&key).unwrap();
    drop(open(named).unwrap());
}

#[test]
fn a_log_that_lost_its_segments_is_not_begun_anew() {
    for trace in ["bases", "torn", "export-cursor.json"] {
        let folder = folder();
        let mut log = open(config(folder.path())).unwrap();
        append(&mut log, [1]);
        drop(log);
        for path in segments(folder.path()) {
            fs::remove_file(path).unwrap();
        }
        fs::write(folder.path().join(trace), "").unwrap();
        let refused = open(config(folder.path()));
        assert!(
            matches!(refused, Err(OpenError::SegmentsMissing { .. })),
            "{trace}: {refused:?}"
        );
    }
}

#[test]
fn of_two_that_start_at_once_one_writes() {
    for _ in 0..30 {
        let folder = folder();
        let dir = folder.path().join("audit");
        let barrier = Barrier::new(2);
        let mut logs: Vec<Log> = thread::scope(|scope| {
            let start = || {
                barrier.wait();
                open(config(&dir))
            };
            let starts = [scope.spawn(start), scope.spawn(start)];
            let opened = starts.map(|start| start.join().unwrap());
            let logs = opened.into_iter().filter_map(|opened| match opened {
                Ok(log) => Some(log),
                Err(OpenError::InUse { .. }) => None,
                Err(error) => panic!("{error:?}"),
            });
            logs.collect()
        });
        let mut log = logs.pop().unwrap();
        assert_eq!(logs.len(), 0, "both write");
        let receipts = append(&mut log, [1]);
        drop(log);
        verified_with(&dir, &receipts).unwrap();
        // The keys on the disk are those that it wrote with.
        let header = headers(&dir).pop().unwrap();
        let names_key = NamesKey::load(&dir.join(NAMES_KEY_FILE)).unwrap().unwrap();
        assert_eq!(header.names_key, names_key.identity());
        let key = SigningKey::load_or_make(&dir.join(SIGNING_KEY_FILE)).unwrap();
        assert_eq!(header.key, key.public());
    }
}

#[test]
fn everything_is_for_its_owner_only() {
    let folder = folder();
    let dir = folder.path().join("audit");
    let (trail, writer) = Trail::open(
        config(&dir),
        TrailMetrics::register(&mut Registry::default()),
    )
    .unwrap();
    drop(trail);
    drop(writer);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let names: Vec<String> = files.iter().map(|path| name(path)).collect();
    let segment = "segment-00000000000000000001.jsonl";
    assert_eq!(names, [NAMES_KEY_FILE, segment, SIGNING_KEY_FILE]);
    for path in files {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    for key in [SIGNING_KEY_FILE, NAMES_KEY_FILE] {
        let folder = folder();
        let start = || {
            let metrics = TrailMetrics::register(&mut Registry::default());
            Trail::open(config(folder.path()), metrics)
        };
        drop(start().unwrap());
        let path = folder.path().join(key);
        let before = fs::read(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = start().map(drop);
            let Err(OpenError::Key(KeyError::OpenToOthers { path: at })) = refused else {
                panic!("{key} with mode {mode:o}: {refused:?}");
            };
            assert_eq!(at, path);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key\n").unwrap();
        let refused = start().map(drop);
        let Err(OpenError::Key(KeyError::Form { path: at, .. })) = refused else {
            panic!("{key}: {refused:?}");
        };
        assert_eq!(at, path);
        fs::write(&path, before).unwrap();
        drop(start().unwrap());
    }
}

#[test]
fn other_keys_begin_another_segment() {
    let folder = folder();
    let mut log = open(config(folder.path())).unwrap();
    let mut receipts = append(&mut log, [1]);
    drop(log);
    // Another signing key.
    fs::remove_file(folder.path().join(SIGNING_KEY_FILE)).unwrap();
    let mut log = open(config(folder.path())).unwrap();
    receipts.extend(append(&mut log, [2]));
    drop(log);
    // Another key of the names.
    fs::remove_file(folder.path().join(NAMES_KEY_FILE)).unwrap();
    let mut log = open(config(folder.path())).unwrap();
    receipts.extend(append(&mut log, [3]));
    drop(log);
    verified_with(folder.path(), &receipts).unwrap();
    let headers = headers(folder.path());
    let [first, second, third] = headers.as_slice() else {
        panic!("not three segments: {headers:?}");
    };
    assert_ne!(first.key, second.key);
    assert_eq!(second.key, third.key);
    assert_eq!(first.names_key, second.names_key);
    assert_ne!(second.names_key, third.names_key);
}

#[test]
fn the_header_before_the_first_entry_names_the_keys_in_use() {
    let folder = folder();
    drop(open(config(folder.path())).unwrap());
    let before = headers(folder.path()).pop().unwrap();
    // No entry yet, and other keys.
    for key in [SIGNING_KEY_FILE, NAMES_KEY_FILE] {
        fs::remove_file(folder.path().join(key)).unwrap();
    }
    let mut log = open(config(folder.path())).unwrap();
    let receipts = append(&mut log, [1]);
    drop(log);
    verified_with(folder.path(), &receipts).unwrap();
    let [header] = <[Segment; 1]>::try_from(headers(folder.path())).unwrap();
    let key = NamesKey::load(&folder.path().join(NAMES_KEY_FILE));
    assert_eq!(header.names_key, key.unwrap().unwrap().identity());
    assert_ne!(header.names_key, before.names_key);
    assert_ne!(header.key, before.key);
}

#[test]
fn the_signing_key_may_lie_elsewhere() {
    let folder = folder();
    let path = folder.path().join("elsewhere.pem");
    let dir = folder.path().join("audit");
    let config = LogConfig {
        signing_key: Some(path.clone()),
        ..one_entry_each(&dir)
    };
    SigningKey::load_or_make(&path).unwrap();
    for _ in 0..2 {
        let mut log = open(config.clone()).unwrap();
        append_each(&mut log, 1..=2);
    }
    assert!(path.is_file() && !dir.join(SIGNING_KEY_FILE).exists());
    assert_eq!(verified(&dir).unwrap().checkpoints, 3);
    let keys: Vec<String> = headers(&dir).into_iter().map(|header| header.key).collect();
    assert!(keys.windows(2).all(|pair| pair.first() == pair.last()));
}

#[test]
fn a_path_of_one_name_has_a_folder() {
    // The folder that the test runs in.
    sync_folder(Path::new("audit")).unwrap();
}
