//! What the wrapper writes into the evidence folder, step by step.

use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use admit_client::{Denied, facts::Launch};
use admit_permit::Claims;
use admit_policy::Timestamp;
use admit_proto::v1::{AdmitRequest, Lane};
use serde::Serialize;

use super::{
    denial::Denial,
    permission::Permission,
    supervision::{End, Finished},
};
use crate::evidence::{
    Held,
    folder::{AnswerPart, EvidenceFolder, FileState, LaunchFile, RunFile, StartFile, VERSION},
    store::{self, StoreError},
};

/// Only the owner may look into a folder of evidence.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Every bit of a mode.
const MODE_MASK: u32 = 0o7777;

/// The files of one launch.
#[derive(Debug)]
pub(super) struct Record {
    folder: EvidenceFolder,
    launch: LaunchFile,
    start_time: String,
}

impl Record {
    /// A record in the folder, which has to be new or empty: a launch never writes over another's
    /// evidence, and of two that begin at once, one gets it.
    pub(super) fn create(folder: &EvidenceFolder, launch: &Launch) -> io::Result<Self> {
        claim(folder)?;
        store::create_folder(&folder.backend())?;
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
        write_json(&self.folder.launch(), &self.launch)?;
        store::write(&self.folder.permit(), permission.permit().as_bytes())
    }

    /// The command starts now.
    pub(super) fn starts(&mut self, permission: &Permission) -> io::Result<()> {
        let now = crate::clock::now().ok_or(io::ErrorKind::InvalidData)?;
        self.start_time = now.to_string();
        let file = StartFile {
            version: VERSION,
            decision_id: permission.claims().decision_id.clone(),
            start_time: self.start_time.clone(),
        };
        write_json(&self.folder.started(), &file)
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
        write_json(&self.folder.launch(), &self.launch)?;
        let text = denial.text(&self.launch.run_id, self.decision_id());
        store::write(&self.folder.not_admitted(), text.as_bytes())
    }

    /// The last decision on the launch, be it an ALLOW that did not become a start.
    pub(super) fn decision_id(&self) -> Option<&str> {
        let answer = self.launch.answer.as_ref()?;
        Some(&answer.decision_id)
    }

