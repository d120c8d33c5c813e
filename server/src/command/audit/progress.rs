//! Progress of a command that reads the whole log: a bar on a terminal, and nothing elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const FORM: &str = "{msg} [{bar:40}] {bytes} of {total_bytes}, {eta} left";

/// How far a command has read.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// The progress of reading `total` bytes; `doing` says what for.
    pub(super) fn of_bytes(total: u64, doing: &'static str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(doing);
        // The form is a constant; without it the bar has another look.
        if let Ok(style) = ProgressStyle::with_template(FORM) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// `bytes` have been read in all.
    pub(super) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// Does what writes to the terminal, without the bar in its way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the bar off the terminal.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
