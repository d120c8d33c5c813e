//! What the wire costs: from the bytes of a request to a launch, and from an answer to its bytes.

use std::hint::black_box;

use admit_policy::{Decision, Digest, Verdict, decide};
use admit_proto::v1::AdmitRequest;
use admit_server::{
    audit::log::Receipt,
    wire::{
        answer::{self, Decided},
        request,
    },
};
use divan::Bencher;
use prost::Message as _;
use uuid::Uuid;

use crate::subject::{self, Policy};

/// Longer than the permits of most pairs, and within what a permit may be.
const PERMIT_CHARS: usize = 900;

/// The answer to the allowed launch.
pub(crate) fn answer() -> Decided {
    let policy = Policy::of(1);
    answer_with(decision(&policy, true), policy.snapshot.digest())
}

fn decision(policy: &Policy, is_allowed: bool) -> Decision {
    let launch = if is_allowed {
        subject::allowed()
    } else {
        subject::denied()
    };
    let decision = decide(&policy.standing(), &launch.observe(), subject::now());
    assert_eq!(decision.verdict == Verdict::Allow, is_allowed);
    decision
}

fn answer_with(decision: Decision, policy: Digest) -> Decided {
    Decided {
        decision_id: Uuid::now_v7(),
        at: subject::now(),
        policy: Some(policy),
        dry_run: false,
        decision,
        stream_id: Uuid::now_v7().to_string(),
        recorded: Receipt {
            seq: 4711,
            hash: policy.to_string(),
        },
    }
}

#[divan::bench]
fn decode_request(bencher: Bencher<'_, '_>) {
    let bytes = subject::request().encode_to_vec();
    bencher.bench_local(|| AdmitRequest::decode(black_box(&*bytes)));
}

#[divan::bench]
fn request_to_launch(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(subject::request)
        .bench_local_values(request::launch);
}

#[divan::bench]
fn allowed_answer_to_bytes(bencher: Bencher<'_, '_>) {
    let policy = Policy::of(1);
    let (decision, digest) = (decision(&policy, true), policy.snapshot.digest());
    let permit = "a".repeat(PERMIT_CHARS);
    bencher
        .with_inputs(|| (answer_with(decision.clone(), digest), permit.clone()))
        .bench_local_values(|(decided, permit)| {
            answer::response(decided, Some(permit)).encode_to_vec()
        });
}

#[divan::bench]
fn denied_answer_to_bytes(bencher: Bencher<'_, '_>) {
    let policy = Policy::of(1);
    let (decision, digest) = (decision(&policy, false), policy.snapshot.digest());
    bencher
        .with_inputs(|| answer_with(decision.clone(), digest))
        .bench_local_values(|decided| answer::response(decided, None).encode_to_vec());
}
