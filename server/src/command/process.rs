//! What the process of a daemon stands on: the runtime, and its own log on standard error.
//!
//! Here and not in the program, so that a measurement can start the same. Deliberately absent: what the
//! daemon does; see [`super::serve`].

use std::io::{self, IsTerminal as _};

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    config::Config,
    export::{
        ExportError,
        diagnostics::{DiagnosticsGuard, is_own},
        otlp_layer,
    },
};

/// The runtime of the daemon.
///
/// # Errors
///
/// When the system refuses its threads or files.
pub fn runtime() -> io::Result<Runtime> {
    // On one core a second thread could only take turns with the first.
    let mut builder = if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().build()
}

/// Says what the daemon does on standard error, and to the receiver if that is configured. Called once,
/// before anything is said; what waits to be sent is sent when the guard is dropped.
///
/// # Errors
///
/// When what is said cannot be exported as it is configured to be.
pub fn start_diagnostics(config: &Config) -> Result<Option<DiagnosticsGuard>, ExportError> {
    let exported = config
        .export
        .as_ref()
        .filter(|_| config.exports_diagnostics)
        .map(otlp_layer)
        .transpose()?;
    let (layer, guard) = exported.unzip();
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal())
                .with_target(false)
                .with_filter(filter_fn(is_own)),
        )
        .with(layer)
        // Below every layer: what no layer can want costs one comparison, not a question to each layer.
        // HTTP/2 makes several spans of each frame.
        .with(LevelFilter::INFO)
        .init();
    Ok(guard)
}
