//! How cost grows.

pub(crate) mod connections;
mod curve;
pub(crate) mod log;
pub(crate) mod reload;
pub(crate) mod watchers;
