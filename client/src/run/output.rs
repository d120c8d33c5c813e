//! The standard error of the command: passed on and kept, line by line, without what looks like a
//! secret.
//!
//! It is the one place where Case says which model it resolved, and the one stream of a run that
//! harnesses keep. Standard output goes straight from the command to whoever started the wrapper.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::fd::OwnedFd,
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use admit_policy::Digest;
use sha2::{Digest as _, Sha256};

use crate::evidence::{
    trace::LOG_BYTES_MAX,
    withholding::{LINE_BYTES_MAX, Withholding},
};

/// What stands in the place of a line that is withheld.
const MARK: &[u8] = b"[withheld by admit: it looks like a secret]\n";
/// How much is kept, in bytes. What follows is passed on and not kept, and that is told.
const KEPT_BYTES_MAX: u64 = LOG_BYTES_MAX;
/// Lines that wait for the screen; with more, the screen misses some. The log has them.
const SCREEN_LINES_MAX: usize = 256;
/// Longest time that the screen is waited for at the end.
const SCREEN_MAX: Duration = Duration::from_secs(1);

/// What became of the standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Lines that were withheld.
    pub(super) withheld_lines: u64,
    /// Whether everything but those was kept.
    pub(super) is_whole: bool,
    /// The digest of what was kept. None: not known.
    pub(super) kept: Option<Digest>,
}

/// The standard error of a command, while it is read.
pub(super) struct Listening {
    told: Receiver<Told>,
    shown: Receiver<()>,
}

impl Listening {
    /// What became of it, once it has ended; `None` if it has not within `patience`: somebody who
    /// cannot be killed holds it open.
    pub(super) fn end(self, patience: Duration) -> Option<Told> {
        let told = self.told.recv_timeout(patience).ok();
        // A reader of ours that has stopped must not hold up the end.
        let _ = self.shown.recv_timeout(SCREEN_MAX);
        told
    }
}

/// Reads `stderr` to its end on a thread of its own, and shows it on another.
pub(super) fn follow(
    stderr: OwnedFd,
    kept: File,
    mut withholding: Withholding,
) -> io::Result<Listening> {
    let (screen, lines) = sync_channel::<Vec<u8>>(SCREEN_LINES_MAX);
    let (tell_shown, shown) = sync_channel(1);
    let (tell, told) = sync_channel(1);
    thread::Builder::new()
        .name("screen".into())
        .spawn(move || {
            for line in lines {
                // A reader that is gone must not end the command.
                let _ = io::stderr().write_all(&line);
            }
            let _ = tell_shown.send(());
        })?;
    thread::Builder::new()
        .name("stderr".into())
        .spawn(move || {
            let mut lines = BufReader::new(File::from(stderr));
            let _ = tell.send(keep(&mut lines, kept, &mut withholding, |line| {
                // Who reads too slowly misses lines, and holds up nobody.
                let _ = screen.try_send(line);
            }));
        })?;
    Ok(Listening { told, shown })
}

fn keep(
    lines: &mut impl io::BufRead,
    mut kept: File,
    withholding: &mut Withholding,
    mut show: impl FnMut(Vec<u8>),
) -> Told {
    let mut told = Told {
        withheld_lines: 0,
        is_whole: true,
        kept: None,
    };
    let mut digest = Sha256::new();
    let mut kept_bytes: u64 = 0;
    loop {
        let line = match next_line(lines) {
            Ok(Line::Whole(line)) if !withholding.withholds(content(&line)) => line,
            Ok(Line::Whole(_) | Line::TooLong) => {
                told.withheld_lines = told.withheld_lines.saturating_add(1);
                MARK.to_vec()
            }
            Ok(Line::None) => break,
            Err(_) => {
                told.is_whole = false;
                break;
            }
        };
        kept_bytes = kept_bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        told.is_whole =
            told.is_whole && kept_bytes <= KEPT_BYTES_MAX && kept.write_all(&line).is_ok();
        if told.is_whole {
            digest.update(&line);
        }
        show(line);
    }
    told.is_whole = told.is_whole && kept.sync_all().is_ok();
    let digits: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    told.kept = Digest::parse(&digits);
    told
}

/// What comes next.
enum Line {
    /// A line with its end, if it has one.
    Whole(Vec<u8>),
    /// A line longer than [`LINE_BYTES_MAX`]: nobody searched it as a whole.
    TooLong,
    /// Nothing any more.
    None,
}

/// The line without its end.
fn content(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

fn next_line(lines: &mut impl io::BufRead) -> io::Result<Line> {
    let bytes_max = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let length = lines
        .by_ref()
        .take(bytes_max.saturating_add(1))
        .read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(Line::None);
    }
    if content(&line).len() <= LINE_BYTES_MAX {
        return Ok(Line::Whole(line));
    }
    // The rest of the line goes the same way.
    if !line.ends_with(b"\n") {
        lines.skip_until(b'\n')?;
    }
    Ok(Line::TooLong)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::evidence::withholding::Endpoint;

    fn pass(input: &[u8]) -> (String, String, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut screen = Vec::new();
        let endpoint = Endpoint::new(Some("http://10.1.2.3:8000/v1"));
        let mut withholding = Withholding::new(&endpoint);
        let told = keep(
            &mut BufReader::new(input),
            File::create(&path).unwrap(),
            &mut withholding,
            |line| screen.extend(line),
        );
        assert!(told.is_whole);
        assert_eq!(told.kept, Some(Digest::of(&fs::read(&path).unwrap())));
        (
            String::from_utf8(screen).unwrap(),
            fs::read_to_string(path).unwrap(),
            told.withheld_lines,
        )
    }

    #[test]
    fn a_line_with_a_secret_or_the_base_url_is_withheld_from_both() {
        let (screen, kept, withheld) = pass(
            b"starting\nkey sk-ant-0123456789abcdef0123\nat http://10.1.2.3:8000/v1/models\nlast",
        );
        let mark = str::from_utf8(MARK).unwrap();
        assert_eq!(screen, format!("starting\n{mark}{mark}last"));
        assert_eq!(kept, screen);
        assert_eq!(withheld, 2);
    }

    #[test]
    fn a_line_over_the_limit_is_withheld_and_the_next_one_is_not() {
        let limit = LINE_BYTES_MAX;
        for (length, withheld_due) in [(limit, 0), (limit + 1, 1), (3 * limit, 1)] {
            let mut input = vec![b'a'; length];
            input.extend(b"\nnext\n");
            let (screen, _, withheld) = pass(&input);
            assert_eq!(withheld, withheld_due, "{length}");
            assert!(screen.ends_with("\nnext\n"), "{length}");
        }
    }
}
