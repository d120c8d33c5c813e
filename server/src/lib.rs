//! admitd: the policy decision point as a daemon. In reading order:
//!
//! - [`config`]: the one configuration file
//! - [`store`]: the policy in force, kept by one writer
//! - [`key_file`]: files of keys
//! - [`audit`]: the audit trail, kept by one writer
//! - [`permit`]: the keys of permits, and what a permit states
//! - [`wire`]: messages ⇄ domain values
//! - [`grpc`]: the services and their listeners
//! - [`export`]: the log as spans
//! - [`operations`]: the metrics page
//! - [`report`]: findings, rendered for people and machines
//! - [`command`]: what the command line does
//!
//! Deliberately absent: the rules. They are in `admit-policy`, and nothing here can add to them.

#![forbid(unsafe_code)]

pub mod audit;
pub mod clock;
pub mod command;
pub mod config;
pub mod export;
pub mod grpc;
pub mod key_file;
pub mod operations;
pub mod permit;
pub mod report;
pub mod store;
pub mod wire;
