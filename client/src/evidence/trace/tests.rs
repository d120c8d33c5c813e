//! Which logs come into the trace, and with which lines.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A host with a fixture and an agent folder.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(host.fixture()).unwrap();
        fs::create_dir_all(host.agent()).unwrap();
        host
    }

    fn fixture(&self) -> PathBuf {
        self.0.path().join("fixture")
    }

    fn agent(&self) -> PathBuf {
        self.0.path().join("agent")
    }

    fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn before(&self) -> Before {
        Before::look(Some(&self.fixture()), Some(&self.agent()))
    }

    fn copy(&self, before: &Before) -> TraceFile {
        self.copy_without(before, None)
    }

    fn copy_without(&self, before: &Before, base_url: Option<&str>) -> TraceFile {
        copy(
            &self.evidence(),
            Sources {
                fixture_dir: Some(&self.fixture()),
                agent_dir: Some(&self.agent()),
                before,
            },
            &Endpoint::new(base_url),
            Vec::new(),
        )
        .unwrap()
    }

    fn evidence(&self) -> EvidenceFolder {
        EvidenceFolder::new(self.0.path().join("evidence"))
    }

    fn copied(&self, file: &str) -> String {
        fs::read_to_string(self.evidence().trace().join(file)).unwrap()
    }
}

fn files(parts: Option<&Vec<TracePart>>) -> Vec<&str> {
    parts
        .unwrap()
        .iter()
        .map(|part| part.file.as_str())
        .collect()
}

#[test]
fn the_new_logs_are_copied_and_the_old_ones_are_not() {
    let host = Host::new();
    host.write("fixture/.case/t1/events/run-old.jsonl", "old\n");
    host.write("agent/sessions/--w--/old.jsonl", "old\n");
    let before = host.before();
    host.write("fixture/.case/t1/events/run-new.jsonl", "new\n");
    host.write("fixture/.case/t1/events/other.jsonl", "other\n");
    host.write("fixture/.case/t1/plan.json", "{}");
    host.write("fixture/.case/active", "t1");
    host.write("agent/sessions/--w--/new.jsonl", "session\n");
    host.write("agent/sessions/--w--/new.txt", "other\n");
    let index = host.copy(&before);
    assert_eq!(files(index.event_logs.as_ref()), ["events-1.jsonl"]);
    assert_eq!(files(index.sessions.as_ref()), ["session-1.jsonl"]);
    assert!(index.faults.is_empty(), "{:?}", index.faults);
    assert_eq!(host.copied("events-1.jsonl"), "new\n");
    assert_eq!(host.copied("session-1.jsonl"), "session\n");
    let read: TraceFile = store::read_json(&host.evidence().trace_index(), INDEX)
        .unwrap()
        .unwrap();
    assert_eq!(read, index);
}

#[test]
fn an_old_log_that_went_on_is_a_new_one() {
    let host = Host::new();
    host.write("fixture/.case/t1/events/run-old.jsonl", "old\n");
    let before = host.before();
    host.write("fixture/.case/t1/events/run-old.jsonl", "old\nand more\n");
    assert_eq!(
        files(host.copy(&before).event_logs.as_ref()),
        ["events-1.jsonl"]
    );
}

#[test]
fn by_a_time_alone_every_log_written_to_since_counts() {
    let host = Host::new();
    let path = host.write("fixture/.case/t1/events/run-a.jsonl", "a\n");
    let modified = fs::symlink_metadata(&path).unwrap();
    let (seconds, nanos) = (modified.mtime(), modified.mtime_nsec());
    let at = |seconds, nanos: i64| {
        Before::start(Timestamp::from_unix(seconds, nanos.try_into().unwrap()).unwrap())
    };
    for (before, count) in [
        (at(seconds, nanos), 1),
        (at(seconds - 1, nanos), 1),
        (at(seconds + 1, 0), 0),
    ] {
        assert_eq!(host.copy(&before).event_logs.unwrap().len(), count);
    }
}

