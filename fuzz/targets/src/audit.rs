//! The audit log: lines, whole logs with their recovery, the export cursor, and bases.
//!
//! No mutation finds a SHA-256, so the targets link the lines themselves: what is tested is all that
//! comes behind a right hash. Deliberately absent: concurrent writers and full disks.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::LazyLock, time::Duration};

use admit_policy::{Digest, Standing, Verdict, decide, document::admission::Status};
use admit_server::{
    audit::{
        CommitPath, LogConfig, basis,
        chain::{self, GENESIS},
        keys::{NAMES_KEY_FILE, NamesKey, SIGNING_KEY_FILE, SigningKey},
        log::Log,
        record::Entry,
        replay::{Judgment, Replayer},
        segment,
        verify::{Known, Verified, checkpoint_message, verify},
    },
    export::{cursor, reader, span},
    wire::request,
};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bundle,
    example::{self, STREAM_ID},
    wire::allowed_launch,
};

/// What a line begins with that the target links.
const TYPE: &str = "{\"type\":\"";
/// Entries that have no sequence number.
const UNNUMBERED: [&str; 2] = ["segment", "checkpoint"];

/// A line: what is read is written as it was, and no byte of it can change unnoticed.
pub fn audit_line(data: &[u8]) {
    let _ = Entry::read(data);
    let _ = chain::begins_with_whole_line(data);
    let Some(line) = linked(data, Some(7), GENESIS) else {
        return;
    };
    let Ok((links, entry)) = Entry::read(&line) else {
        return;
    };
    assert!(chain::begins_with_whole_line(&line));
    let written: Entry = serde_json::from_slice(&serde_json::to_vec(&entry).unwrap()).unwrap();
    assert_eq!(written, entry);
    let middle = line.len() / 2;
    for at in [0, middle, line.len() - 1] {
        let mut changed = line.clone();
        changed[at] ^= 1;
        assert!(Entry::read(&changed).is_err(), "byte {at} was changed");
    }
    if let Some(span) = span::span(STREAM_ID, &links, &entry) {
        assert!(span.encoded_len() > 0);
        assert_eq!(span.trace_id.len(), 16);
        assert_eq!(span.span_id.len(), 8);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    let _ = span::time_unix_nano(&entry);
    match &entry {
        Entry::Decision(decision) => {
            let _ = Replayer::new(Path::new("/nonexistent"), None).derive(decision);
        }
        Entry::Evidence(evidence) => {
            let _ = Judgment::derive(evidence);
        }
        Entry::Segment(_)
        | Entry::Refused(_)
        | Entry::Gap(_)
        | Entry::Recovered(_)
        | Entry::Rejected(_)
        | Entry::Retired(_)
        | Entry::Checkpoint(_) => {}
    }
}

/// `{"type":"T",MEMBERS}` with its links; `None` for anything else. A hash that it had is made anew.
fn linked(bytes: &[u8], seq: Option<u64>, prev: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (entry_type, members) = text
        .strip_prefix(TYPE)?
        .strip_suffix('}')?
        .split_once("\",")?;
    let seq = seq.filter(|_| !UNNUMBERED.contains(&entry_type));
    let mut line = Vec::new();
    chain::compose(&mut line, entry_type, seq, prev, members.as_bytes());
    line.pop();
    Some(line)
}

/// The keys of a log.
struct Keys {
    folder: TempDir,
    signing: SigningKey,
    names: NamesKey,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let signing = SigningKey::load_or_make(&folder.path().join(SIGNING_KEY_FILE)).unwrap();
    let names = NamesKey::load_or_make(&folder.path().join(NAMES_KEY_FILE)).unwrap();
    Keys {
        folder,
        signing,
        names,
    }
});

/// Links the lines of one log, across segments.
struct Linker {
    seq: u64,
    prev: String,
}

impl Linker {
    /// The segment with its lines linked, where they have a form that can be. Keys that are left empty
    /// are those of this process, and so are signatures.
    fn segment(&mut self, content: &[u8]) -> Vec<u8> {
        let mut linked_segment = Vec::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else {
                linked_segment.extend_from_slice(line);
                break;
            };
            let filled = self.filled(whole);
            match linked(&filled, Some(self.seq + 1), &self.prev) {
                None => linked_segment.extend_from_slice(line),
                Some(line) => {
                    if let Ok(links) = chain::check(&line) {
                        self.seq = links.seq.unwrap_or(self.seq);
                        self.prev = links.hash;
                    }
                    linked_segment.extend(line);
                    linked_segment.push(b'\n');
                }
            }
        }
        linked_segment
    }

    fn filled(&self, line: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(line) else {
            return line.to_vec();
        };
        let message = checkpoint_message(STREAM_ID, self.seq, &self.prev);
        text.replace(
            "\"signature\":\"\"",
            &format!("\"signature\":\"{}\"", KEYS.signing.sign(&message)),
        )
        .replace(
            "\"names_key\":\"\"",
            &format!("\"names_key\":\"{}\"", KEYS.names.identity()),
        )
        .replace(
            "\"key\":\"\"",
            &format!("\"key\":\"{}\"", KEYS.signing.public()),
        )
        .into_bytes()
    }
}

