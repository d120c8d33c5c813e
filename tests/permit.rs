//! Permits of the real daemon: what they state, who has one, and what becomes of the keys.
//!
//! Deliberately absent: the form of a permit; see the tests of the crate `admit-permit`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod daemon;

#[path = "permit/keys.rs"]
mod keys;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use admit_permit::{Claims, KeySet, Lane, is_plausible};
use admit_policy::Digest;
use admit_proto::v1::{
    AdmitRequest, AdmitResponse, GetPermitKeysRequest, Lane as WireLane, Verdict,
    policy_service_client::PolicyServiceClient,
};
use daemon::{Daemon, Settings, policy::A, within};
use tempfile::TempDir;

/// A policy and a place for the audit log, which outlive a daemon.
struct Scene {
    folder: TempDir,
    more: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        A.in_sot().write_to(&folder.path().join("policy"));
        Self {
            folder,
            more: String::new(),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            audit_dir: Some(self.folder.path().join("audit")),
            more_audit: self.more.clone(),
            ..Settings::new(self.folder.path().join("policy"))
        }
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("audit/permit-keys")
    }

    async fn daemon(&self) -> Daemon {
        Daemon::start(&self.settings()).await
    }

    /// `admitd permit rotate` with the keys of this scene.
    fn rotate(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_admitd"))
            .args(["permit", "rotate", "--keys"])
            .arg(self.keys())
            .args(more)
            .output()
            .unwrap()
    }
}

async fn answer(daemon: &Daemon, request: AdmitRequest) -> AdmitResponse {
    daemon.client().await.admit(request).await.unwrap()
}

/// The permit of an ALLOW.
async fn permit(daemon: &Daemon) -> String {
    let answer = answer(daemon, A.launch()).await;
    assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
    answer.permit
}

/// The keys that the daemon serves.
async fn served(daemon: &Daemon) -> KeySet {
    let mut client = PolicyServiceClient::new(daemon.connect().await);
    let answer = within("keys", client.get_permit_keys(GetPermitKeysRequest {})).await;
    let jwks = answer.unwrap().into_inner().jwks;
    KeySet::parse(&jwks).unwrap()
}

/// The names of the keys that the daemon serves, the signing one first.
async fn kids(daemon: &Daemon) -> Vec<String> {
    let keys = served(daemon).await;
    let kids = keys.keys().iter().map(|key| key.kid().to_owned());
    kids.collect()
}

/// The names of the files in `folder` that end in `ending`.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(ending)?.to_owned()))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_permit_states_the_answer_and_its_record() {
    let scene = Scene::new();
    let daemon = scene.daemon().await;
    let request = A.launch();
    let answer = answer(&daemon, request.clone()).await;
    assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
    let claims = served(&daemon).await.verify(&answer.permit).unwrap();
    let issued_at = answer.decide_time.unwrap().seconds;
    assert_eq!(
        claims,
        Claims {
            host: request.host,
            run_id: request.run_id,
            decision_id: answer.decision_id,
            issued_at,
            expires_at: issued_at + 60,
            lane: Lane::Real,
            provider: request.provider,
            model: request.model,
            admission_file: Digest::parse(&request.admission_file_digest),
            policy: Digest::parse(&answer.policy_digest),
            case_config: request.case_config.as_deref().map(Digest::of),
            stream_id: answer.stream_id,
            seq: answer.seq,
            record_hash: Digest::parse(&answer.record_hash).unwrap(),
        }
    );
    assert_eq!(claims.holds_for("spark-1", "run-7", issued_at), Ok(()));
}

#[tokio::test]
async fn a_permit_of_the_fake_lane_has_no_pair() {
    let mut scene = Scene::new();
    scene.more = "[permit]\nlifetime = \"10m\"\n".into();
    let daemon = scene.daemon().await;
    let request = AdmitRequest {
        lane: WireLane::Fake.into(),
        provider: String::new(),
        model: String::new(),
        admission_file_digest: String::new(),
        case_config: None,
        ..A.launch()
    };
    let answer = answer(&daemon, request).await;
    assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
    let claims = served(&daemon).await.verify(&answer.permit).unwrap();
    assert_eq!(claims.lane, Lane::Fake);
    assert_eq!(
        (claims.provider, claims.model),
        (String::new(), String::new())
    );
    assert_eq!((claims.admission_file, claims.case_config), (None, None));
    assert_eq!(claims.expires_at - claims.issued_at, 600);
}

#[tokio::test]
async fn only_an_allow_that_starts_something_has_a_permit() {
    let scene = Scene::new();
    let daemon = scene.daemon().await;
    let launch = A.launch();
    for (request, verdict, has_permit) in [
        (launch.clone(), Verdict::Allow, true),
        (
            AdmitRequest {
                dry_run: true,
                ..launch.clone()
            },
            Verdict::Allow,
            false,
        ),
        (
            AdmitRequest {
                stage: 1,
                ..launch.clone()
            },
            Verdict::Deny,
            false,
        ),
        (
            AdmitRequest {
                stage: 1,
                dry_run: true,
                ..launch
            },
            Verdict::Deny,
            false,
        ),
    ] {
        let answer = answer(&daemon, request).await;
        assert_eq!(answer.verdict(), verdict);
        assert_eq!(is_plausible(&answer.permit), has_permit, "{answer:?}");
        assert_eq!(answer.permit.is_empty(), !has_permit, "{answer:?}");
    }
}

#[tokio::test]
async fn a_key_is_private_and_outlives_a_restart() {
    let scene = Scene::new();
    let daemon = scene.daemon().await;
    let before = permit(&daemon).await;
    let made = kids(&daemon).await;
    assert_eq!(made.len(), 1);
    for (path, mode) in [
        (scene.keys(), 0o700),
        (scene.keys().join(format!("{}.pem", made[0])), 0o600),
        (scene.keys().join(format!("{}.json", made[0])), 0o600),
    ] {
        let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    assert_eq!(daemon.terminate().await.code(), Some(0));

    let daemon = scene.daemon().await;
    assert_eq!(kids(&daemon).await, made);
    assert!(served(&daemon).await.verify(&before).is_ok());
    assert!(served(&daemon).await.verify(&permit(&daemon).await).is_ok());
}
