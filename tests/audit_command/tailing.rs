//! `tail`: the last entries, and those to come.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use admit_server::audit::record::{Cause, Entry, Gap, Recovered, Rejected, Retired};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    PATIENCE, admitd, audit,
    forging::rewrite_history,
    policy::A,
    recording::{
        ALL_IN_ONE, Asked, Loaded, ONE_EACH, Recording, THREE_EACH, Written, entries, folder,
        lines, numbered, segments,
    },
};

/// The columns of a decision without its time, which has a column of its own.
fn columns(line: &str) -> (&str, Vec<&str>) {
    let (time, rest) = line.split_once(' ').unwrap();
    (time, rest.split_whitespace().collect())
}

#[test]
fn the_last_entries_are_one_line_each() {
    let written = Written::with(10, THREE_EACH);
    let none: [&str; 0] = [];
    let done = audit(written.dir(), "tail", &none).exits(0);
    assert_eq!(done.out.lines().count(), 10);
    let done = audit(written.dir(), "tail", &["-n", "2"]).exits(0);
    let lines: Vec<_> = done.out.lines().map(columns).collect();
    let policy: serde_json::Value = serde_json::from_str(&entries(written.dir())[0]).unwrap();
    let short = &policy["policy"].as_str().unwrap()[..8];
    assert_eq!(
        lines,
        [
            (
                "2027-01-01T00:00:00.000Z",
                vec![
                    "9",
                    "ALLOW",
                    "real",
                    "anthropic/claude-alpha-1",
                    "policy",
                    short
                ]
            ),
            (
                "2027-01-01T00:00:00.000Z",
                vec![
                    "10",
                    "DENY",
                    "real",
                    "anthropic/claude-alpha-1",
                    "stage-not-admitted",
                    "+1",
                    "policy",
                    short
                ]
            ),
        ]
    );
    assert!(!done.out.contains('\u{1b}'), "no styles without a terminal");
}

#[test]
fn as_json_the_lines_are_those_of_the_log() {
    let written = Written::with(10, THREE_EACH);
    let all: Vec<String> = segments(written.dir())
        .iter()
        .flat_map(|segment| lines(segment))
        .map(|(line, _)| line)
        .collect();
    // From the entry 9 on: its checkpoint and the next header stand between it and entry 10.
    for (count, from) in [
        ("0", all.len()),
        ("1", 16),
        ("2", 13),
        ("4", 11),
        ("10", 1),
        ("11", 0),
    ] {
        let done = audit(written.dir(), "tail", &["--json", "-n", count]).exits(0);
        assert_eq!(
            done.out.lines().collect::<Vec<_>>(),
            &all[from..],
            "-n {count}"
        );
    }
}

#[test]
fn what_is_no_decision_stands_out() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let time = "2027-01-01T00:00:01.25Z".to_owned();
    let entries = [
        Entry::Gap(Gap {
            time: time.clone(),
            refused: 3,
            cause: Cause::NoSpace,
        }),
        Entry::Recovered(Recovered {
            time: time.clone(),
            torn_bytes: 17,
            torn_digest: "0".repeat(64),
        }),
        Entry::Rejected(Rejected {
            time: time.clone(),
            first_seq: 1,
            last_seq: 2,
            rejected: 1,
            grpc_code: 3,
        }),
        Entry::Retired(Retired {
            time,
            last_seq: 40,
            last_hash: "0".repeat(64),
        }),
    ];
    for entry in entries {
        recording.record((entry, None));
    }
    let none: [&str; 0] = [];
    let done = audit(folder.path(), "tail", &none).exits(0);
    let lines: Vec<&str> = done.out.lines().collect();
    for (line, words) in lines.iter().zip([
        "1 GAP: 3 requests were refused unrecorded before this: the file system has less free",
        "2 RECOVERED: a torn tail of 17 bytes",
        "3 REJECTED: the receiver refused 1 span of entries 1 to 2 for good (gRPC code 3)",
        "4 RETIRED: entries up to 40",
    ]) {
        assert!(line.starts_with("2027-01-01T00:00:01.250Z "), "{line}");
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_name_that_no_policy_has_is_closed_and_an_edited_one_does_no_harm() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    let mut request = numbered(A, 1);
    request.model = "sesame-9".into();
    let entry = Asked::now(request).entry(&loaded);
    recording.record(entry);
    let none: [&str; 0] = [];
    let done = audit(folder.path(), "tail", &none).exits(0);
    assert!(done.out.contains(" anthropic/(closed) "), "{}", done.out);
    assert!(!done.out.contains("sesame"), "{}", done.out);
    // What somebody wrote into the log who made its hashes anew does not reach the terminal either:
    // an escape, and a character that turns the line around.
    drop(recording);
    rewrite_history(folder.path(), |line| {
        line.replace("\"anthropic\"", "\"\\u001b[2J\u{202e}\"")
    });
    audit(folder.path(), "verify", &none).exits(0);
    for (command, arguments) in [("tail", &[][..]), ("show", &["1"])] {
        let done = audit(folder.path(), command, arguments).exits(0);
        assert!(!done.out.contains(['\u{1b}', '\u{202e}']), "{}", done.out);
        assert!(done.out.contains("202e"), "{}", done.out);
    }
}

