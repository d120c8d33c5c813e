//! What the wrapper writes into the evidence folder, step by step.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use admit_client::{Denied, facts::Launch};
use admit_permit::Claims;
use admit_policy::Timestamp;
use admit_proto::v1::{AdmitRequest, Lane};
use serde::Serialize;

use super::{
    clock,
    denial::Denial,
    permission::Permission,
    supervision::{End, Finished},
};
use crate::evidence::{
    Held,
    folder::{AnswerPart, EvidenceFolder, FileState, LaunchFile, RunFile, StartFile, VERSION},
};

/// Only the owner may look into a folder of evidence.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The files of one launch.
#[derive(Debug)]
pub(super) struct Record {
    folder: EvidenceFolder,
    launch: LaunchFile,
    start_time: String,
}

impl Record {
    /// A record in the folder, which has to be new or empty: a launch never writes over another's
    /// evidence.
    pub(super) fn create(folder: &EvidenceFolder, launch: &Launch) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(FOLDER_MODE).recursive(true);
        builder.create(folder.path())?;
        if fs::read_dir(folder.path())?.next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let backend = folder.not_admitted();
        if let Some(backend) = backend.parent() {
            builder.create(backend)?;
        }
        Ok(Self {
            folder: folder.clone(),
            launch: LaunchFile {
                version: VERSION,
                lane: lane_name(launch.lane).to_owned(),
                stage: launch.stage,
                host: launch.host.clone(),
                run_id: launch.run_id.clone(),
                provider: String::new(),
                model: String::new(),
                verdict: String::new(),
                reasons: Vec::new(),
                case_config: None,
                fixture: None,
                answer: None,
            },
            start_time: String::new(),
        })
    }

    /// What is going to be asked.
    pub(super) fn asks(&mut self, request: &AdmitRequest, fixture: Option<String>) {
        let config = request.case_config.as_deref();
        self.launch.provider.clone_from(&request.provider);
        self.launch.model.clone_from(&request.model);
        self.launch.case_config = config.map(|bytes| admit_policy::Digest::of(bytes).to_string());
        self.launch.fixture = fixture;
    }

    /// The launch may start.
    pub(super) fn allowed(&mut self, permission: &Permission) -> io::Result<()> {
        self.launch.verdict = "allow".to_owned();
        self.launch.answer = Some(of_claims(permission.claims()));
        self.write_json(&self.folder.launch(), &self.launch)?;
        write(&self.folder.permit(), permission.permit().as_bytes())
    }

    /// The command starts now.
    pub(super) fn starts(&mut self, permission: &Permission) -> io::Result<()> {
        let now = clock::now().ok_or(io::ErrorKind::InvalidData)?;
        self.start_time = now.to_string();
        let file = StartFile {
            version: VERSION,
            decision_id: permission.claims().decision_id.clone(),
            start_time: self.start_time.clone(),
        };
        self.write_json(&self.folder.started(), &file)
    }

    /// The file for the standard error of the command.
    pub(super) fn stderr(&self) -> io::Result<File> {
        new_file(&self.folder.stderr())
    }

    /// The command was not started after all, or never was going to be.
    pub(super) fn not_started(&mut self, denial: &Denial) -> io::Result<()> {
        match fs::remove_file(self.folder.started()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.launch.verdict = denial.verdict().to_owned();
        self.launch.reasons = denial.lines().into_iter().map(|line| line.code).collect();
        if let Denial::Denied(denied) = denial {
            self.launch.answer = Some(of_denied(denied));
        }
        self.write_json(&self.folder.launch(), &self.launch)?;
        let text = denial.text(&self.launch.run_id);
        write(&self.folder.not_admitted(), text.as_bytes())
    }

    /// The command ended.
    pub(super) fn ended(
        &self,
        finished: &Finished,
        config: FileState,
        adapter: FileState,
    ) -> io::Result<RunFile> {
        let end_time = clock::now().ok_or(io::ErrorKind::InvalidData)?;
        let (exit_code, signal) = match finished.end {
            End::Exited(code) => (Some(code), None),
            End::Signaled(number) => (None, Some(number)),
            End::Changed | End::NotStarted(_) | End::Unknown => (None, None),
        };
        let file = RunFile {
            version: VERSION,
            start_time: self.start_time.clone(),
            end_time: end_time.to_string(),
            exit_code,
            signal,
            ended_by: finished.ended_by,
            config,
            adapter,
            lost_contact_ms: finished
                .lost_contact
                .map(|lost| u64::try_from(lost.as_millis()).unwrap_or(u64::MAX)),
            withheld_lines: finished.told.withheld_lines,
            is_stderr_whole: finished.told.is_whole,
            stderr: finished.told.kept.map(|digest| digest.to_string()),
            has_survivors: finished.has_survivors,
        };
        self.write_json(&self.folder.run(), &file)?;
        Ok(file)
    }

    /// What was written of the run, which the folder has to hold still.
    pub(super) fn held<'a>(&'a self, permission: &'a Permission, run: &'a RunFile) -> Held<'a> {
        Held {
            launch: &self.launch,
            start_time: &self.start_time,
            permit: permission.permit(),
            run,
        }
    }

    fn write_json(&self, path: &Path, shape: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(shape)?;
        bytes.push(b'\n');
        write(path, &bytes)
    }
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Real => "real",
        Lane::Fake => "fake",
        Lane::Unspecified => "",
    }
}

fn of_claims(claims: &Claims) -> AnswerPart {
    let time = Timestamp::from_unix(claims.issued_at, 0);
    AnswerPart {
        decision_id: claims.decision_id.clone(),
        decide_time: time.map(|time| time.to_string()).unwrap_or_default(),
        policy_digest: claims.policy.map(|digest| digest.to_string()),
        case_model_admission_status: match claims.lane {
            admit_permit::Lane::Real => "admitted".to_owned(),
            admit_permit::Lane::Fake => "not_required".to_owned(),
        },
        stream_id: claims.stream_id.clone(),
        seq: claims.seq,
        record_hash: claims.record_hash.to_string(),
    }
}

fn of_denied(denied: &Denied) -> AnswerPart {
    let record = denied.record();
    AnswerPart {
        decision_id: denied.decision_id().to_owned(),
        decide_time: denied.decide_time().to_string(),
        policy_digest: denied.policy_digest().map(|digest| digest.to_string()),
        case_model_admission_status: denied.case_model_admission_status().to_owned(),
        stream_id: record.stream_id.clone(),
        seq: record.seq,
        record_hash: record.hash.to_string(),
    }
}

/// A new private file. One that is there already belongs to another launch.
fn new_file(path: &Path) -> io::Result<File> {
    // What somebody else writes into it meanwhile is not written over, and shows.
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Writes a private file durably and in one step.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
