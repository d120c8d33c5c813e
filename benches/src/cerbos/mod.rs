//! Cerbos, as somebody would run it in place of Admit: its own binary with an equivalent policy on a disk.
//!
//! Deliberately absent: what it cannot do: it neither reads Case's configuration nor looks for secrets; its
//! attributes say what the caller found.

mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::{
    child::{Process, free_address},
    daemon::START_MAX,
    load::{self, Target},
    place,
};

pub(crate) use wire::call;

/// The version that is measured, and its package.
const PACKAGE: &str = "cerbos@0.51.0";
/// The service that health is asked of.
const SERVICE: &str = "cerbos.svc.v1.CerbosService";

/// The policy: one condition for each gate that a real launch with a local provider passes.
const POLICY: &str = include_str!("launch.yaml");

/// The program of Cerbos.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    path: PathBuf,
    /// Its version, in its own words.
    pub(crate) version: String,
}

impl Binary {
    /// The one at `path`; without it, the one in the tools of the target directory, where npm puts it when it
    /// is not there yet.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub(crate) fn find(path: Option<&Path>) -> anyhow::Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => installed()?,
        };
        let output = Command::new(&path).arg("--version").output();
        let output = output.context("Cerbos cannot be run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().trim().to_owned();
        ensure!(
            output.status.success() && !version.is_empty(),
            "Cerbos says no version"
        );
        Ok(Self { path, version })
    }
}

fn installed() -> anyhow::Result<PathBuf> {
    let folder = place::tools()?.join("cerbos");
    let machine = match std::env::consts::ARCH {
        "aarch64" => "linux-arm64",
        _ => "linux-x64",
    };
    let name = format!("cerbos-{machine}");
    let path = folder.join("node_modules/@cerbos").join(&name).join(&name);
    if !path.is_file() {
        fs::create_dir_all(&folder)?;
        let status = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&folder)
            .arg(PACKAGE)
            .stdin(Stdio::null())
            .status()
            .context("npm cannot be run")?;
        ensure!(
            status.success() && path.is_file(),
            "npm does not bring `{PACKAGE}`"
        );
    }
    Ok(path)
}

/// A running Cerbos. It ends with the value, and its files go.
#[derive(Debug)]
pub(crate) struct Cerbos {
    _process: Process,
    _folder: TempDir,
    /// Where it is called.
    pub(crate) target: Target,
}

impl Cerbos {
    /// Starts one on `core`, with decisions recorded in a file or not at all.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub(crate) fn start(
        binary: &Binary,
        has_audit: bool,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let folder = place::scratch()?;
        let policies = folder.path().join("policies");
        fs::create_dir(&policies)?;
        fs::write(policies.join("launch.yaml"), POLICY)?;
        let address = free_address()?;
        let config = folder.path().join("cerbos.yaml");
        fs::write(
            &config,
            format!(
                "server:\n  httpListenAddr: \"{}\"\n  grpcListenAddr: \"{address}\"\n\
                 storage:\n  driver: disk\n  disk:\n    directory: {policies:?}\n\
                 telemetry:\n  disabled: true\n\
                 audit:\n  enabled: {has_audit}\n  accessLogsEnabled: false\n  \
                 decisionLogsEnabled: true\n  backend: file\n  file:\n    path: {:?}\n",
                free_address()?,
                folder.path().join("audit.log"),
            ),
        )?;
        let mut command = Command::new(&binary.path);
        command
            .args(["server", "--log-level=error", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut command, core)?;
        let target = Target::new(address, None, process.id());
        load::wait_until_healthy(&target, SERVICE, START_MAX)?;
        Ok(Self {
            _process: process,
            _folder: folder,
            target,
        })
    }
}
