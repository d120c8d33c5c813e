//! Everything about calls that were refused because of who made them.

use std::io::Write;

use super::{or, row};
use crate::{
    audit::record::Refusal,
    command::audit::{
        AuditError,
        render::{called, text, word},
    },
};

pub(super) fn print(to: &mut impl Write, refusal: &Refusal) -> Result<(), AuditError> {
    row(to, "refused calls", &refusal.count.to_string())?;
    row(to, "cause", &word(&refusal.cause))?;
    let caller = or(refusal.caller.as_deref(), "none that is known");
    row(to, "caller", &caller)?;
    row(to, "connected by", &word(&refusal.via))?;
    row(to, "call", &called(refusal))?;
    row(to, "first refused", &text(&refusal.since))?;
    row(to, "last refused", &text(&refusal.until))
}
