//! The floor: a bare tonic server of the same contract that decides nothing, as anybody would write it.
//!
//! Its requests are the real ones and its answers have their size. On demand it appends a line of a record's
//! size for each answer, and syncs it with those of other calls before the answers are given. Deliberately
//! absent: any thought, and any tuning: the runtime and the transport are as they come.

mod journal;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse, Verdict,
    admission_service_server::{AdmissionService, AdmissionServiceServer},
};
use anyhow::Context as _;
use prost::Message as _;
use tokio::{net::TcpListener, runtime};
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

pub(crate) use journal::Appended;
use journal::Journal;
pub(crate) use journal::Sync;

/// What a bare server does.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How it syncs.
    #[arg(long, value_enum)]
    sync: Sync,
    /// The file that it appends to.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Bytes of a line.
    #[arg(long, value_name = "BYTES")]
    record_bytes: usize,
    /// Bytes of an answer.
    #[arg(long, value_name = "BYTES")]
    answer_bytes: usize,
    /// The folder of `tls.crt`, `tls.key` and `ca.crt`; mutual TLS.
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Where it listens; the port 0 stands for any that is free.
    #[arg(long)]
    listen: SocketAddr,
}

impl Arguments {
    /// A server that appends to a file in `folder`, if it syncs, and takes the files of TLS from there.
    pub(crate) fn new(sync: Sync, has_tls: bool, sizes: Sizes, folder: &Path) -> Self {
        Self {
            sync,
            journal: (sync != Sync::None).then(|| folder.join("journal")),
            record_bytes: sizes.record,
            answer_bytes: sizes.answer,
            tls: has_tls.then(|| folder.to_owned()),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    /// The same server at `address`.
    pub(crate) fn listening(self, address: SocketAddr) -> Self {
        Self {
            listen: address,
            ..self
        }
    }

    /// The command that starts this server: this very program. It ends when its standard input does.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve-bare", "--sync", self.sync.name()])
            .args(["--record-bytes", &self.record_bytes.to_string()])
            .args(["--answer-bytes", &self.answer_bytes.to_string()])
            .args(["--listen", &self.listen.to_string()])
            .stdin(Stdio::piped());
        if let Some(path) = &self.journal {
            command.arg("--journal").arg(path);
        }
        if let Some(folder) = &self.tls {
            command.arg("--tls").arg(folder);
        }
        Ok(command)
    }
}

/// Bytes of the real messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Sizes {
    /// Of a request.
    pub(crate) request: usize,
    /// Of an answer.
    pub(crate) answer: usize,
    /// Of a record, with its line feed.
    pub(crate) record: usize,
}

/// Serves until standard input ends.
///
/// # Errors
///
/// When it cannot listen, or cannot open what it was told to.
pub(crate) fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let journal = match (arguments.sync, &arguments.journal) {
        (Sync::None, _) | (_, None) => None,
        (sync, Some(path)) => Some((sync, path)),
    };
    let tls = arguments.tls.as_deref().map(tls).transpose()?;
    let answer = answer(arguments.answer_bytes);
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let journal = journal.map(|(sync, path)| Journal::open(path, arguments.record_bytes, sync));
        let bare = Bare {
            answer,
            journal: journal.transpose()?,
        };
        let listener = TcpListener::bind(arguments.listen).await?;
        writeln!(anstream::stdout(), "{}", listener.local_addr()?)?;
        end_with_standard_input()?;
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls)?;
        }
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        server
            .add_service(AdmissionServiceServer::new(bare))
            .serve_with_incoming(incoming)
            .await
            .context("the bare server failed")
    })
}

/// Whoever started this server has ended when its standard input does.
fn end_with_standard_input() -> anyhow::Result<()> {
    thread::Builder::new().spawn(|| {
        let mut nothing = Vec::new();
        // An error is an end too.
        let _ = std::io::stdin().read_to_end(&mut nothing);
        std::process::exit(0);
    })?;
    Ok(())
}

fn tls(folder: &Path) -> anyhow::Result<ServerTlsConfig> {
    let read = |name: &str| {
        std::fs::read(folder.join(name)).with_context(|| format!("`{name}` cannot be read"))
    };
    Ok(ServerTlsConfig::new()
        .identity(Identity::from_pem(read("tls.crt")?, read("tls.key")?))
        .client_ca_root(Certificate::from_pem(read("ca.crt")?)))
}

/// An ALLOW of so many bytes.
fn answer(bytes: usize) -> AdmitResponse {
    let mut answer = AdmitResponse {
        verdict: Verdict::Allow.into(),
        seq: 1,
        ..AdmitResponse::default()
    };
    while answer.encoded_len() < bytes {
        answer.permit.push('p');
    }
    answer
}

/// The service that does nothing.
struct Bare {
    answer: AdmitResponse,
    journal: Option<Arc<Journal>>,
}

#[tonic::async_trait]
impl AdmissionService for Bare {
    async fn admit(&self, _: Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        if let Some(journal) = &self.journal {
            journal.append().await?;
        }
        Ok(Response::new(self.answer.clone()))
    }

    async fn check_evidence(
        &self,
        _: Request<CheckEvidenceRequest>,
    ) -> Result<Response<CheckEvidenceResponse>, Status> {
        Err(Status::unimplemented("a bare server judges nothing"))
    }
}