#[test]
fn lines_that_must_not_stand_there_are_withheld_and_counted() {
    let host = Host::new();
    let before = host.before();
    host.write(
        "fixture/.case/t1/events/run-a.jsonl",
        "one\nsk-ant-0123456789abcdef\nat http://10.1.2.3:8000/v1\ntwo\ntorn",
    );
    let index = host.copy_without(&before, Some("http://10.1.2.3:8000/v1"));
    assert_eq!(
        index.event_logs,
        Some(vec![TracePart {
            file: "events-1.jsonl".into(),
            withheld_lines: 2
        }])
    );
    assert_eq!(host.copied("events-1.jsonl"), "one\ntwo\ntorn");
}

#[test]
fn what_cannot_be_told_is_a_fault() {
    let host = Host::new();
    let unseen = host.copy(&Before::unknown());
    // Nothing is there, so nothing has to be told.
    assert!(unseen.faults.is_empty());
    host.write("fixture/.case/t1/events/run-a.jsonl", "a\n");
    let unseen = host.copy(&Before::unknown());
    assert_eq!(unseen.event_logs, Some(Vec::new()));
    assert_eq!(unseen.faults.len(), 1);
}

#[test]
fn where_nobody_looked_nothing_is_said() {
    let host = Host::new();
    let index = copy(
        &host.evidence(),
        Sources {
            fixture_dir: None,
            agent_dir: None,
            before: &host.before(),
        },
        &Endpoint::default(),
        Vec::new(),
    )
    .unwrap();
    assert_eq!((index.event_logs, index.sessions), (None, None));
}

#[test]
fn no_link_is_followed() {
    for (link, target) in [
        ("fixture/.case", "outside/case"),
        ("fixture/.case/t1", "outside/case/t1"),
        ("fixture/.case/t1/events", "outside/case/t1/events"),
        (
            "fixture/.case/t1/events/run-a.jsonl",
            "outside/case/t1/events/run-a.jsonl",
        ),
        ("agent/sessions", "outside/sessions"),
        ("agent/sessions/--w--", "outside/sessions/--w--"),
        (
            "agent/sessions/--w--/a.jsonl",
            "outside/sessions/--w--/a.jsonl",
        ),
    ] {
        let host = Host::new();
        let before = host.before();
        host.write("outside/case/t1/events/run-a.jsonl", "outside\n");
        host.write("outside/sessions/--w--/a.jsonl", "outside\n");
        let link = host.0.path().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(host.0.path().join(target), link).unwrap();
        let index = host.copy(&before);
        assert_eq!(index.faults.len(), 1, "{target}");
        assert_eq!(index.event_logs, Some(Vec::new()), "{target}");
        assert_eq!(index.sessions, Some(Vec::new()), "{target}");
    }
}

#[test]
fn the_bounds_hold_on_both_sides() {
    let host = Host::new();
    let before = host.before();
    let log = |number: usize| format!("fixture/.case/t{number:02}/events/run-a.jsonl");
    for number in 0..LOGS_MAX {
        host.write(&log(number), "a\n");
    }
    let index = host.copy(&before);
    assert_eq!(index.event_logs.unwrap().len(), LOGS_MAX);
    assert!(index.faults.is_empty());
    host.write(&log(LOGS_MAX), "a\n");
    let index = host.copy(&before);
    assert_eq!(index.event_logs.unwrap().len(), LOGS_MAX);
    assert_eq!(index.faults.len(), 1);

    let host = Host::new();
    let before = host.before();
    let path = host.write(&log(0), "");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(LOG_BYTES_MAX + 1).unwrap();
    let index = host.copy(&before);
    assert_eq!(index.event_logs, Some(Vec::new()));
    assert_eq!(
        index.faults,
        ["the original of events-1.jsonl is larger than its limit"]
    );
    file.set_len(LOG_BYTES_MAX).unwrap();
    assert!(host.copy(&before).faults.is_empty());

    let host = Host::new();
    for number in 0..=ENTRIES_MAX {
        host.write(&format!("agent/sessions/{number}"), "");
    }
    assert_eq!(host.copy(&host.before()).faults.len(), 1);
    fs::remove_file(host.agent().join("sessions/0")).unwrap();
    assert!(host.copy(&host.before()).faults.is_empty());
}
