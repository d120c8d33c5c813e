//! The projection: one entry of the log, one span, and nothing but the entry decides what is in it.
//!
//! The same entry always becomes the same span, byte for byte, so that what is sent twice can be told
//! from what happened twice. Ids come from the entry alone; a receiver de-duplicates on
//! `admit.stream_id` and `admit.seq`, and sees a gap where a sequence number is missing. The status
//! is unset, for ALLOW and for DENY: a denial is an answer. Deliberately absent: sampling, `tracestate`
//! and whatever else a caller could write into a span.

mod attributes;
mod evidence;
mod refusal;

use admit_policy::Timestamp;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::{Message as _, bytes::Bytes};
use ring::digest::{SHA256, digest};

use attributes::Attributes;

use crate::audit::{
    chain::Links,
    keys::unhex,
    record::{Decision, Entry, Facts, Gap, Recovered, Rejected, Retired, Trace},
};

/// The name of a decision's span.
pub const DECISION: &str = "admit.decision";
pub use evidence::EVIDENCE;
/// The scope of every span.
pub const SCOPE: &str = "admit.audit";
pub(super) const SERVICE: &str = "admitd";
const METHOD: &str = "admit.v1.AdmissionService/Admit";

const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;

/// The flags of a span: it is sampled, whatever its caller's flags say, and it is known whether its
/// parent is remote.
const FLAGS: u32 = 0x01 | 0x100;
const FLAG_PARENT_IS_REMOTE: u32 = 0x200;

/// The span of `entry` in the log `stream_id`; `None` for what has no sequence number.
#[must_use]
pub fn span(stream_id: &str, links: &Links, entry: &Entry) -> Option<Span> {
    let encoded = encoded(stream_id, links, entry)?;
    Span::decode(encoded).ok()
}

/// The same as it is sent: as a message in bytes. Attributes are most of a span, and each of them is
/// written there at once.
#[must_use]
pub fn encoded(stream_id: &str, links: &Links, entry: &Entry) -> Option<Bytes> {
    let seq = links.seq?;
    let mut attributes = Attributes::new();
    attributes.text("admit.stream_id", stream_id);
    attributes.number("admit.seq", seq);
    attributes.text("admit.record_hash", &links.hash);
    match entry {
        Entry::Decision(decision) => return Some(of_decision(decision, attributes)),
        Entry::Evidence(evidence) => return Some(evidence::of_evidence(evidence, attributes)),
        Entry::Segment(_)
        | Entry::Refused(_)
        | Entry::Gap(_)
        | Entry::Recovered(_)
        | Entry::Rejected(_)
        | Entry::Retired(_)
        | Entry::Checkpoint(_) => {}
    }
    let (name, start, end) = note(entry, &mut attributes)?;
    // A note has no id of its own; its place in the log is unique.
    let place = format!("{stream_id} {seq}");
    let span = Span {
        trace_id: hashed(&format!("trace {place}"), TRACE_ID_BYTES),
        span_id: hashed(&format!("span {place}"), SPAN_ID_BYTES),
        flags: FLAGS,
        name: name.into(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: unix_nano(start),
        end_time_unix_nano: unix_nano(end),
        ..Span::default()
    };
    Some(attributes.of(&span))
}

/// Describes what is no answer: the name of the span, and from when to when it goes.
fn note<'a>(
    entry: &'a Entry,
    attributes: &mut Attributes,
) -> Option<(&'static str, &'a str, &'a str)> {
    let (name, time) = match entry {
        Entry::Refused(refusal) => return Some(refusal::note(refusal, attributes)),
        Entry::Gap(Gap {
            time,
            refused,
            cause,
        }) => {
            attributes.number("admit.gap.refused", *refused);
            attributes.word("admit.gap.cause", cause);
            ("admit.audit.gap", time.as_str())
        }
        Entry::Recovered(Recovered {
            time,
            torn_bytes,
            torn_digest,
        }) => {
            attributes.number("admit.recovered.torn_bytes", *torn_bytes);
            attributes.text("admit.recovered.torn_digest", torn_digest);
            ("admit.audit.recovered", time.as_str())
        }
        Entry::Rejected(Rejected {
            time,
            first_seq,
            last_seq,
            rejected,
            grpc_code,
        }) => {
            attributes.number("admit.rejected.first_seq", *first_seq);
            attributes.number("admit.rejected.last_seq", *last_seq);
            attributes.number("admit.rejected.spans", *rejected);
            attributes.number("admit.rejected.grpc_code", u64::from(*grpc_code));
            ("admit.audit.rejected", time.as_str())
        }
        Entry::Retired(Retired {
            time,
            last_seq,
            last_hash,
        }) => {
            attributes.number("admit.retired.last_seq", *last_seq);
            attributes.text("admit.retired.last_hash", last_hash);
            ("admit.audit.retired", time.as_str())
        }
        Entry::Segment(_) | Entry::Decision(_) | Entry::Evidence(_) | Entry::Checkpoint(_) => {
            return None;
        }
    };
    Some((name, time, time))
}

