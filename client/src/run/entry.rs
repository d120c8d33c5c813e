//! The last step before the command: this process becomes it.
//!
//! It ties its life to the keeper's, looks once more at every file that a fact was stated from, and
//! is replaced by the command. Between the look and the command there is nothing of ours.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use admit_client::facts::{FileRole, ReadFile};
use admit_policy::Digest;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::control::{self, News};

/// What a file is that was not there.
const ABSENT: &[u8] = b"absent";
/// The exit code of a process that did not become the command.
const NOT_ENTERED: u8 = 126;

/// What the last step needs to know.
#[derive(Debug, clap::Args)]
pub(crate) struct Enter {
    /// The process that this one may not outlive.
    #[arg(long)]
    keeper: i32,

    #[command(flatten)]
    target: Target,
}

/// What is to be become, and where: as it goes from the wrapper through the keeper to the last step.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The working directory by the name under which its files were looked at.
    #[arg(long)]
    pub(super) directory: PathBuf,

    /// A file that a fact was stated from: `DIGEST:PATH`, or `absent:PATH`.
    #[arg(long = "file")]
    pub(super) files: Vec<OsString>,

    /// The command.
    #[arg(last = true, required = true)]
    pub(super) command: Vec<OsString>,
}

impl Target {
    /// Adds it to the arguments of the next process, as the last ones.
    pub(super) fn hand_on(&self, next: &mut Command) {
        next.arg("--directory").arg(&self.directory);
        for file in &self.files {
            next.arg("--file").arg(file);
        }
        next.arg("--").args(&self.command);
    }
}

/// `file` as an argument of the last step.
pub(super) fn stated(file: &ReadFile) -> OsString {
    let mut argument = match file.digest {
        Some(digest) => OsString::from(digest.to_string()),
        None => OsStr::from_bytes(ABSENT).to_owned(),
    };
    argument.push(":");
    argument.push(&file.path);
    argument
}

/// Becomes the command. Returns only when it does not.
pub(crate) fn enter(args: &Enter) -> ExitCode {
    let Ok(mut control) = control::inherited() else {
        return NOT_ENTERED.into();
    };
    // A keeper that is gone already sends no signal any more.
    let is_kept = set_parent_process_death_signal(Some(Signal::KILL)).is_ok()
        && getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == args.keeper);
    let target = &args.target;
    let is_as_stated =
        is_here(&target.directory) && target.files.iter().all(|file| is_as_stated(file));
    let news = match target.command.split_first() {
        Some((program, arguments)) if is_kept && is_as_stated => {
            control::tell(&mut control, News::Enters);
            let error = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .exec();
            News::NotStarted(error.raw_os_error().unwrap_or_default())
        }
        Some(_) if is_kept => News::Changed,
        Some(_) | None => News::NotStarted(0),
    };
    control::tell(&mut control, news);
    NOT_ENTERED.into()
}

/// Whether `directory` is the one that this process is in. The command will look at its files from
/// here, and they were looked at under that name: a folder that was moved away keeps whoever is in it.
pub(super) fn is_here(directory: &Path) -> bool {
    match (fs::metadata("."), fs::metadata(directory)) {
        (Ok(here), Ok(there)) => (here.dev(), here.ino()) == (there.dev(), there.ino()),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// Whether the file is what `argument` states. What cannot be understood is not.
fn is_as_stated(argument: &OsStr) -> bool {
    let mut parts = argument.as_bytes().splitn(2, |byte| *byte == b':');
    let (Some(digest), Some(path)) = (parts.next(), parts.next()) else {
        return false;
    };
    let digest = if digest == ABSENT {
        None
    } else {
        match std::str::from_utf8(digest).ok().and_then(Digest::parse) {
            Some(digest) => Some(digest),
            None => return false,
        }
    };
    ReadFile {
        path: PathBuf::from(OsString::from_vec(path.to_vec())),
        // The digest tells what it was; of the roles, only the bound counts here, and this is the
        // widest.
        role: FileRole::Models,
        digest,
    }
    .is_unchanged()
}
