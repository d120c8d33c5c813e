//! `admit run`: the gate that a harness host uses. It asks, and starts the command only on a verified
//! ALLOW.
//!
//! In reading order:
//!
//! - [`launch`]: the steps before the start, each of which can end the launch
//! - [`permission`]: the right to start, from a verified permit; [`objection`]: what this host sees
//!   against a permit from elsewhere
//! - [`record`]: what is written into the evidence folder
//! - [`denial`]: why a launch did not start
//! - [`sealed`]: the configuration, read-only and watched; [`trail`]: the way to it
//! - [`supervision`]: the running command
//! - [`keeper`], [`entry`]: the two processes of ours between the wrapper and the command
//! - [`descendants`]: the end of everything that was started
//! - [`output`]: the standard error, kept without secrets
//! - [`control`]: what wrapper and keeper tell each other
//!
//! Deliberately absent: any rule about providers and models. INVARIANT: [`launch`] holds the one call
//! that starts a command, behind a verified [`permission`].

mod control;
pub(crate) mod denial;
mod descendants;
pub(crate) mod entry;
pub(crate) mod keeper;
pub(crate) mod launch;
mod objection;
mod output;
pub(crate) mod permission;
mod record;
pub(crate) mod sealed;
pub(crate) mod supervision;
mod trail;
