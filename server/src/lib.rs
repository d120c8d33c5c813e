//! admitd: the policy decision point as a daemon. In reading order:
//!
//! - [`config`]: the one configuration file
//! - [`store`]: the policy in force, kept by one writer
//! - [`audit`]: the audit trail, kept by one writer
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
pub mod operations;
pub mod report;
pub mod store;
pub mod wire;
