//! Microbenchmarks: what one step of an answer costs by itself, in time and in allocations.
//!
//! Deliberately absent: instruction counts (`count.rs`), anything with a disk or a network in it.

#![expect(clippy::expect_used, reason = "a measurement fails loudly")]

mod decide;
mod ground;
mod log;
mod permit;
mod policy;
mod subject;
mod wire;

/// Counts allocations for every figure.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}
