//! gRPC: the services, and the screen before them.
//!
//! Deliberately absent: any judgment. A service turns a message into facts, asks the policy core, and
//! turns the decision into a message.

mod admission;
mod asker;
mod failure;
mod following;
mod health;
mod policy;
mod screen;
mod watch;

use std::{sync::Arc, time::Duration};

use admit_proto::v1::{
    admission_service_server::AdmissionServiceServer, policy_service_server::PolicyServiceServer,
};
use tokio::{sync::watch as channel, time::timeout};
use tonic::service::Routes;

use self::{
    asker::Guard,
    following::{Teller, Topics},
    policy::PolicyView,
    screen::Screen,
};
use crate::{
    audit::Refusals,
    caller::Roster,
    limits::{Limits, REQUEST_BYTES_MAX},
    metrics::Metrics,
    permit::Keyring,
    readiness::Readiness,
    store::FIRST_READING_MAX,
    supervision::Liveness,
    transport::{Listeners, Stop, accept, stopped, tls::Tls},
};

/// Largest question about health or to server reflection, in bytes.
const QUESTION_BYTES_MAX: usize = 4096;
/// Longest time that the end waits for the record of refused calls: each takes a sync of the disk.
const REFUSALS_MAX: Duration = Duration::from_secs(2);

/// Why the daemon cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Server reflection cannot be built.
    #[error("the description of the services cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The services ended by a fault of their own.
    #[error("the services broke; this is a fault of admitd")]
    Broke,
}

/// What the services are made of.
#[derive(Debug)]
pub struct Parts {
    /// Whether a real launch could be answered: the policy in force, and where answers are recorded.
    pub readiness: Readiness,
    /// Whether there is progress.
    pub liveness: Liveness,
    /// The keys of permits.
    pub keyring: Keyring,
    /// Who may call, as of now.
    pub roster: channel::Receiver<Arc<Roster>>,
    /// How much is taken at one time.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
}

/// Serves until `stop`, then lets the open calls end for at most [`Limits::drain`].
///
/// # Errors
///
/// When the services cannot be built.
pub async fn serve(
    listeners: Listeners,
    tls: Option<Tls>,
    parts: Parts,
    stop: Stop,
) -> Result<(), ServeError> {
    let Parts {
        readiness,
        liveness,
        keyring,
        roster,
        limits,
        metrics,
    } = parts;
    let (store, trail) = (readiness.store.clone(), readiness.trail.clone());
    // The health service starts as serving, and knows of no liveness; it is told before anybody can ask.
    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::begin(&reporter).await;

    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(admit_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?
        .max_decoding_message_size(QUESTION_BYTES_MAX);
    // Anybody may ask for health.
    let health_service = health_service.max_decoding_message_size(QUESTION_BYTES_MAX);
    let admission = admission::Admission::new(
        store.clone(),
        trail.clone(),
        keyring.clone(),
        metrics.clone(),
    );
    let admission =
        AdmissionServiceServer::new(admission).max_decoding_message_size(REQUEST_BYTES_MAX);
    let topics = Topics::new(store.clone());
    tokio::spawn(Teller::new(topics.clone()).tell(stopped(stop.clone())));
    let policy = PolicyView::new(store, topics, keyring, metrics.clone(), stop.clone());
    let policy = Arc::new(policy);
    let watches = Arc::clone(&policy);
    let policy = PolicyServiceServer::from_arc(policy).max_decoding_message_size(REQUEST_BYTES_MAX);
    let routes = Routes::new(policy)
        .add_service(health_service)
        .add_service(reflection);
    let refusals = Refusals::default();
    let guard = Guard::new(roster, refusals.clone(), metrics.clone());
    let screen = Screen::new((admission, watches), routes, guard, &limits);
    let recording = tokio::spawn(
        refusals
            .clone()
            .follow(trail.clone(), stopped(stop.clone())),
    );

    // The policy has been read while the services were made, or is waited for here.
    let mut first = readiness.store.clone();
    first.first_reading(FIRST_READING_MAX).await;
    let watching = tokio::spawn(health::follow(reporter, readiness, liveness));

    accept::serve(listeners, tls, screen, limits, metrics, stop).await;
    // It ends with the stop; what was refused since then is recorded here.
    let rest = async {
        let _ = recording.await;
        refusals.flush(&trail).await
    };
    if !matches!(timeout(REFUSALS_MAX, rest).await, Ok(Ok(()))) {
        tracing::error!("refused calls were counted, and are not in the audit log");
    }
    watching.abort();
    Ok(())
}
