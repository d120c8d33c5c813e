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
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use admit_server::{
    audit::segment::{self, SegmentFile},
    export::cursor,
};
use anyhow::{Context as _, bail, ensure};
use report::{Figures, Run, Start};
use rustix::process::{Pid, Signal, kill_process};

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

/// Measures what a log's length costs.
#[derive(clap::Args)]
pub(crate) struct LogGrowth {
    /// One length only, in place of 1,000, 100,000 and 1,000,000 records.
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// 10,000,000 records too; needs 20 GB of free space.
    #[arg(long)]
    long: bool,
    /// Where the logs are written, and removed again.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The daemon; without it the one beside this program.
    #[arg(long, value_name = "FILE")]
    admitd: Option<PathBuf>,
    /// Where `log.md` and `log.svg` are written.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    results: PathBuf,
}

impl LogGrowth {
    /// Measures, and writes the results.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let admitd = match &self.admitd {
            Some(admitd) => admitd.clone(),
            None => std::env::current_exe()?.with_file_name("admitd"),
        };
        ensure!(admitd.is_file(), "there is no admitd beside this program");
        let mut lengths = self.records.map_or(RECORDS.to_vec(), |one| vec![one]);
        lengths.extend(self.long.then_some(RECORDS_LONG));
        let mut rows = Vec::new();
        for records in lengths {
            let folder = match &self.dir {
                Some(dir) => tempfile::tempdir_in(dir)?,
                None => tempfile::tempdir()?,
            };
            ensure_space(folder.path(), records)?;
            let figures = Stage::set(folder.path(), &admitd, records)?.measure()?;
            report::tell(&figures);
            rows.push(figures);
        }
        fs::create_dir_all(&self.results)?;
        report::write(&self.results, &rows)
    }
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
        run(Command::new("cat").args(&paths))?;
        for _ in 0..ROUNDS {
            figures
                .sha256sum
                .push(run(Command::new("sha256sum").args(&paths))?);
            if let Ok(openssl) = run(Command::new("openssl")
                .args(["dgst", "-sha256"])
                .args(&paths))
            {
                figures.openssl.push(openssl);
            }
            figures.verify.push(run(&mut self.audit_command("verify"))?);
            figures.replay.push(run(&mut self.audit_command("replay"))?);
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
        let begun = Instant::now();
        let mut daemon = Command::new(self.admitd)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::null())
            .stderr(File::create(self.folder.join("stderr"))?)
            .spawn()?;
        let ready = wait_until_ready(&notified).map(|()| begun.elapsed());
        let peak_bytes = peak_bytes(daemon.id()).unwrap_or_default();
        stop(&mut daemon)?;
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

fn stop(daemon: &mut Child) -> anyhow::Result<()> {
    let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
    if daemon.try_wait()?.is_none() {
        kill_process(pid.context("the daemon has no number")?, Signal::TERM)?;
        daemon.wait()?;
    }
    Ok(())
}

/// Runs `command` to its end, with its time and its largest memory.
fn run(command: &mut Command) -> anyhow::Result<Run> {
    let begun = Instant::now();
    let mut process = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let id = process.id();
    let mut most = 0;
    let looking = thread::spawn(move || {
        while let Some(now) = peak_bytes(id) {
            most = now.max(most);
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

/// The most memory that a process has had, in bytes; `None` once it has ended.
fn peak_bytes(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}
