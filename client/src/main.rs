//! The `admit` command: asks Admit, and says what it answered.

#![forbid(unsafe_code)]

mod clock;
mod command;
mod drill;
mod evidence;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run()
}
