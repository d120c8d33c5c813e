//! The span of a verdict on evidence.

use prost::bytes::Bytes;

use super::{Attributes, of_answer};
use crate::audit::record::Evidence;

/// The name of the span of a verdict on evidence.
pub const EVIDENCE: &str = "admit.evidence";
const METHOD: &str = "admit.v1.AdmissionService/CheckEvidence";

pub(super) fn of_evidence(evidence: &Evidence, mut attributes: Attributes) -> Bytes {
    describe(evidence, &mut attributes);
    let Evidence {
        id,
        time,
        elapsed_us,
        trace,
        ..
    } = evidence;
    of_answer(
        EVIDENCE,
        (id, time, *elapsed_us),
        trace.as_ref(),
        attributes,
    )
}

fn describe(evidence: &Evidence, attributes: &mut Attributes) {
    attributes.text("admit.evidence_id", &evidence.id);
    attributes.some_text("admit.caller", evidence.caller.as_deref());
    attributes.some_text("admit.decision_id", evidence.decision.as_deref());
    attributes.word("admit.verdict", &evidence.verdict);
    attributes.texts("admit.reasons", &evidence.reasons);
    let primary = evidence.reasons.first().map(String::as_str);
    attributes.some_text("admit.primary_reason", primary);
    attributes.text("admit.host", &evidence.host);
    attributes.text("admit.run", &evidence.run);
    attributes.truth("admit.has_secret", evidence.has_secret);
    attributes.word("admit.pipeline", &evidence.pipeline);
    // Each pair once, in the order in which they were seen: which model was used is what is asked.
    let mut seen: Vec<String> = Vec::new();
    for model in &evidence.observed.models {
        let pair = format!("{}/{}", model.provider, model.model);
        if !seen.contains(&pair) {
            seen.push(pair);
        }
    }
    attributes.texts("admit.observed_models", &seen);
    if let Some(permit) = &evidence.permit {
        attributes.word("admit.lane", &permit.lane);
        attributes.pair(&permit.provider, &permit.model);
    }
    attributes.call(METHOD);
}
