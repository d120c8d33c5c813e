//! Spans: the audit log's projection, sent to an OTLP receiver.
//!
//! # What holds
//!
//! - A span is a pure function of its entry. What is not in the log is in no span.
//! - Every entry is sent at least once. Nothing is sampled, whatever a caller's `traceparent` says, and
//!   nothing is dropped: the queue is the log itself, and what a crash forgets is sent again.
//! - Only what is durable in the log is sent.
//! - No decision waits for a receiver. A receiver that fails is tried for ever, at most every 30 seconds.
//! - A span that a receiver refuses for good is recorded in the log, and its neighbors arrive.
//! - The credentials for a receiver and its texts are in no log, no error and no span.
//! - Spans leave the host over TLS only.
//! - A log that was cut or rewritten behind what a receiver has is not exported.
//!
//! Limits: a batch has at most [`reader::BATCH_SPANS_MAX`] spans and [`reader::BATCH_BYTES_MAX`] bytes,
//! one batch is on its way at a time, and a call takes at most [`receiver::CALL_TIMEOUT`].
//!
//! In reading order: [`span`], [`reader`], [`cursor`]; [`headers`], `call`, [`receiver`], [`delivery`];
//! `follow`, [`again`]; [`diagnostics`], which is not the audit. Deliberately absent: OpenTelemetry's
//! SDK for the audit. It drops spans when its queue is full, when the receiver is away and when the
//! process is killed.

pub mod again;
mod call;
pub mod cursor;
pub mod delivery;
pub mod diagnostics;
mod follow;
pub mod headers;
pub mod reader;
pub mod receiver;
pub mod span;

use std::{io, path::PathBuf, thread, time::Duration};

use tokio::sync::watch;

pub use again::{SendError, Sent, send_again};
use cursor::NotAsSent;
pub use diagnostics::otlp_layer;
use reader::ReadError;
use receiver::{Receiver, ReceiverError, Route};

use crate::audit::{Trail, writer::wait_for_end};

/// How long the end of an export may take.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Where spans go.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// The OTLP gRPC endpoint: `https://host:port`, or `http://` with a loopback address.
    pub endpoint: String,
    /// The certificate authorities that are trusted, in PEM; none for those of the host.
    pub ca_file: Option<PathBuf>,
    /// Headers for the receiver, one `name: value` a line, readable by the owner only.
    pub headers_file: Option<PathBuf>,
}

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The receiver cannot be reached as it is configured.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log lacks what a receiver has, and would use its sequence numbers again.
    #[error("the audit log in `{}` is not the one that was exported; keep it, and start with another directory", dir.display())]
    NotAsSent {
        /// The audit directory.
        dir: PathBuf,
        /// What it lacks.
        source: NotAsSent,
    },
    /// There is no thread or no runtime to be had.
    #[error("the thread of the export cannot be started")]
    Thread(#[source] io::Error),
    /// The diagnostics cannot be exported.
    #[error("the export of diagnostics cannot be set up")]
    Diagnostics,
}

/// A running export. Dropping it ends it within a second; what is not acknowledged by then is sent
/// after the next start.
#[derive(Debug)]
pub struct Exporter {
    /// The export ends when this is gone.
    stop: Option<watch::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // An export that hangs in the disk must not hang the end of the process.
            wait_for_end(&thread, STOP_PATIENCE);
        }
    }
}

/// Keeps retention from what the receiver has not got, where spans were exported once and are not now.
/// Without a cursor of this log, nothing is held.
pub fn hold_retention(trail: &Trail) {
    let head = trail.follow().borrow().head.seq;
    if let Some(seq) = cursor::acknowledged(trail.dir(), trail.stream_id(), head) {
        trail.exported(seq);
    }
}

/// Starts the export of `trail`, on a thread of its own: reading files must not hold up anybody.
///
/// # Errors
///
/// When the configuration is not valid, a file that it names cannot be used, or the log cannot be
/// read or lacks what a receiver has. That the receiver is not there is no error.
#[expect(
    clippy::needless_pass_by_value,
    reason = "what it names is read here and belongs to the export"
)]
pub fn start(config: ExportConfig, trail: Trail) -> Result<Exporter, ExportError> {
    let route = Route::new(&config)?;
    let head = trail.follow().borrow().head.seq;
    let position = cursor::load(trail.dir(), trail.stream_id(), head)?;
    // From here on retention waits for the receiver.
    trail.exported(position.next_seq.saturating_sub(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ExportError::Thread)?;
    let (stop, stopped) = watch::channel(());
    let thread = thread::Builder::new()
        .name("audit-export".into())
        .spawn(move || {
            runtime.block_on(async {
                let delivery = delivery::Delivery::new(Receiver::new(route), None);
                follow::Following::new(trail, delivery, position)
                    .run(stopped)
                    .await;
            });
            // A name that is being looked up must not hold up the end.
            runtime.shutdown_background();
        })
        .map_err(ExportError::Thread)?;
    Ok(Exporter {
        stop: Some(stop),
        thread: Some(thread),
    })
}
