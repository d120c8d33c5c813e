"""The policy as a client sees it: read once, and followed."""

import grpc
import pytest

import casebook
from conftest import in_force
from contract import launch_pb2, policy_pb2
from daemon import PATIENCE, SERVING, Daemon

PAIR = {"provider": "qwen-local", "model": "qwen3.6-35b-a3b"}


def test_the_policy_is_shown(daemon):
    in_force(daemon, casebook.example())
    request = policy_pb2.GetPolicyRequest()
    policy = daemon.tcp.policy.GetPolicy(request, timeout=PATIENCE).policy
    assert policy.digest == casebook.policy_digest(casebook.example())
    assert policy.branch == policy_pb2.BRANCH_LOCAL_PROVIDER_REQUIRED
    assert not policy.stale and not policy.read_failure
    assert [(pair.provider, pair.state) for pair in policy.pairs] == [
        ("openai-codex", policy_pb2.PAIR_STATE_REVOKED),
        ("qwen-local", policy_pb2.PAIR_STATE_ADMITTED),
    ]
    assert policy.next_expire_time.ToDatetime().year == 2999
    assert [item.id for item in policy.work_items] == [
        "CTO-WORK-021",
        "CTO-WORK-022",
        "CTO-WORK-020",
    ]


def test_a_pair_is_followed_until_it_is_revoked_and_admitted_again(daemon):
    example = casebook.example()
    in_force(daemon, example)
    revoked = {
        path: content.replace(b'"admitted"', b'"revoked"') for path, content in example.items()
    }
    request = policy_pb2.WatchPolicyRequest(**PAIR, lane=launch_pb2.LANE_REAL)
    events = daemon.unix.policy.WatchPolicy(request, timeout=PATIENCE)
    for documents, state, codes in (
        (example, policy_pb2.PAIR_STATE_ADMITTED, []),
        (revoked, policy_pb2.PAIR_STATE_REVOKED, ["admission-revoked"]),
        (example, policy_pb2.PAIR_STATE_ADMITTED, []),
    ):
        in_force(daemon, documents)
        digest = casebook.policy_digest(documents)
        assert next(events).policy_changed.digest == digest
        changed = next(events).pair_changed
        assert (changed.state, changed.policy_digest) == (state, digest)
        assert [reason.code for reason in changed.reasons] == codes
    events.cancel()


def test_a_watch_ends_with_a_failure_when_the_daemon_stops(admitd):
    with Daemon(admitd) as daemon:
        daemon.policy.write(casebook.example())
        daemon.tcp.wait_for_health(SERVING)
        request = policy_pb2.WatchPolicyRequest()
        events = daemon.tcp.policy.WatchPolicy(request, timeout=PATIENCE)
        assert next(events).policy_changed.digest
        assert daemon.stop() == 0
        with pytest.raises(grpc.RpcError) as caught:
            next(events)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
