//! Where things are: the programs to measure, scratch folders on a disk that is one, and the results.
//!
//! Deliberately absent: anything else outside of the target directory.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::statfs;
use tempfile::TempDir;

/// The folder of everything that measurements write, in the target directory.
const SCRATCH_FOLDER: &str = "bench-scratch";
/// What the kernel calls a file system that is in memory, where a sync costs nothing (`tmpfs`, `ramfs`).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Where the programs are taken from, and where the results go.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Places {
    /// The folder of `admitd` and `admit`. Without it they are built.
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// The folder that the results are written to, in place of `benches/results`.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

impl Places {
    /// The programs.
    ///
    /// # Errors
    ///
    /// When they cannot be built, or one is not there.
    pub(crate) fn binaries(&self) -> anyhow::Result<Binaries> {
        Binaries::find(self.bin_dir.as_deref())
    }

    /// The folder of the results, made when it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) fn results(&self) -> anyhow::Result<PathBuf> {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        let folder = self.results.clone().unwrap_or_else(own);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// The programs that are measured.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    /// The daemon.
    pub(crate) admitd: PathBuf,
    /// The command.
    pub(crate) admit: PathBuf,
}

impl Binaries {
    /// Those in `folder`; without one, they are built as this program was.
    ///
    /// # Errors
    ///
    /// When the build fails, or one is not there.
    fn find(folder: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => {
                build(&["admit-server", "admit-client"])?;
                own_folder()?
            }
        };
        let binaries = Self {
            admitd: folder.join("admitd"),
            admit: folder.join("admit"),
        };
        for path in [&binaries.admitd, &binaries.admit] {
            ensure!(path.is_file(), "there is no `{}`", path.display());
        }
        Ok(binaries)
    }
}

/// The daemon whose commit path can be chosen, beside `admitd` in `folder`; without one, it is built too.
///
/// # Errors
///
/// When the build fails, or it is not there.
pub(crate) fn commit_path(folder: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => {
            build(&["admit-bench"])?;
            own_folder()?
        }
    };
    let path = folder.join("admit-commit-path");
    ensure!(path.is_file(), "there is no `{}`", path.display());
    Ok(path)
}

/// Builds the programs of `packages`, in the profile of this one.
fn build(packages: &[&str]) -> anyhow::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg("build");
    for package in packages {
        command.args(["--package", package]);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let target = own_folder()?.parent().map(Path::to_owned);
    command
        .args(["--bins", "--quiet", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target.context("this program is in no target directory")?)
        .stdin(Stdio::null());
    let status = command.status().context("cargo cannot be run")?;
    ensure!(status.success(), "the programs cannot be built");
    Ok(())
}

/// The folder that this program is in.
fn own_folder() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("this program does not know where it is")?;
    let folder = own.parent().context("this program is in no folder")?;
    Ok(folder.to_owned())
}

/// The folder of programs that are not built here, in the target directory.
///
/// # Errors
///
/// When this program is in no target directory.
pub(crate) fn tools() -> anyhow::Result<PathBuf> {
    let own = own_folder()?;
    let target = own
        .parent()
        .context("this program is in no target directory")?;
    Ok(target.join("tools"))
}

/// A new folder on a disk, deleted with the value; see [`scratch_folders`].
///
/// # Errors
///
/// When it cannot be made, or the target directory is in memory.
pub(crate) fn scratch() -> anyhow::Result<TempDir> {
    let folder = own_folder()?.join(SCRATCH_FOLDER);
    fs::create_dir_all(&folder)?;
    let kind = statfs(&folder)?.f_type;
    if IN_MEMORY.contains(&kind) {
        bail!("the target directory is in memory, where a sync costs nothing");
    }
    Ok(tempfile::Builder::new()
        .prefix(&own_prefix())
        .tempdir_in(folder)?)
}

/// How the scratch folders of this process begin.
fn own_prefix() -> String {
    format!("{}-", process::id())
}

/// Every scratch folder of this process, for an end without destructors.
pub(crate) fn scratch_folders() -> Vec<PathBuf> {
    let Ok(folders) = own_folder().and_then(|own| Ok(fs::read_dir(own.join(SCRATCH_FOLDER))?))
    else {
        return Vec::new();
    };
    let prefix = own_prefix();
    folders
        .filter_map(Result::ok)
        .filter(|folder| folder.file_name().to_string_lossy().starts_with(&prefix))
        .map(|folder| folder.path())
        .collect()
}
