//! A log that grows: how long the daemon takes to start on it, how fast it is checked and replayed, and
//! in how much memory.
//!
//! The log is a real one on the real disk, written through the library with decisions of the example
//! policy. Check and replay run beside `sha256sum` over the same segments, in interleaved rounds with
//! the files in the memory of the system; what counts are ratios. Deliberately absent: requests.

mod report;
mod writing;

use std::{
    fs::{self, File},
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use admit_server::{
    audit::segment::{self, SegmentFile},
    export::cursor,
};
use anyhow::{Context as _, bail, ensure};

use super::Growth;
use crate::{
    child::Process,
    pin::Usage,
    place::{self, Places},
};

use report::{Figures, Run, Start};
use writing::Written;

/// How many records the logs have.
const RECORDS: [u64; 3] = [1_000, 100_000, 1_000_000];
/// The length that has to be asked for.
const RECORDS_LONG: u64 = 10_000_000;
/// Space for each record on the disk, with some to spare, in bytes.
const RECORD_SPACE_BYTES: u64 = 2_000;
/// How often each thing is measured.
const ROUNDS: usize = 3;
/// How often the memory of a process is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The longest time that a start may take.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// A receiver that is not there: nothing listens on this port, and the cursor is at the end.
const NO_RECEIVER: &str = "http://127.0.0.1:1";

/// Why it grows so.
const WHY: &str = "A start takes as long as its last segment, which is closed at 64 MiB, and not as the log. Check and replay are \
    O(n) in time and O(1) in memory: they read each line once and keep none.";

/// Measures what a log's length costs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    /// One length only, in place of 1,000, 100,000 and 1,000,000 records.
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// 10,000,000 records too; needs 20 GB of free space in the target directory.
    #[arg(long)]
    long: bool,
}

/// Measures, and writes the results.
///
/// # Errors
///
/// When there is too little space, a log cannot be written, or a command fails on it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binaries = arguments.places.binaries()?;
    let mut lengths = arguments.records.map_or(RECORDS.to_vec(), |one| vec![one]);
    lengths.extend(arguments.long.then_some(RECORDS_LONG));
    let mut rows = Vec::new();
    for records in lengths {
        let folder = place::scratch()?;
        ensure_space(folder.path(), records)?;
        let figures = Stage::set(folder.path(), &binaries.admitd, records)?.measure()?;
        report::tell(&figures);
        rows.push(figures);
    }
    let growth = Growth {
        name: "log",
        page: report::page(&rows)?,
        charts: report::charts(&rows),
        why: WHY,
    };
    growth.write(&arguments.places)
}

fn ensure_space(dir: &Path, records: u64) -> anyhow::Result<()> {
    let found = rustix::fs::statvfs(dir)?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = records.saturating_mul(RECORD_SPACE_BYTES);
    ensure!(
        free > needed,
        "{needed} bytes are needed and {free} are free"
    );
    Ok(())
}

/// A log, and who works on it.
struct Stage<'a> {
    folder: &'a Path,
    admitd: &'a Path,
    written: Written,
    segments: Vec<SegmentFile>,
}

impl<'a> Stage<'a> {
    fn set(folder: &'a Path, admitd: &'a Path, records: u64) -> anyhow::Result<Self> {
        let audit = folder.join("audit");
        let written = writing::write(&audit, records)?;
        let segments = segment::list(&audit)?;
        Ok(Self {
            folder,
            admitd,
            written,
            segments,
        })
    }

    fn audit(&self) -> PathBuf {
        self.folder.join("audit")
    }