/// A log in its folder: what verifies is exported entry by entry, and opening it takes nothing away
/// that was whole.
pub fn audit_log(data: &[u8]) {
    let mut linker = Linker {
        seq: 0,
        prev: GENESIS.to_owned(),
    };
    let mut files = bundle::files(data);
    files.sort_by_key(|(name, _)| *name);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    for (name, content) in files {
        if name.starts_with("segment-") {
            bundle::write(dir, name, &linker.segment(content));
        } else if name == "export-cursor.json" {
            let cursor = String::from_utf8_lossy(content).replace("@hash", &linker.prev);
            bundle::write(dir, name, cursor.as_bytes());
        }
    }
    for key in [SIGNING_KEY_FILE, NAMES_KEY_FILE] {
        fs::copy(KEYS.folder.path().join(key), dir.join(key)).unwrap();
    }
    let verified = verify(dir, &Known::default(), |_, _, _| {})
        .ok()
        .filter(|verified| verified.segments > 0);
    if let Some(verified) = &verified {
        check_export(dir, verified);
    }
    check_opening(dir, verified.as_ref());
}

/// Every entry of a log that verifies has its span, in order, once.
fn check_export(dir: &Path, verified: &Verified) {
    let last = verified.head.seq;
    let mut at = reader::oldest(dir).unwrap();
    let first = at.next_seq;
    let mut entries = 0_u64;
    while at.next_seq <= last {
        let batch = reader::read(dir, &verified.stream_id, &at, last).unwrap();
        assert!(!batch.pieces.is_empty());
        for piece in &batch.pieces {
            assert_eq!(piece.seq, first + entries);
            entries += 1;
        }
        at = batch.end;
    }
    assert_eq!(entries, verified.entries);
    assert!(verified.torn_bytes > 0 || reader::is_in_log(dir, &at).unwrap());
    if let Ok(position) = cursor::load(dir, &verified.stream_id, last) {
        assert!(position.next_seq <= last + 1);
        // A place that is in the log can be read on from, and what the receiver has stays as it was.
        let _ = reader::read(dir, &verified.stream_id, &position, last);
        cursor::save(dir, &verified.stream_id, &position).unwrap();
        assert_eq!(
            cursor::load(dir, &verified.stream_id, last).unwrap(),
            position
        );
    }
}

fn check_opening(dir: &Path, verified: Option<&Verified>) {
    let whole_lines = |bytes: &[u8]| {
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes[..end.map_or(0, |end| end + 1)].to_vec()
    };
    let before: Vec<_> = segment::list(dir)
        .unwrap()
        .into_iter()
        .map(|segment| (fs::read(&segment.path).unwrap_or_default(), segment.path))
        .collect();
    let opened = Log::open(LogConfig {
        dir: dir.to_path_buf(),
        segment_bytes: 64 * 1024,
        segment_age: Duration::from_secs(86400),
        retention: None,
        free_space_min: 0,
        patience: Duration::from_secs(1),
        signing_key: None,
        commit_path: CommitPath::Adaptive,
    });
    let is_open = opened.is_ok();
    assert!(
        is_open || verified.is_none(),
        "a log that verifies is refused: {opened:?}"
    );
    drop(opened);
    for (bytes, path) in before {
        let kept = whole_lines(&bytes);
        let lines = kept.iter().filter(|byte| **byte == b'\n').count();
        let after = fs::read(&path).unwrap_or_default();
        // A segment with nothing but its header may be begun anew, with other keys.
        assert!(
            lines <= 1 || after.starts_with(&kept),
            "a whole line was taken away"
        );
    }
    if let Some(before) = verified {
        let after = verify(dir, &Known::default(), |_, _, _| {}).unwrap();
        assert_eq!(after.torn_bytes, 0);
        assert!(after.head.seq >= before.head.seq);
        assert!(before.torn_bytes == 0 || after.head.seq == before.head.seq + 1);
    }
}

/// A basis: what is read decides, and allows nothing that it does not admit.
pub fn basis(data: &[u8]) {
    let digest = Digest::of(data).to_string();
    let folder = bundle::folder(&[(&format!("{}/{digest}.json", basis::BASES_FOLDER), data)]);
    let Ok(opened) = basis::read(folder.path(), &digest) else {
        return;
    };
    let _: Value = serde_json::from_slice(data).unwrap();
    assert_eq!(opened.snapshot.findings(), []);
    let facts = request::launch(allowed_launch()).unwrap().observe();
    let standing = Standing {
        snapshot: Some(&opened.snapshot),
        unverified_for: Duration::ZERO,
        terms: &opened.terms,
    };
    let decision = decide(&standing, &facts, example::now());
    if decision.verdict == Verdict::Allow {
        let admission = opened.snapshot.admission(&facts.provider, &facts.model);
        assert_eq!(admission.unwrap().status.value, Status::Admitted);
        assert!(opened.snapshot.decided_record().is_some());
    }
}
