//! admitd: the policy decision point as a daemon. In reading order:
//!
//! - [`config`]: the one configuration file
//! - [`store`]: the policy in force, kept by one writer
//! - [`key_file`], [`files`]: files of keys; how many files there can be
//! - [`audit`]: the audit trail, kept by one writer
//! - [`permit`]: the keys of permits, and what a permit states
//! - [`limits`], [`caller`], [`metrics`]: how much is taken at one time, of whom, and what is counted of it
//! - [`wire`]: messages ⇄ domain values
//! - [`transport`]: listeners and connections
//! - [`readiness`]: whether a launch could be answered
//! - [`grpc`]: the services
//! - [`export`]: the log as spans
//! - [`operations`]: the port for metrics, probes and the status page
//! - [`supervision`]: what the service manager is told, and takes over to the daemon
//! - [`report`]: findings, rendered for people and machines
//! - [`command`]: what the command line does
//!
//! Deliberately absent: the rules. They are in `admit-policy`, and nothing here can add to them.

#![forbid(unsafe_code)]

pub mod audit;
pub mod caller;
pub mod clock;
pub mod command;
pub mod config;
pub mod export;
pub mod files;
pub mod grpc;
pub mod key_file;
pub mod limits;
pub mod metrics;
pub mod operations;
mod pause;
pub mod permit;
pub mod readiness;
pub mod report;
pub mod store;
pub mod supervision;
pub mod transport;
pub mod wire;
