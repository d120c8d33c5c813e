//! How cost grows with what there is: each question in a file of its own.

pub(crate) mod log;