/// The time that `entry` states, in nanoseconds since the Unix epoch; 0 if it states none.
#[must_use]
pub fn time_unix_nano(entry: &Entry) -> u64 {
    unix_nano(match entry {
        Entry::Segment(segment) => &segment.time,
        Entry::Decision(decision) => &decision.time,
        Entry::Evidence(evidence) => &evidence.time,
        // It is written when the last of its calls was refused, or later.
        Entry::Refused(refusal) => &refusal.until,
        Entry::Gap(gap) => &gap.time,
        Entry::Recovered(recovered) => &recovered.time,
        Entry::Rejected(rejected) => &rejected.time,
        Entry::Retired(retired) => &retired.time,
        Entry::Checkpoint(checkpoint) => &checkpoint.time,
    })
}

fn of_decision(decision: &Decision, mut attributes: Attributes) -> Bytes {
    describe(decision, &mut attributes);
    describe_facts(&decision.facts, &mut attributes);
    let Decision {
        id,
        time,
        elapsed_us,
        trace,
        ..
    } = decision;
    of_answer(
        DECISION,
        (id, time, *elapsed_us),
        trace.as_ref(),
        attributes,
    )
}

/// The span of an answer with this id, time, and microseconds that it took.
fn of_answer(
    name: &str,
    (answer_id, time, elapsed_us): (&str, &str, u64),
    trace: Option<&Trace>,
    attributes: Attributes,
) -> Bytes {
    let start = unix_nano(time);
    let parent = trace.and_then(|trace| id(&trace.parent, SPAN_ID_BYTES));
    attributes.of(&Span {
        trace_id: trace_id(answer_id, trace),
        span_id: hashed(answer_id, SPAN_ID_BYTES),
        flags: if parent.is_some() {
            FLAGS | FLAG_PARENT_IS_REMOTE
        } else {
            FLAGS
        },
        parent_span_id: parent.unwrap_or_default(),
        name: name.into(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(elapsed_us.saturating_mul(1000)),
        ..Span::default()
    })
}

fn describe(decision: &Decision, attributes: &mut Attributes) {
    attributes.text("admit.decision_id", &decision.id);
    attributes.some_text("admit.caller", decision.caller.as_deref());
    attributes.word("admit.verdict", &decision.verdict);
    attributes.texts("admit.reasons", &decision.reasons);
    attributes.some_text(
        "admit.primary_reason",
        decision.reasons.first().map(String::as_str),
    );
    attributes.word("admit.admission_status", &decision.admission_status);
    attributes.truth("admit.dry_run", decision.dry_run);
    attributes.some_text("admit.policy_digest", decision.policy.as_deref());
    attributes.some_text("admit.basis", decision.basis.as_deref());
    if let Some(unverified_ns) = decision.unverified_ns {
        attributes.number("admit.policy_unverified_ns", unverified_ns);
    }
    attributes.call(METHOD);
}

fn describe_facts(facts: &Facts, attributes: &mut Attributes) {
    attributes.word("admit.lane", &facts.lane);
    attributes.number("admit.stage", u64::from(facts.stage));
    attributes.text("admit.host", &facts.host);
    attributes.text("admit.run", &facts.run);
    attributes.truth("admit.has_secret", facts.has_secret);
    attributes.some_text(
        "admit.expected_policy_digest",
        facts.expected_policy.as_deref(),
    );
    attributes.some_text(
        "admit.admission_file_digest",
        facts.admission_file.as_deref(),
    );
    attributes.pair(&facts.provider, &facts.model);
}

/// The caller's trace, or else one of the answer's own.
fn trace_id(answer_id: &str, trace: Option<&Trace>) -> Vec<u8> {
    let callers = trace.and_then(|trace| id(&trace.id, TRACE_ID_BYTES));
    callers.unwrap_or_else(|| match uuid::Uuid::parse_str(answer_id) {
        Ok(uuid) if !uuid.is_nil() => uuid.into_bytes().to_vec(),
        Ok(_) | Err(_) => hashed(answer_id, TRACE_ID_BYTES),
    })
}

/// An id in hexadecimal digits; `None` if it has another length or is all zeros, which is no id.
fn id(text: &str, length: usize) -> Option<Vec<u8>> {
    unhex(text).filter(|bytes| bytes.len() == length && bytes.iter().any(|byte| *byte != 0))
}

/// The first bytes of SHA-256 over `text`, as an id.
fn hashed(text: &str, length: usize) -> Vec<u8> {
    let digest = digest(&SHA256, text.as_bytes());
    never_zero(digest.as_ref().iter().copied().take(length).collect())
}

/// `id`, unless it is all zeros, which is no id.
fn never_zero(mut id: Vec<u8>) -> Vec<u8> {
    if id.iter().all(|byte| *byte == 0)
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

fn unix_nano(time: &str) -> u64 {
    const NANOS: u64 = 1_000_000_000;
    Timestamp::parse(time)
        .and_then(|time| {
            let (seconds, nanos) = time.unix();
            let seconds = u64::try_from(seconds).ok()?;
            seconds.checked_mul(NANOS)?.checked_add(u64::from(nanos))
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
