//! What retention waits for when spans were exported once and are not now.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use admit_server::{
    audit::{CURSOR_FILE, segment},
    export::{self, cursor},
};

use crate::{Audit, receiver::Receiver};

const RETENTION: Duration = Duration::from_secs(60 * 60);
/// Retention is looked after once in a minute.
const RETIRED_WITHIN: Duration = Duration::from_secs(180);

/// A log of 90 entries in three segments or more; a receiver has 40 of them, which end within one.
async fn half_sent() -> Audit {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let exporter = audit.export_to(&receiver);
    audit.decide(30).await;
    audit.decide(10).await;
    audit.settled(41).await;
    drop(exporter);
    audit.decide(20).await;
    audit.decide(30).await;
    audit
}

fn acknowledged(audit: &Audit) -> Option<u64> {
    cursor::acknowledged(audit.dir(), audit.trail.stream_id(), audit.last_seq())
}

fn write_cursor(dir: &Path, cursor: &str) {
    fs::write(dir.join(CURSOR_FILE), cursor).unwrap();
}

#[tokio::test]
async fn what_is_not_known_to_be_there_is_not_there() {
    let audit = half_sent().await;
    assert_eq!(acknowledged(&audit), Some(40));
    let cursor = fs::read_to_string(audit.dir().join(CURSOR_FILE)).unwrap();
    let own = audit.trail.stream_id();
    for (what, edited, expected) in [
        ("damaged", cursor.replace('}', ""), Some(0)),
        ("empty", String::new(), Some(0)),
        ("of another log", cursor.replace(own, "another"), None),
        ("ahead of the log", cursor.replace(":41,", ":92,"), Some(0)),
        (
            "not of these entries",
            cursor.replace(":41,", ":42,"),
            Some(0),
        ),
    ] {
        assert_ne!(edited, cursor, "{what}");
        write_cursor(audit.dir(), &edited);
        assert_eq!(acknowledged(&audit), expected, "{what}");
    }
    let path = audit.dir().join(CURSOR_FILE);
    fs::remove_file(&path).unwrap();
    assert_eq!(acknowledged(&audit), None);
    fs::create_dir(path).unwrap();
    assert_eq!(acknowledged(&audit), Some(0), "not to be read");
}

/// The segments of a log, by their first sequence numbers.
fn segments(dir: &Path) -> Vec<u64> {
    let segments = segment::list(dir).unwrap();
    segments.iter().map(|segment| segment.first_seq).collect()
}

#[tokio::test]
#[ignore = "takes more than a minute, because retention is looked after once in a minute"]
async fn retention_waits_for_a_receiver_of_former_times() {
    let audit = half_sent().await;
    let all = segments(audit.dir());
    let in_it = |seq: u64| all.iter().rposition(|first| *first <= seq).unwrap();
    // Something can be deleted, and something that is old enough may not.
    assert!(in_it(40) > 0 && in_it(40) + 1 < all.len(), "{all:?}");
    let old = |edit: fn(&Path)| {
        let log = audit.edited(Some(RETENTION), |dir| {
            edit(dir);
            for segment in segment::list(dir).unwrap() {
                let file = File::options().append(true).open(segment.path).unwrap();
                file.set_modified(SystemTime::now() - 2 * RETENTION)
                    .unwrap();
            }
        });
        export::hold_retention(&log.trail);
        log
    };
    let held = old(|_| {});
    let unknown = old(|dir| write_cursor(dir, "{"));
    let free = old(|dir| fs::remove_file(dir.join(CURSOR_FILE)).unwrap());
    let waited = tokio::time::timeout(RETIRED_WITHIN, async {
        // The last segment was closed just now, by what retention had to say.
        while segments(free.dir()).first() != all.last() || segments(held.dir())[0] == 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "nothing is retired");
    assert_eq!(segments(held.dir())[0], all[in_it(40)]);
    assert_eq!(segments(unknown.dir()), all);
}
