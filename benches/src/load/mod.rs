//! The load generator: unary gRPC calls at a number in flight or at a rate, each answer checked.
//!
//! One thread does it all, and speaks HTTP/2 with nothing above it, so that the generator is not what is
//! measured. Deliberately absent: what to ask, and how fast; see [`Plan`].

pub(crate) mod call;
mod closed;
pub(crate) mod connection;
mod open;
mod tally;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::runtime;
use tokio_rustls::rustls::ClientConfig;

use crate::pin;

pub(crate) use call::{Call, RUNS};
pub(crate) use tally::Outcome;

/// How long a server that is not ready yet is left alone between two questions.
const HEALTH_INTERVAL: Duration = Duration::from_millis(5);
/// How long calls may take to end, once no more are made.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// A server under load.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How TLS is spoken with it; none: not at all.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Its process.
    pub(crate) process: u32,
}

impl Target {
    /// A server at `address`, in the process `process`.
    pub(crate) fn new(address: SocketAddr, tls: Option<Arc<ClientConfig>>, process: u32) -> Self {
        Self {
            address,
            tls,
            process,
        }
    }
}

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many at any time: each answer is followed by the next call at once.
    Closed {
        /// Calls in flight.
        concurrency: usize,
    },
    /// So many a second, evenly, whatever has been answered. Latency counts from when a call was due.
    Open {
        /// Calls a second.
        per_second: u32,
    },
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    /// Who is asked.
    pub(crate) target: &'a Target,
    /// What is asked.
    pub(crate) call: &'a Call,
    /// How fast.
    pub(crate) pace: Pace,
    /// Over how many connections.
    pub(crate) connections: usize,
    /// Load before anything counts.
    pub(crate) warm_up: Duration,
    /// The time that counts.
    pub(crate) window: Duration,
    /// The core of the generator; none: any.
    pub(crate) core: Option<usize>,
}

/// Puts a server under load, and says how it did.
///
/// # Errors
///
/// When no connection comes about or one breaks, when an answer is not the expected one, or when calls
/// do not end.
pub(crate) fn run(plan: &Plan<'_>) -> anyhow::Result<Outcome> {
    ensure!(plan.connections > 0, "a load needs a connection");
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    pin::on(plan.core, || {
        runtime.block_on(async {
            let connections = connection::open(plan.target, plan.connections).await?;
            match plan.pace {
                Pace::Closed { concurrency } => closed::run(plan, &connections, concurrency).await,
                Pace::Open { per_second } => open::run(plan, &connections, per_second).await,
            }
        })
    })?
}

/// Asks a server for its health until it is well.
///
/// # Errors
///
/// When it is not well after `patience`.
pub(crate) fn wait_until_healthy(
    target: &Target,
    service: &str,
    patience: Duration,
) -> anyhow::Result<()> {
    wait_until_answered(target, &Call::health(service), patience)
}

/// Makes a call until its answer is the expected one.
///
/// # Errors
///
/// When it is not after `patience`.
pub(crate) fn wait_until_answered(
    target: &Target,
    call: &Call,
    patience: Duration,
) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let deadline = Instant::now() + patience;
    runtime.block_on(async {
        loop {
            let outcome = ask_once(target, call).await;
            let Err(failure) = outcome else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(failure).context("the server does not get ready");
            }
            tokio::time::sleep(HEALTH_INTERVAL).await;
        }
    })
}

/// One call on a connection of its own.
async fn ask_once(target: &Target, call: &Call) -> anyhow::Result<()> {
    let connections = connection::open(target, 1).await?;
    let Some(connection) = connections.first() else {
        bail!("no connection");
    };
    let mut sender = connection.clone();
    call::make(&mut sender, &call.prepare(target)?, 0).await?;
    Ok(())
}
