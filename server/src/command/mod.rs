//! What the command line of admitd does.

pub mod audit;
pub mod demo;
pub mod permit;
pub mod process;
mod reread;
pub mod schema;
pub mod serve;
pub mod validate;
