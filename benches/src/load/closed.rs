//! A closed loop: so many calls in flight, each followed by the next.

use std::{rc::Rc, time::Instant};

use anyhow::Context as _;
use h2::client::SendRequest;
use tokio::{
    task::{JoinSet, LocalSet},
    time::timeout,
};
use tonic::codegen::Bytes;

use super::{DRAIN_MAX, Outcome, Plan, call, tally::Tally};

/// Keeps `concurrency` calls in flight over `connections`.
///
/// # Errors
///
/// When a call fails or does not end.
pub(super) async fn run(
    plan: &Plan<'_>,
    connections: &[SendRequest<Bytes>],
    concurrency: usize,
) -> anyhow::Result<Outcome> {
    let tally = Tally::new()?;
    let prepared = Rc::new(plan.call.prepare(plan.target)?);
    let local = LocalSet::new();
    let mut workers = JoinSet::new();
    for (first, connection) in (0..concurrency).zip(connections.iter().cycle()) {
        let (tally, prepared, mut sender) =
            (tally.clone(), Rc::clone(&prepared), connection.clone());
        let work = async move {
            let mut turn = first;
            while !tally.is_over() {
                let begun = Instant::now();
                match call::make(&mut sender, &prepared, turn).await {
                    Ok(bytes) => {
                        if tally.is_counting() {
                            tally.took(begun.elapsed());
                        }
                        tally.answered(bytes);
                    }
                    Err(failure) => tally.failed(failure),
                }
                turn = turn.wrapping_add(concurrency);
            }
        };
        workers.spawn_local_on(work, &local);
    }
    let window = local.run_until(tally.watch(plan)).await?;
    let ended = async { while workers.join_next().await.is_some() {} };
    timeout(DRAIN_MAX, local.run_until(ended))
        .await
        .context("calls do not end")?;
    tally.outcome(&window)
}
