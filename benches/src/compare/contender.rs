//! Those that are compared: the floor, the floor with a sync, `admitd`, and Cerbos.

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tempfile::TempDir;

use crate::{
    authority::{Authority, CALLERS},
    bare::{self, Sizes, Sync},
    cerbos::{self, Binary, Cerbos},
    child::Process,
    daemon::{Daemon, Deployment, START_MAX, Wire},
    load::{self, Call, Target},
    pin::Cores,
    place::{self, Binaries},
};

/// One of those that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// A bare tonic server.
    Floor,
    /// The same over mutual TLS.
    FloorTls,
    /// The same in plaintext with a sync on a thread of its own.
    SyncThread,
    /// The same with a sync on the runtime's thread.
    SyncInline,
    /// `admitd` in plaintext.
    Admitd,
    /// `admitd` over mutual TLS.
    AdmitdTls,
    /// Cerbos without its audit log.
    Cerbos,
    /// Cerbos with its audit log in a file, which it does not sync.
    CerbosAudit,
}

impl Contender {
    /// All of them, as they stand in every table.
    pub(crate) const ALL: [Self; 8] = [
        Self::Floor,
        Self::FloorTls,
        Self::SyncThread,
        Self::SyncInline,
        Self::Admitd,
        Self::AdmitdTls,
        Self::Cerbos,
        Self::CerbosAudit,
    ];

    /// What a reader calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor: bare tonic",
            Self::FloorTls => "floor over mutual TLS",
            Self::SyncThread => "floor + sync, own thread",
            Self::SyncInline => "floor + sync, inline",
            Self::Admitd => "admitd, plaintext",
            Self::AdmitdTls => "admitd, mutual TLS",
            Self::Cerbos => "Cerbos, audit off",
            Self::CerbosAudit => "Cerbos, audit to a file",
        }
    }

    /// Whether it is Admit's competition.
    pub(crate) fn is_cerbos(self) -> bool {
        matches!(self, Self::Cerbos | Self::CerbosAudit)
    }
}

/// How the metrics say that launches were allowed.
const DECISIONS: &str = "admit_decisions_total{";

/// What it takes to start any of them.
pub(crate) struct Stable {
    /// Daemon and command.
    pub(crate) binaries: Binaries,
    /// Cerbos, if it is there.
    pub(crate) cerbos: Option<Binary>,
    /// The sizes of the real messages.
    pub(crate) sizes: Sizes,
}

/// A contender at work. It ends with the value.
pub(crate) struct Running {
    /// Where it is called.
    pub(crate) target: Target,
    /// What it is asked.
    pub(crate) call: Call,
    kept: Kept,
}

/// What has to live as long as a contender is at work.
enum Kept {
    Bare { _process: Process, _folder: TempDir },
    Admitd(Box<Daemon>),
    Cerbos { _cerbos: Cerbos },
}

impl Running {
    /// Looks whether what has to be at work beside the answers was: the export of spans, and the metrics.
    ///
    /// # Errors
    ///
    /// When it was not.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match &self.kept {
            Kept::Admitd(daemon) => {
                ensure!(daemon.receiver.spans() > 0, "no span was exported");
                let page = daemon.metrics_page()?;
                ensure!(
                    page.contains(DECISIONS),
                    "no decision stands in the metrics"
                );
                Ok(())
            }
            Kept::Bare { .. } | Kept::Cerbos { .. } => Ok(()),
        }
    }
}

impl Stable {
    /// Starts a contender, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub(crate) fn start(&self, contender: Contender, cores: Cores) -> anyhow::Result<Running> {
        match contender {
            Contender::Floor => self.bare(Sync::None, Wire::Plaintext, cores),
            Contender::FloorTls => self.bare(Sync::None, Wire::MutualTls, cores),
            Contender::SyncThread => self.bare(Sync::Thread, Wire::Plaintext, cores),
            Contender::SyncInline => self.bare(Sync::Inline, Wire::Plaintext, cores),
            Contender::Admitd => self.admitd(Wire::Plaintext, cores),
            Contender::AdmitdTls => self.admitd(Wire::MutualTls, cores),
            Contender::Cerbos => self.cerbos(false, cores),
            Contender::CerbosAudit => self.cerbos(true, cores),
        }
        .with_context(|| contender.name())
    }

    fn bare(&self, sync: Sync, wire: Wire, cores: Cores) -> anyhow::Result<Running> {
        let folder = place::scratch()?;
        let has_tls = wire == Wire::MutualTls;
        let tls = match has_tls {
            false => None,
            true => {
                let authority = Authority::new()?;
                authority.write_server(folder.path())?;
                Some(authority.client(CALLERS[0])?)
            }
        };
        let arguments = bare::Arguments::new(sync, has_tls, self.sizes, folder.path());
        let (process, address) = Process::serving(&mut arguments.command()?, cores.server)?;
        let target = Target::new(address, tls, process.id());
        let call = Call::admit();
        load::wait_until_answered(&target, &call, START_MAX)?;
        Ok(Running {
            target,
            call,
            kept: Kept::Bare {
                _process: process,
                _folder: folder,
            },
        })
    }

    fn admitd(&self, wire: Wire, cores: Cores) -> anyhow::Result<Running> {
        let mut deployment = Deployment::new(&self.binaries, wire);
        deployment.cores = cores;
        let daemon = Daemon::start(&deployment)?;
        Ok(Running {
            target: daemon.target.clone(),
            call: Call::admit(),
            kept: Kept::Admitd(Box::new(daemon)),
        })
    }

    fn cerbos(&self, has_audit: bool, cores: Cores) -> anyhow::Result<Running> {
        let binary = self.cerbos.as_ref().context("Cerbos is not there")?;
        let cerbos = Cerbos::start(binary, has_audit, cores.server)?;
        Ok(Running {
            target: cerbos.target.clone(),
            call: cerbos::call(),
            kept: Kept::Cerbos { _cerbos: cerbos },
        })
    }
}