    fn measure(&self) -> anyhow::Result<Figures> {
        let size = |segment: &SegmentFile| fs::metadata(&segment.path).map(|found| found.len());
        let sizes = self
            .segments
            .iter()
            .map(size)
            .collect::<io::Result<Vec<_>>>()?;
        let paths: Vec<&Path> = self.segments.iter().map(|one| one.path.as_path()).collect();
        let mut figures = Figures {
            records: self.written.records,
            decisions: self.written.records,
            segments: sizes.len(),
            bytes: sizes.iter().sum(),
            last_bytes: sizes.last().copied().unwrap_or_default(),
            ..Figures::default()
        };
        for _ in 0..ROUNDS {
            let start = self.start(false)?;
            figures.starts.push(start);
            figures.starts_with_export.push(self.start(true)?);
        }
        // From here on the files stay in the memory of the system.
        run_once(Command::new("cat").args(&paths))?;
        for _ in 0..ROUNDS {
            figures
                .sha256sum
                .push(run_once(Command::new("sha256sum").args(&paths))?);
            if let Ok(openssl) = run_once(
                Command::new("openssl")
                    .args(["dgst", "-sha256"])
                    .args(&paths),
            ) {
                figures.openssl.push(openssl);
            }
            figures
                .verify
                .push(run_once(&mut self.audit_command("verify"))?);
            figures
                .replay
                .push(run_once(&mut self.audit_command("replay"))?);
        }
        Ok(figures)
    }

    fn audit_command(&self, name: &str) -> Command {
        let mut command = Command::new(self.admitd);
        command
            .args(["audit", name, "--audit-dir"])
            .arg(self.audit());
        command
    }

    /// Starts the daemon; the time from its start until it says that it is ready. What it writes to the
    /// log by starting is nothing.
    fn start(&self, is_exporting: bool) -> anyhow::Result<Start> {
        let config = self.folder.join("admitd.toml");
        fs::write(&config, self.config(is_exporting))?;
        if is_exporting {
            cursor::save(&self.audit(), &self.written.stream_id, &self.written.end)?;
        }
        let socket = self.folder.join("notify");
        let notified = UnixDatagram::bind(&socket)?;
        notified.set_read_timeout(Some(START_PATIENCE))?;
        let mut command = Command::new(self.admitd);
        command
            .args(["serve", "--config"])
            .arg(&config)
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::null())
            .stderr(File::create(self.folder.join("stderr"))?);
        let begun = Instant::now();
        let daemon = Process::start(&mut command, None)?;
        let ready = wait_until_ready(&notified).map(|()| begun.elapsed());
        let peak_bytes = Usage::of(daemon.id()).map_or(0, |usage| usage.resident_peak);
        daemon.stop()?;
        fs::remove_file(&socket)?;
        let took = ready
            .with_context(|| fs::read_to_string(self.folder.join("stderr")).unwrap_or_default())?;
        Ok(Start { took, peak_bytes })
    }

    fn config(&self, is_exporting: bool) -> String {
        let endpoint = if is_exporting { NO_RECEIVER } else { "" };
        format!(
            "policy_dir = {:?}\n[listen]\nunix = {:?}\ntcp = \"\"\n[audit]\ndir = {:?}\n\
             free_space_min_bytes = 65536\n[export]\nendpoint = {endpoint:?}\n\
             [network_classes]\nspark-tailnet = [\"loopback\", \"tailnet\"]\n",
            writing::policy_dir(),
            self.folder.join("socket"),
            self.audit(),
        )
    }
}

fn wait_until_ready(notified: &UnixDatagram) -> anyhow::Result<()> {
    let mut message = [0_u8; 4096];
    loop {
        let length = notified
            .recv(&mut message)
            .context("the daemon is not ready")?;
        let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
        if text.lines().any(|line| line == "READY=1") {
            return Ok(());
        }
    }
}

/// Runs `command` to its end, with its time and its largest memory.
fn run_once(command: &mut Command) -> anyhow::Result<Run> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let process = Process::start(command, None)?;
    let id = process.id();
    let looking = thread::spawn(move || {
        let mut most = 0;
        while let Ok(usage) = Usage::of(id) {
            most = usage.resident_peak.max(most);
            thread::sleep(LOOK_INTERVAL);
        }
        most
    });
    let status = process.wait()?;
    let took = begun.elapsed();
    let peak_bytes = looking.join().unwrap_or_default();
    if !status.success() {
        bail!("a measured command failed");
    }
    Ok(Run { took, peak_bytes })
}
