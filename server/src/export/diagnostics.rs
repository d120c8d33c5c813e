//! The daemon's own diagnostics (its start, reloads, trouble with the export) as OTLP logs.
//!
//! They are not the audit, and they are held to less: OpenTelemetry's SDK batches them in memory and
//! drops them when its queue is full, when the receiver is away for long, and when the process is
//! killed. Whatever has to be known is in the audit log; the same events are on standard error. Only
//! events of Admit itself are sent, none of the libraries that send them, so that sending makes no
//! events to send.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, WithTonicConfig as _};
use opentelemetry_sdk::{Resource, logs::SdkLoggerProvider};
use tokio::runtime::Runtime;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::{ExportConfig, ExportError, receiver::Route};

/// What the target of every event of Admit begins with.
const OWN_TARGET: &str = "admit";
/// How long the last events may take.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Keeps the export of diagnostics; dropping it sends what is waiting, within a second.
#[derive(Debug)]
pub struct DiagnosticsGuard {
    provider: SdkLoggerProvider,
    runtime: Option<Runtime>,
}

impl Drop for DiagnosticsGuard {
    fn drop(&mut self) {
        // What could not be sent by then is lost, as it may be.
        let _ = self.provider.shutdown_with_timeout(STOP_PATIENCE);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A layer that sends the events of Admit to the receiver of `config`.
///
/// # Errors
///
/// When the configuration is not valid, a file that it names cannot be used, or there is no thread.
pub fn otlp_layer<S>(
    config: &ExportConfig,
) -> Result<(impl Layer<S> + use<S>, DiagnosticsGuard), ExportError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let route = Route::new(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("diagnostics")
        .enable_all()
        .build()
        .map_err(ExportError::Thread)?;
    let channel = {
        let _entered = runtime.enter();
        route.channel()
    };
    let exporter = LogExporter::builder()
        .with_tonic()
        .with_channel(channel)
        .with_metadata(route.headers().clone())
        .build()
        .map_err(|_| ExportError::Diagnostics)?;
    let resource = Resource::builder_empty()
        .with_service_name(super::span::SERVICE)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    let layer = OpenTelemetryTracingBridge::new(&provider).with_filter(filter_fn(is_own));
    let guard = DiagnosticsGuard {
        provider,
        runtime: Some(runtime),
    };
    Ok((layer, guard))
}

/// Whether an event is one of Admit itself, and not for debugging. Libraries say of a peer's bytes what
/// they like, and as often as the peer does.
#[must_use]
pub fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(OWN_TARGET) && *metadata.level() <= Level::INFO
}
