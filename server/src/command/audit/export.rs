//! `admitd audit export`: entries, sent to the receiver of spans again, for one that lost them or is
//! new. Deliberately absent: the sending itself ([`crate::export`]), and any change of its cursor.

use std::io::Write;

use serde::Serialize;

use super::{
    AuditError, Outcome, Place, find, json_line,
    progress::Progress,
    render::{BAD, GOOD, WARNING, counted},
};
use crate::export::{Sent, send_again};

/// Sends entries again.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    /// The first entry to send; the receiver can tell by stream and sequence number what it has.
    #[arg(long, value_name = "N")]
    from_seq: u64,
    /// Prints one versioned object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Output {
    schema: &'static str,
    first_seq: u64,
    last_seq: u64,
    accepted: u64,
    refused: u64,
}

impl Export {
    pub(super) fn run(&self, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let receiver = self.place.receiver()?;
        let log = self.place.log()?;
        let last_seq = find::last_seq(&log).map_err(log.unreadable())?;
        let before = self.from_seq.saturating_sub(1);
        let total = last_seq.unwrap_or_default().saturating_sub(before);
        let progress = Progress::of_entries(total, "sending");
        let sent = send_again(&receiver, &log.dir, self.from_seq, |seq| {
            progress.at(seq.saturating_sub(before));
        });
        progress.end();
        let sent = sent?;
        if self.json {
            let output = Output {
                schema: "admitd.audit.export/1",
                first_seq: sent.first_seq,
                last_seq: sent.last_seq,
                accepted: sent.accepted,
                refused: sent.refused,
            };
            json_line(to, &output)?;
        } else {
            self.plain(to, sent)?;
        }
        Ok(if sent.refused == 0 && sent.accepted > 0 {
            Outcome::Good
        } else {
            Outcome::Bad
        })
    }

    fn plain(&self, to: &mut impl Write, sent: Sent) -> Result<(), AuditError> {
        let Sent {
            first_seq,
            last_seq,
            accepted,
            refused,
        } = sent;
        if first_seq > last_seq {
            writeln!(
                to,
                "{WARNING}nothing to send{WARNING:#}: the last entry is {last_seq}"
            )?;
            return Ok(());
        }
        if first_seq > self.from_seq {
            let note =
                format!("the log begins with entry {first_seq}; the ones before were retired");
            writeln!(to, "{WARNING}note{WARNING:#}: {note}")?;
        }
        let style = if refused == 0 { GOOD } else { BAD };
        let spans = counted(accepted, "span", "spans");
        writeln!(
            to,
            "{style}sent{style:#} entries {first_seq} to {last_seq}: the receiver took {spans} and refused {refused}"
        )?;
        Ok(())
    }
}
