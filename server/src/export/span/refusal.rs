//! The span of calls that were refused because of who made them.

use super::Attributes;
use crate::audit::record::Refusal;

/// The name of the span.
const REFUSED: &str = "admit.audit.refused";

/// Describes the refused calls: the name of the span, and when the first and the last were refused.
pub(super) fn note<'a>(
    refusal: &'a Refusal,
    attributes: &mut Attributes,
) -> (&'static str, &'a str, &'a str) {
    let Refusal {
        since,
        until,
        caller,
        via,
        rpc,
        cause,
        count,
    } = refusal;
    attributes.some_text("admit.caller", caller.as_deref());
    attributes.word("admit.refused.via", via);
    if let Some(rpc) = rpc {
        attributes.word("admit.refused.rpc", rpc);
    }
    attributes.word("admit.refused.cause", cause);
    attributes.number("admit.refused.count", *count);
    (REFUSED, since, until)
}
