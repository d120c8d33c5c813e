//! The floor of `admit check`: the least that a client can be, as a child process of a measurement.
//!
//! Deliberately absent: any look at the answer.

use std::net::SocketAddr;

use admit_proto::v1::admission_service_client::AdmissionServiceClient;
use tokio::runtime;
use tonic::transport::Endpoint;

use crate::launch;

/// Whom the least client asks.
#[derive(Debug, clap::Args)]
pub(crate) struct FloorClient {
    /// The address.
    address: SocketAddr,
}

impl FloorClient {
    /// Asks once, in plaintext.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?;
            let mut client = AdmissionServiceClient::new(endpoint.connect().await?);
            client.admit(launch::request("run-0000")).await?;
            Ok(())
        })
    }
}
