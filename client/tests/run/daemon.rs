//! A daemon in this process, on a runtime of its own, so that it can be killed as a whole.

use std::path::Path;

use admit_proto::v1::{
    GetPermitKeysRequest, Lane, PairState, WatchPolicyRequest,
    policy_service_client::PolicyServiceClient, watch_policy_response::Event,
};
use admit_server::{command::serve::Daemon, config::Config, supervision::Inherited};
use tokio::{runtime::Runtime, time::timeout};
use tonic::transport::Channel;

use crate::{patience::PATIENCE, policy::MODEL};

const CONFIG: &str = "[network_classes]\nspark-tailnet = [\"loopback\"]\n";

/// A runtime with threads of its own.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) struct RunningDaemon {
    /// Drops last, and with it whatever the daemon still does.
    daemon: Option<(Daemon, Runtime)>,
    address: String,
    /// For the questions of the tests themselves.
    asking: Runtime,
}

impl RunningDaemon {
    pub(crate) fn start(policy_dir: &Path, audit_dir: &Path) -> Self {
        let mut config = Config::parse(CONFIG).unwrap();
        config.store.policy_dir = policy_dir.to_owned();
        config.audit.dir = audit_dir.to_owned();
        config.listen.tcp = Some("127.0.0.1:0".parse().unwrap());
        let runtime = runtime();
        let daemon = runtime
            .block_on(Daemon::start(config, Inherited::default()))
            .unwrap();
        let address = daemon.tcp_address().unwrap().to_string();
        Self {
            daemon: Some((daemon, runtime)),
            address,
            asking: self::runtime(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the daemon as if it had been killed: every connection breaks, and nothing is said.
    pub(crate) fn kill(&mut self) {
        if let Some((daemon, runtime)) = self.daemon.take() {
            runtime.shutdown_background();
            drop(daemon);
        }
    }

    async fn policy_service(&self) -> PolicyServiceClient<Channel> {
        PolicyServiceClient::connect(self.endpoint()).await.unwrap()
    }

    /// The keys of permits, as the daemon gives them.
    pub(crate) fn jwks(&self) -> String {
        self.asking.block_on(async {
            let mut service = self.policy_service().await;
            let keys = service.get_permit_keys(GetPermitKeysRequest {}).await;
            keys.unwrap().into_inner().jwks
        })
    }

    /// Waits until the policy in force says so of the pair.
    pub(crate) fn until_pair_is(&self, provider: &str, state: &str) {
        let due = match state {
            "admitted" => PairState::Admitted,
            _ => PairState::Revoked,
        };
        let told = async {
            let request = WatchPolicyRequest {
                provider: provider.to_owned(),
                model: MODEL.to_owned(),
                lane: Lane::Real.into(),
            };
            let mut service = self.policy_service().await;
            let mut events = service.watch_policy(request).await.unwrap().into_inner();
            loop {
                let event = events.message().await.unwrap().unwrap().event.unwrap();
                if let Event::PairChanged(change) = event
                    && change.state() == due
                {
                    return;
                }
            }
        };
        self.asking.block_on(async {
            let told = timeout(PATIENCE, told).await;
            assert!(told.is_ok(), "the pair never became {state}");
        });
    }
}

impl Drop for RunningDaemon {
    fn drop(&mut self) {
        self.kill();
    }
}
