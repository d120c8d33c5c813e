//! The standard error of the command: passed on and kept, line by line, without what looks like a
//! secret.
//!
//! It is the one place where Case says which model it resolved, and the one stream of a run that
//! harnesses keep. Standard output goes straight from the command to whoever started the wrapper.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::fd::OwnedFd,
    thread::{self, JoinHandle},
};

use crate::evidence::{
    trace::LOG_BYTES_MAX,
    withholding::{LINE_BYTES_MAX, Withholding},
};

/// What stands in the place of a line that is withheld.
const MARK: &[u8] = b"[withheld by admit: it looks like a secret]\n";
/// How much is kept, in bytes. What follows is passed on and not kept, and the log says so.
const KEPT_BYTES_MAX: u64 = LOG_BYTES_MAX;

/// What became of the standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Lines that were withheld.
    pub(super) withheld_lines: u64,
}

/// Reads `stderr` to its end on a thread of its own.
pub(super) fn follow(
    stderr: OwnedFd,
    kept: File,
    mut withholding: Withholding,
) -> io::Result<JoinHandle<Told>> {
    thread::Builder::new().name("stderr".into()).spawn(move || {
        let mut lines = BufReader::new(File::from(stderr));
        pass_on(&mut lines, &mut io::stderr(), kept, &mut withholding)
    })
}

fn pass_on(
    lines: &mut impl io::BufRead,
    screen: &mut impl io::Write,
    mut kept: File,
    withholding: &mut Withholding,
) -> Told {
    let mut told = Told::default();
    let mut kept_bytes: u64 = 0;
    let mut is_kept = true;
    while let Some(line) = next_line(lines) {
        let line = match line {
            Line::Whole(line) if !withholding.withholds(content(&line)) => line,
            Line::Whole(_) | Line::TooLong => {
                told.withheld_lines = told.withheld_lines.saturating_add(1);
                MARK.to_vec()
            }
        };
        // A reader that is gone must not end the command.
        let _ = screen.write_all(&line);
        kept_bytes = kept_bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        if is_kept && (kept_bytes > KEPT_BYTES_MAX || kept.write_all(&line).is_err()) {
            is_kept = false;
            told.withheld_lines = told.withheld_lines.saturating_add(1);
            // Without room for the mark, the count tells.
            let _ = kept.write_all(MARK);
        }
    }
    // What was kept is evidence; if it cannot be made durable, the count says that it is not whole.
    if kept.sync_all().is_err() {
        told.withheld_lines = told.withheld_lines.saturating_add(1);
    }
    told
}

/// A line of the command.
enum Line {
    /// With its end, if it has one.
    Whole(Vec<u8>),
    /// Longer than [`LINE_BYTES_MAX`]: nobody searched it as a whole.
    TooLong,
}

/// The line without its end.
fn content(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

fn next_line(lines: &mut impl io::BufRead) -> Option<Line> {
    let bytes_max = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let length = lines
        .by_ref()
        .take(bytes_max.saturating_add(1))
        .read_until(b'\n', &mut line)
        .ok()?;
    if length == 0 {
        return None;
    }
    if content(&line).len() <= LINE_BYTES_MAX {
        return Some(Line::Whole(line));
    }
    // The rest of the line goes the same way.
    if !line.ends_with(b"\n") {
        lines.skip_until(b'\n').ok()?;
    }
    Some(Line::TooLong)
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
        let told = pass_on(
            &mut BufReader::new(input),
            &mut screen,
            File::create(&path).unwrap(),
            &mut withholding,
        );
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
