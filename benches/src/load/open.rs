//! An open loop: calls at a fixed rate, whether or not the former ones have been answered.
//!
//! Latency counts from the moment that a call was due, so that a server that stalls is charged for every
//! call that it held up. The generator never sleeps between two calls: a timer would be late by more than a
//! call takes.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use h2::client::SendRequest;
use tokio::{
    task::{LocalSet, spawn_local, yield_now},
    time::{sleep, timeout},
};
use tonic::codegen::Bytes;

use super::{
    DRAIN_MAX, Outcome, Plan,
    call::{self, Prepared},
    tally::Tally,
};

/// Most calls that may wait for their answers.
const IN_FLIGHT_MAX: usize = 60_000;
/// How often the last answers are looked for.
const DRAIN_INTERVAL: Duration = Duration::from_millis(1);

/// Makes `per_second` calls a second over `connections`.
///
/// # Errors
///
/// When a call fails or does not end, or too many wait.
pub(super) async fn run(
    plan: &Plan<'_>,
    connections: &[SendRequest<Bytes>],
    per_second: u32,
) -> anyhow::Result<Outcome> {
    let tally = Tally::new()?;
    let prepared = Rc::new(plan.call.prepare(plan.target)?);
    let in_flight = Rc::new(Cell::new(0));
    let local = LocalSet::new();
    let watched = local.run_until(async {
        let pacing = pace(&tally, &prepared, connections, per_second, &in_flight);
        let (window, ()) = tokio::join!(tally.watch(plan), pacing);
        let drained = async {
            while in_flight.get() > 0 {
                sleep(DRAIN_INTERVAL).await;
            }
        };
        timeout(DRAIN_MAX, drained)
            .await
            .context("calls do not end")?;
        window
    });
    let window = watched.await?;
    tally.outcome(&window)
}

/// Makes every call when it is due, until the window has passed.
async fn pace(
    tally: &Tally,
    prepared: &Rc<Prepared>,
    connections: &[SendRequest<Bytes>],
    per_second: u32,
    in_flight: &Rc<Cell<usize>>,
) {
    let interval = Duration::from_secs(1) / per_second.max(1);
    let mut due = Instant::now();
    let calls = (0_usize..).zip(connections.iter().cycle());
    for (turn, connection) in calls {
        while Instant::now() < due {
            yield_now().await;
        }
        if tally.is_over() {
            return;
        }
        if in_flight.get() >= IN_FLIGHT_MAX {
            return tally.failed(anyhow!(
                "the server is too slow for {per_second} calls a second"
            ));
        }
        in_flight.set(in_flight.get().saturating_add(1));
        let (tally, prepared, in_flight) =
            (tally.clone(), Rc::clone(prepared), Rc::clone(in_flight));
        let mut sender = connection.clone();
        let counts = tally.is_counting();
        spawn_local(async move {
            match call::make(&mut sender, &prepared, turn).await {
                Ok(bytes) => {
                    if counts {
                        tally.took(due.elapsed());
                    }
                    tally.answered(bytes);
                }
                Err(failure) => tally.failed(failure),
            }
            in_flight.set(in_flight.get().saturating_sub(1));
        });
        due += interval;
    }
}