    /// The command ended.
    pub(super) fn ended(
        &self,
        finished: &Finished,
        config: FileState,
        adapter: FileState,
    ) -> io::Result<RunFile> {
        let end_time = crate::clock::now().ok_or(io::ErrorKind::InvalidData)?;
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
        write_json(&self.folder.run(), &file)?;
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

fn write_json(path: &Path, shape: &impl Serialize) -> io::Result<()> {
    // Whoever is told of the fault names the file.
    store::write_json(path, "", shape).map_err(|error| match error {
        StoreError::Write { error, .. } => error,
        StoreError::Read { .. } | StoreError::Form { .. } => io::ErrorKind::InvalidData.into(),
    })
}

/// Takes the folder for one launch: it is ours, nobody else may look into it, and it has nothing but
/// the mark of this launch, which is an empty `launch.json` at first.
fn claim(folder: &EvidenceFolder) -> io::Result<()> {
    store::create_folder(folder.path())?;
    if fs::read_dir(folder.path())?.next().is_some() {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    if !is_own(&fs::metadata(folder.path())?) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if !is_private(folder.path())? {
        fs::set_permissions(folder.path(), Permissions::from_mode(FOLDER_MODE))?;
        // Some file systems take any mode and keep their own.
        if !is_private(folder.path())? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    // INVARIANT: only one launch makes this file; the loser touches nothing.
    new_file(&folder.launch())?;
    // What somebody else put there while the folder was still open is not of this launch.
    let mut entries = fs::read_dir(folder.path())?;
    let is_alone = entries.next().is_some() && entries.next().is_none();
    if is_alone {
        Ok(())
    } else {
        fs::remove_file(folder.launch())?;
        Err(io::ErrorKind::DirectoryNotEmpty.into())
    }
}

fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Whether the folder belongs to this user and nobody else may do anything with it.
fn is_private(folder: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(folder)?;
    Ok(is_own(&metadata) && metadata.mode() & MODE_MASK == FOLDER_MODE)
}

#[cfg(test)]
mod tests {
    use admit_client::facts::TargetRepositories;
    use admit_proto::v1::{FixtureKind, ServedModel};

    use super::*;

    fn record(folder: &Path) -> Record {
        let launch = Launch {
            host: "spark-1".into(),
            run_id: "run-1".into(),
            lane: Lane::Fake,
            stage: 0,
            dry_run: false,
            expected_policy: None,
            credential_source_class: String::new(),
            fixture: FixtureKind::Unspecified,
            fake_baseline: None,
            served_model: ServedModel::NotProbed,
            probe: false,
            task_file: None,
            target_repositories: TargetRepositories::Unstated,
        };
        Record::create(&EvidenceFolder::new(folder), &launch).unwrap()
    }

    #[test]
    fn a_denial_after_an_allow_names_the_decision() {
        let base = tempfile::tempdir().unwrap();
        for (name, decision_id) in [("asked", None), ("allowed", Some("d-1"))] {
            let mut record = record(&base.path().join(name));
            record.launch.answer = decision_id.map(|decision_id| AnswerPart {
                decision_id: decision_id.to_owned(),
                decide_time: String::new(),
                policy_digest: None,
                case_model_admission_status: String::new(),
                stream_id: String::new(),
                seq: 7,
                record_hash: String::new(),
            });
            record.not_started(&Denial::Changed).unwrap();
            assert_eq!(record.decision_id(), decision_id);
            let text = fs::read_to_string(record.folder.not_admitted()).unwrap();
            let line = format!("\ndecision: {}\n", decision_id.unwrap_or("none"));
            assert!(text.contains(&line), "{text}");
            let launch = fs::read_to_string(record.folder.launch()).unwrap();
            assert_eq!(launch.contains("d-1"), decision_id.is_some());
            assert!(launch.contains("\"refused\""));
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & MODE_MASK
    }

    #[test]
    fn a_folder_is_claimed_by_one_launch_and_private() {
        let base = tempfile::tempdir().unwrap();
        for (name, former_mode) in [
            ("new/below", None),
            ("private", Some(0o700)),
            ("readable", Some(0o755)),
            ("open", Some(0o777)),
            ("shared", Some(0o1777)),
            ("group", Some(0o2770)),
        ] {
            let folder = EvidenceFolder::new(base.path().join(name));
            if let Some(former_mode) = former_mode {
                fs::create_dir(folder.path()).unwrap();
                fs::set_permissions(folder.path(), Permissions::from_mode(former_mode)).unwrap();
            }
            claim(&folder).unwrap();
            assert_eq!(mode(folder.path()), FOLDER_MODE, "{name}");
            assert_eq!(mode(&folder.launch()), FILE_MODE, "{name}");
            let error = claim(&folder).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty, "{name}");
            assert!(folder.launch().exists(), "{name}");
        }
    }

    #[test]
    fn of_launches_that_begin_at_once_one_gets_the_folder() {
        const LAUNCHES: usize = 8;
        let base = tempfile::tempdir().unwrap();
        for round in 0..16 {
            let folder = EvidenceFolder::new(base.path().join(round.to_string()));
            let barrier = std::sync::Barrier::new(LAUNCHES);
            let winners = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..LAUNCHES)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            claim(&folder).is_ok()
                        })
                    })
                    .collect();
                let ended = threads.into_iter().map(|thread| thread.join().unwrap());
                ended.filter(|is_winner| *is_winner).count()
            });
            assert_eq!(winners, 1, "round {round}");
            assert!(folder.launch().exists());
        }
    }

    #[test]
    fn a_folder_with_anything_in_it_is_left_as_it_is() {
        let base = tempfile::tempdir().unwrap();
        let folder = EvidenceFolder::new(base.path().join("used"));
        fs::create_dir(folder.path()).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("a"), b"").unwrap();
        let error = claim(&folder).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        assert_eq!(mode(folder.path()), 0o755);
        assert!(!folder.launch().exists());
    }

    #[test]
    fn only_a_folder_of_ours_is_private() {
        // It belongs to the superuser, and may be entered by everybody.
        assert!(!is_private(Path::new("/")).unwrap());
        let ours = tempfile::tempdir().unwrap();
        for (mode, is_ours_alone) in [
            (0o700, true),
            (0o710, false),
            (0o701, false),
            (0o1700, false),
        ] {
            fs::set_permissions(ours.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_private(ours.path()).unwrap(), is_ours_alone, "{mode:o}");
        }
    }
}
