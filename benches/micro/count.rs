//! One step of an answer, over and over, for a tool that counts instructions:
//!
//! ```text
//! count SUBJECT ITERATIONS
//! ```
//!
//! What one iteration takes is the difference between two runs, by the difference of their
//! iterations. Deliberately absent: a clock.

#![expect(clippy::expect_used, reason = "a measurement fails loudly")]

mod subject;

fn main() {}
