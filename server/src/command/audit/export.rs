//! `admitd audit export`: entries, sent to the receiver of spans again.

use std::io::Write;

use super::{AuditError, Outcome, Place};

/// Sends entries again.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    /// The first entry to send.
    #[arg(long, value_name = "N")]
    from_seq: u64,
}

impl Export {
    pub(super) fn run(&self, _to: &mut impl Write) -> Result<Outcome, AuditError> {
        let _ = (&self.place.receiver()?, self.from_seq);
        Ok(Outcome::Bad)
    }
}
