//! Progress of a command that goes through the whole log: a bar on a terminal, and nothing elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BYTES_FORM: &str = "{msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left";
const ENTRIES_FORM: &str = "{msg} [{bar:30}] {pos} of {len} entries, {eta} left";

/// How far a command is.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// The progress of reading `total` bytes; `doing` says what for.
    pub(super) fn of_bytes(total: u64, doing: &'static str) -> Self {
        Self::of(total, doing, BYTES_FORM)
    }

    /// The progress through `total` entries.
    pub(super) fn of_entries(total: u64, doing: &'static str) -> Self {
        Self::of(total, doing, ENTRIES_FORM)
    }

    fn of(total: u64, doing: &'static str, form: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(doing);
        // The forms are constants; without one the bar has another look.
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// So many of the total are done.
    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
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
