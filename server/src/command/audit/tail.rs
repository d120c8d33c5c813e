//! `admitd audit tail`: the last entries, and those to come.
//!
//! Following asks the file a few times a second whether it has grown: a log may stand on a file
//! system without notification, and the eye of a reader is no faster.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use super::{
    AuditError, Outcome, Place, find,
    render::{BAD, line as render_line},
    unreadable,
};
use crate::audit::{
    chain,
    record::Entry,
    segment::{self, Line, Lines, SegmentFile},
};

/// How often a log that is followed is asked for news.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How the line begins that closes a segment.
const CHECKPOINT: &[u8] = b"{\"type\":\"checkpoint\"";

/// Shows the last entries.
#[derive(Debug, clap::Args)]
pub struct Tail {
    #[command(flatten)]
    place: Place,
    /// Goes on with the entries to come, until Ctrl-C.
    #[arg(short = 'f', long)]
    follow: bool,
    /// How many of the last entries.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Prints the lines of the log as they are, with the headers and checkpoints between the entries.
    #[arg(long)]
    pub(super) json: bool,
}

impl Tail {
    pub(super) fn run(&self, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let log = self.place.log()?;
        let start = find::last_entries(&log, self.lines).map_err(log.unreadable())?;
        let (at, offset) = start.unwrap_or_default();
        let mut segments = log.segments.into_iter().skip(at);
        let Some(segment) = segments.next() else {
            return Err(AuditError::NoLog { dir: log.dir });
        };
        let mut reading = Reading {
            is_raw: self.json,
            dir: log.dir,
            segment,
            offset,
            is_closed: false,
        };
        reading.rest(to)?;
        for segment in segments {
            reading.go_on_with(segment);
            reading.rest(to)?;
        }
        to.flush()?;
        if self.follow {
            follow(&mut reading, to)?;
        }
        Ok(Outcome::Good)
    }
}

/// Where the reader is.
#[derive(Debug)]
struct Reading {
    is_raw: bool,
    dir: PathBuf,
    segment: SegmentFile,
    /// The end of the last whole line that was shown.
    offset: u64,
    /// Whether that line is a checkpoint, behind which another segment begins.
    is_closed: bool,
}

fn follow(reading: &mut Reading, to: &mut impl Write) -> Result<(), AuditError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            reading.news(to)?;
            to.flush()?;
            tokio::select! {
                told = &mut interrupted => return Ok(told?),
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    })
}

impl Reading {
    fn go_on_with(&mut self, segment: SegmentFile) {
        self.segment = segment;
        self.offset = 0;
        self.is_closed = false;
    }

    /// Shows what has come since, in this segment and in those behind it.
    fn news(&mut self, to: &mut impl Write) -> Result<(), AuditError> {
        self.rest(to)?;
        while self.is_closed {
            let segments = segment::list(&self.dir).map_err(unreadable(&self.dir))?;
            let own = self.segment.first_seq;
            let next = segments.into_iter().find(|segment| segment.first_seq > own);
            let Some(next) = next else { break };
            self.go_on_with(next);
            self.rest(to)?;
        }
        Ok(())
    }

    /// Shows the whole lines from the offset to the end of the segment.
    fn rest(&mut self, to: &mut impl Write) -> Result<(), AuditError> {
        let opened = Lines::open_at(&self.segment.path, self.offset);
        let mut lines = match opened {
            Ok(lines) => lines,
            // It was retired in the meantime, or its file is being put back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(&self.dir)(error)),
        };
        while let Some(line) = lines.next_line().map_err(unreadable(&self.dir))? {
            if !line.is_ended {
                break;
            }
            self.offset = lines.offset();
            self.is_closed = line.bytes.starts_with(CHECKPOINT);
            self.show(&line, to)?;
        }
        Ok(())
    }

    fn show(&self, line: &Line, to: &mut impl Write) -> Result<(), AuditError> {
        if self.is_raw {
            to.write_all(&line.bytes)?;
            writeln!(to)?;
            return Ok(());
        }
        let links = chain::check(&line.bytes);
        match (&links, serde_json::from_slice::<Entry>(&line.bytes)) {
            (Ok(links), Ok(entry)) => render_line(to, links.seq.unwrap_or_default(), &entry)?,
            (_, _) => writeln!(
                to,
                "{BAD}DAMAGED{BAD:#} `{}`, byte {}: see `admitd audit verify`",
                self.segment.name(),
                line.offset
            )?,
        }
        Ok(())
    }
}
