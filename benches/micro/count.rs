//! One step of an answer, over and over, for a tool that counts instructions:
//!
//! ```text
//! count SUBJECT ITERATIONS
//! ```
//!
//! Only what happens within `measured` is the step; `benches/micro/instructions` runs it. Deliberately
//! absent: a clock.

#![expect(clippy::expect_used, reason = "a measurement fails loudly")]

mod ground;
#[expect(dead_code, reason = "the other measurements use the rest")]
mod subject;

use std::{env, hint::black_box};

use admit_policy::{Launch, Verdict, decide};
use admit_server::{
    audit::{
        chain::{self, GENESIS},
        log::Draft,
        record::Entry,
    },
    wire::request,
};

use ground::{Ground, members};
use subject::Policy;

/// How many admissions there are.
const ADMISSIONS: usize = 100;

fn main() {
    let mut arguments = env::args().skip(1);
    let subject = arguments.next().unwrap_or_default();
    let iterations = arguments.next().and_then(|number| number.parse().ok());
    let iterations = iterations.unwrap_or(1);
    match subject.as_str() {
        "decide-allowed" => decisions(vec![subject::allowed(); iterations]),
        "decide-denied" => decisions(vec![subject::denied(); iterations]),
        "request" => measured(vec![subject::request(); iterations], |request| {
            black_box(request::launch(request)).is_ok()
        }),
        "record" => records(iterations),
        // What `cargo bench` passes to every program that measures.
        _ => {}
    }
}

/// Takes the step once for each input. A tool counts from its beginning to its end.
#[inline(never)]
fn measured<T>(inputs: Vec<T>, mut step: impl FnMut(T) -> bool) {
    for input in inputs {
        black_box(step(input));
    }
}

fn decisions(launches: Vec<Launch>) {
    let (policy, now) = (Policy::of(ADMISSIONS), subject::now());
    measured(launches, |launch| {
        let facts = launch.observe();
        let decision = decide(&black_box(&policy).standing(), &facts, now);
        black_box(decision).verdict == Verdict::Allow
    });
}

/// From a decision to its line in the log.
fn records(iterations: usize) {
    let ground = Ground::of(ADMISSIONS);
    let facts = subject::allowed().observe();
    let mut log = Vec::with_capacity(4 * 1024);
    let json = members(
        &Entry::Decision(Box::new(ground.record(&facts))),
        "decision",
    );
    measured(vec![(); iterations], |()| {
        log.clear();
        let entry = Entry::Decision(Box::new(ground.record(&facts)));
        black_box(Draft::of(&entry));
        !chain::compose(&mut log, "decision", Some(4711), GENESIS, &json).is_empty()
    });
}
