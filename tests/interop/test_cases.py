"""Every entry of the case files, asked of the running daemon over both of its listeners."""

import datetime
import uuid

import pytest
from google.protobuf import json_format

import casebook
from conftest import ASKED, in_force
from contract import admission_pb2, reason_pb2
from daemon import NOT_SERVING, SERVING

# How far the daemon's clock may be from this process's: they are the same clock.
CLOCK_SECONDS_MAX = 60


@pytest.fixture
def asked_daemon(case, request):
    """The daemon under whose policy the case is decided."""
    match case.standing:
        case "fresh":
            daemon = request.getfixturevalue("daemon")
            in_force(daemon, case.documents)
        case "stale":
            daemon = request.getfixturevalue("hasty_daemon")
            daemon.policy.write(case.documents)
            daemon.tcp.wait_for_health(SERVING)
            daemon.tcp.wait_for_policy(case.policy_digest)
            daemon.policy.remove()
            daemon.tcp.wait_for_health(NOT_SERVING)
        case "unavailable":
            daemon = request.getfixturevalue("blind_daemon")
            daemon.tcp.wait_for_health(NOT_SERVING)
    return daemon


@pytest.mark.parametrize(
    "case", [case for case in casebook.cases() if case.now is None], ids=lambda case: case.id
)
def test_entry(case, asked_daemon):
    request = json_format.ParseDict(case.request, admission_pb2.AdmitRequest())
    answers = [client.admit(request) for client in (asked_daemon.tcp, asked_daemon.unix)]
    for answer in answers:
        verdict = "VERDICT_DENY" if case.codes else "VERDICT_ALLOW"
        assert [reason.code for reason in answer.reasons] == case.codes
        assert reason_pb2.Verdict.Name(answer.verdict) == verdict
        status = reason_pb2.AdmissionStatus.Name(answer.case_model_admission_status)
        assert status == case.status
        assert answer.policy_digest == case.policy_digest
        assert_complete(answer)
    assert answers[0].decision_id != answers[1].decision_id
    assert answers[1].seq == answers[0].seq + 1
    ASKED.append(case.id)


def assert_complete(answer):
    decision_id = uuid.UUID(answer.decision_id)
    assert (decision_id.version, str(decision_id)) == (7, answer.decision_id)
    assert str(uuid.UUID(answer.stream_id)) == answer.stream_id
    assert answer.seq > 0 and len(bytes.fromhex(answer.record_hash)) == 32
    decided = answer.decide_time.ToDatetime(tzinfo=datetime.UTC)
    age = datetime.datetime.now(datetime.UTC) - decided
    assert abs(age.total_seconds()) < CLOCK_SECONDS_MAX
    assert not answer.dry_run
    for reason in answer.reasons:
        assert 0 < len(reason.message) <= 1024 and 0 < len(reason.help) <= 1024
        assert len(reason.places) <= 8


def test_a_dry_run_is_decided_like_any_other_and_says_so(daemon):
    in_force(daemon, casebook.example())
    case = next(case for case in casebook.cases() if case.id == "stage-not-admitted: stage 2")
    request = json_format.ParseDict(case.request, admission_pb2.AdmitRequest(dry_run=True))
    answer = daemon.tcp.admit(request)
    assert (answer.verdict, answer.dry_run) == (reason_pb2.VERDICT_ALLOW, True)
    request.stage = 1
    answer = daemon.tcp.admit(request)
    assert (answer.verdict, answer.dry_run) == (reason_pb2.VERDICT_DENY, True)