#[test]
fn a_damaged_line_is_not_shown_as_an_entry() {
    let written = Written::with(2, ALL_IN_ONE);
    let segment = segments(written.dir()).pop().unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("\"deny\"", "\"allow\"")).unwrap();
    let (_, offset) = lines(&segment)[2];
    let done = audit(written.dir(), "tail", &["-n", "1"]).exits(0);
    assert!(done.out.starts_with("DAMAGED"), "{}", done.out);
    assert!(
        done.out.contains(&format!("byte {offset}:")),
        "{}",
        done.out
    );
    let done = audit(written.dir(), "show", &["2"]).exits(1);
    assert!(done.err.contains("was changed"), "{}", done.err);
}

#[test]
fn only_the_end_of_the_log_is_read() {
    let written = Written::with(10, THREE_EACH);
    // A folder in the place of a segment cannot be read, so that whoever reads it fails.
    let all = segments(written.dir());
    for segment in &all[..2] {
        fs::remove_file(segment).unwrap();
        fs::create_dir(segment).unwrap();
    }
    let done = audit(written.dir(), "tail", &["-n", "4"]).exits(0);
    assert_eq!(done.out.lines().count(), 4);
    audit(written.dir(), "tail", &["-n", "5"]).exits(2);
    audit(written.dir(), "show", &["7"]).exits(0);
    audit(written.dir(), "show", &["6"]).exits(2);
    // Before the last line of the last segment there are now 256 GiB of nothing.
    let last = all.last().unwrap();
    let (line, _) = lines(last).pop().unwrap();
    let file = OpenOptions::new().write(true).open(last).unwrap();
    let end = 256 * 1024 * 1024 * 1024;
    file.write_all_at(format!("\n{line}\n").as_bytes(), end)
        .unwrap();
    let begun = Instant::now();
    let done = audit(written.dir(), "tail", &["-n", "1", "--json"]).exits(0);
    assert_eq!(done.out.trim_end(), line);
    assert!(begun.elapsed() < PATIENCE);
}

/// A `tail -f` that runs.
struct Following {
    process: Child,
    lines: Receiver<String>,
}

impl Following {
    fn of(written: &Written, arguments: &[&str]) -> Self {
        let mut process = admitd(written.dir(), "tail", arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines() {
                if send.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// The exit code and what it said.
    fn ended(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let mut said = String::new();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.process.wait().unwrap().code(), said)
    }
}

#[test]
fn what_is_followed_goes_on_across_segments_until_it_is_told_to_stop() {
    let written = Written::with(2, ONE_EACH);
    let following = Following::of(&written, &["-f", "-n", "1", "--json"]);
    assert_eq!(following.next(), entries(written.dir())[1]);
    let recording = Recording::in_dir(written.dir(), ONE_EACH);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    for number in 3..=8 {
        let receipt = recording.record(Asked::now(numbered(A, number)).entry(&loaded));
        // The headers and checkpoints between the entries are followed too.
        let shown = loop {
            let line = following.next();
            if line.contains("\",\"seq\":") {
                break line;
            }
        };
        assert!(
            shown.ends_with(&format!("\"{}\"}}", receipt.hash)),
            "{shown}"
        );
    }
    assert_eq!(segments(written.dir()).len(), 8);
    let pid = Pid::from_child(&following.process);
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(following.ended(), (Some(0), String::new()));
}

#[test]
fn a_line_that_is_being_written_is_shown_when_it_is_whole() {
    let written = Written::with(2, ALL_IN_ONE);
    let segment = segments(written.dir()).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let (last, offset) = lines(&segment).pop().unwrap();
    let begin = usize::try_from(offset).unwrap();
    let half = begin + last.len() / 2;
    fs::write(&segment, &bytes[..half]).unwrap();
    let following = Following::of(&written, &["--follow", "--json", "-n", "5"]);
    while !following.next().contains("\"seq\":1,") {}
    let mut file = OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(&bytes[half..bytes.len() - 1]).unwrap();
    // Nothing may come of a line without its line feed, however often it is looked at.
    let early = following.lines.recv_timeout(Duration::from_millis(600));
    assert!(early.is_err(), "{early:?}");
    file.write_all(b"\n").unwrap();
    assert_eq!(following.next(), last);
    kill_process(Pid::from_child(&following.process), Signal::INT).unwrap();
    assert_eq!(following.ended().0, Some(0));
}

#[test]
fn who_stops_reading_ends_it() {
    let written = Written::with(2, ALL_IN_ONE);
    let mut process = admitd(written.dir(), "tail", &["-f", "-n", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let recording = Recording::in_dir(written.dir(), ALL_IN_ONE);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    let begun = Instant::now();
    // It may have begun after an entry, so there are more until it has met one.
    let status = loop {
        recording.record(Asked::now(numbered(A, 3)).entry(&loaded));
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    process
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(141), ""));
}
