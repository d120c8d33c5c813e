//! The stage of the demo: a policy directory, a daemon that serves it, and a client.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use admit_client::{Answer, AskError, Client, Endpoint, Watch};
use admit_policy::Digest;
use admit_proto::v1::{
    AdmitRequest, Lane, PairState, WatchPolicyRequest, watch_policy_response::Event,
};
use tempfile::TempDir;

use super::DemoError;
use crate::{command::serve::Daemon, config::Config, supervision::Inherited};

/// The decision record of the example policy.
pub(super) const RECORD: &str = "CTO-CASE-PROVIDER-DECISION-RECORD.md";
/// The admission of the pair that it selects.
pub(super) const ADMISSION: &str =
    "CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json";
/// The admission of its fallback.
pub(super) const FALLBACK_ADMISSION: &str =
    "CTO-CASE-MODEL-PROVIDER-ADMISSION.openai-codex-gpt-5.5.json";

macro_rules! example {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../deploy/example/sot/", $name)))),+]
    };
}

/// The example policy, built in.
const EXAMPLE: [(&str, &str); 5] = example![
    "CTO-CASE-PROVIDER-DECISION-RECORD.md",
    "CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json",
    "CTO-CASE-MODEL-PROVIDER-ADMISSION.openai-codex-gpt-5.5.json",
    "CTO-CASE-MODEL-PROVIDER-ADMISSION-ISSUES.md",
    "CTO-CASE-LOCAL-PROVIDER-ROUTE-ISSUES.md",
];

/// The configuration for it, built in.
const EXAMPLE_CONFIG: &str = include_str!("../../../../deploy/example/admitd.toml");
const POLICY_FOLDER: &str = "policy";
const AUDIT_FOLDER: &str = "audit";

/// Longest time for one answer.
const DEADLINE: Duration = Duration::from_secs(5);

pub(super) struct Stage {
    directory: TempDir,
    daemon: Daemon,
    client: Client,
    watch: Watch,
    asked: u64,
}

impl Stage {
    /// Writes the example policy, starts a daemon on it, and waits until it is in force.
    pub(super) async fn set() -> Result<Self, DemoError> {
        let directory = tempfile::Builder::new().prefix("admit-demo-").tempdir()?;
        let policy_dir = directory.path().join(POLICY_FOLDER);
        fs::create_dir(&policy_dir)?;
        for (name, text) in EXAMPLE {
            fs::write(policy_dir.join(name), text)?;
        }
        let daemon = Daemon::start(config(directory.path())?, Inherited::default()).await?;
        let address = daemon.tcp_address().ok_or(DemoError::NoAddress)?;
        let endpoint: Endpoint = format!("http://{address}")
            .parse()
            .map_err(|_| DemoError::NoAddress)?;
        let mut client = Client::new(endpoint, DEADLINE);
        let watch = client
            .watch(WatchPolicyRequest {
                provider: "qwen-local".into(),
                model: "qwen3.6-35b-a3b".into(),
                lane: Lane::Real.into(),
            })
            .await?;
        let mut stage = Self {
            directory,
            daemon,
            client,
            watch,
            asked: 0,
        };
        if stage.pair_became(PairState::Admitted, DEADLINE).await? {
            Ok(stage)
        } else {
            Err(DemoError::NotInForce)
        }
    }

    pub(super) fn policy_dir(&self) -> PathBuf {
        self.directory.path().join(POLICY_FOLDER)
    }

    pub(super) fn audit_dir(&self) -> PathBuf {
        self.directory.path().join(AUDIT_FOLDER)
    }

    pub(super) fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.policy_dir().join(name))
    }

    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.policy_dir().join(name), text)
    }

    /// The digest of one of the example's files, as a launch wrapper would state it.
    pub(super) fn digest_of(&self, name: &str) -> String {
        fs::read(self.policy_dir().join(name))
            .map(|bytes| Digest::of(&bytes).to_string())
            .unwrap_or_default()
    }

    pub(super) async fn ask(&mut self, request: AdmitRequest) -> Result<Answer, AskError> {
        self.asked = self.asked.saturating_add(1);
        self.client.admit(request).await
    }

    /// How many launches were asked about.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Waits until the watch tells that the selected pair has changed to `state`; whether it did in
    /// time. The pair stays revoked from one revoking edit to the next, and each of them has reasons
    /// of its own that are told.
    pub(super) async fn pair_became(
        &mut self,
        state: PairState,
        patience: Duration,
    ) -> Result<bool, AskError> {
        let told = async {
            while let Some(event) = self.watch.next().await? {
                match event {
                    Event::PairChanged(change) if change.state() == state => return Ok(true),
                    Event::PairChanged(_) | Event::PolicyChanged(_) => {}
                }
            }
            Ok(false)
        };
        tokio::time::timeout(patience, told)
            .await
            .unwrap_or(Ok(false))
    }

    /// Stops the daemon and removes the directory.
    pub(super) async fn strike(self) -> Result<(), DemoError> {
        drop(self.watch);
        drop(self.client);
        self.daemon.stop().await?;
        Ok(self.directory.close()?)
    }
}

/// The example configuration, with folders and a port of the demo's own.
fn config(directory: &Path) -> Result<Config, DemoError> {
    let mut config = Config::parse(EXAMPLE_CONFIG)?;
    config.store.policy_dir = directory.join(POLICY_FOLDER);
    config.audit.dir = directory.join(AUDIT_FOLDER);
    config.listen.tcp = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    Ok(config)
}
