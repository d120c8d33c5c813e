//! The floor of the cold path: the least that a server over mutual TLS can be, and the least that a client
//! can be. Both are child processes of a measurement.
//!
//! Deliberately absent: any decision, any record, and any look at an answer.

use std::{fs, net::SocketAddr, path::PathBuf};

use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse,
    admission_service_client::AdmissionServiceClient,
    admission_service_server::{AdmissionService, AdmissionServiceServer},
};
use tokio::runtime;
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Endpoint, Identity, Server, ServerTlsConfig},
};

use crate::launch;

/// Where the least server listens, and with which files.
#[derive(Debug, clap::Args)]
pub(crate) struct FloorServer {
    /// The address.
    address: SocketAddr,
    /// The folder of `tls.crt`, `tls.key` and `ca.crt`.
    folder: PathBuf,
}

/// Whom the least client asks.
#[derive(Debug, clap::Args)]
pub(crate) struct FloorClient {
    /// The address.
    address: SocketAddr,
}

struct Floor;

#[tonic::async_trait]
impl AdmissionService for Floor {
    async fn admit(&self, _: Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        Ok(Response::new(AdmitResponse::default()))
    }

    async fn check_evidence(
        &self,
        _: Request<CheckEvidenceRequest>,
    ) -> Result<Response<CheckEvidenceResponse>, Status> {
        Err(Status::unimplemented("the floor judges nothing"))
    }
}

impl FloorServer {
    /// Serves until the process is told to stop.
    ///
    /// # Errors
    ///
    /// When a file or the address is not to be had.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let read = |name: &str| fs::read(self.folder.join(name));
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("tls.crt")?, read("tls.key")?))
            .client_ca_root(Certificate::from_pem(read("ca.crt")?));
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(async {
            Server::builder()
                .tls_config(tls)?
                .add_service(AdmissionServiceServer::new(Floor))
                .serve(self.address)
                .await
        });
        Ok(served?)
    }
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
