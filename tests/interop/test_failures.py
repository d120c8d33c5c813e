"""Failures: a status that a client of another language can tell from an answer, and can read."""

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from contract import admission_pb2, policy_pb2
from daemon import PATIENCE


def failure(call):
    """The status that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def details(error):
    """The ErrorInfo and the fields of the BadRequest of a failure, read from its details."""
    status = rpc_status.from_call(error)
    assert status is not None and status.message == error.details()
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    infos = [detail for detail in status.details if detail.Unpack(info)]
    assert len(infos) == 1
    for detail in status.details:
        detail.Unpack(bad_request)
    return info, [violation.field for violation in bad_request.field_violations]


def raw(daemon, method, message=b""):
    """Sends these bytes, whatever they are."""
    return daemon.tcp.channel.unary_unary(method)(message, timeout=PATIENCE)


def test_a_method_that_is_not_there_is_unimplemented(daemon):
    for method in (
        "/admit.v1.AdmissionService/Approve",
        "/admit.v1.NoService/Admit",
        "/admit.v2.AdmissionService/Admit",
    ):
        error = failure(lambda: raw(daemon, method))
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, method


def test_a_request_out_of_bounds_names_its_fields(daemon):
    request = admission_pb2.AdmitRequest(host="not a host", run_id="run-7", stage=1001)
    for client in (daemon.tcp, daemon.unix):
        error = failure(lambda: client.admit(request))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        info, fields = details(error)
        assert (info.reason, info.domain) == ("REQUEST_INVALID", "admit.v1")
        assert not info.metadata
        assert fields == ["host", "stage"]
        assert "not a host" not in error.details()


def test_a_watch_out_of_bounds_names_its_fields(daemon):
    request = policy_pb2.WatchPolicyRequest(provider="qwen-local")
    error = failure(lambda: next(daemon.tcp.policy.WatchPolicy(request, timeout=PATIENCE)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    info, fields = details(error)
    assert (info.reason, info.domain) == ("REQUEST_INVALID", "admit.v1")
    assert fields == ["model", "lane"]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x0a", id="a length without the text"),
        pytest.param(b"\x0a\x06spark", id="a text that ends too soon"),
        pytest.param(b"\x0a\x02\xff\xfe", id="a text that is not UTF-8"),
        pytest.param(b"\x0f", id="a wire type that is not there"),
    ],
)
def test_bytes_that_are_no_request_are_no_answer(daemon, message):
    error = failure(lambda: raw(daemon, "/admit.v1.AdmissionService/Admit", message))
    assert error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)


def test_a_field_of_a_later_contract_changes_nothing(daemon):
    request = admission_pb2.AdmitRequest(host="spark-1", run_id="run-7").SerializeToString()
    later = request + b"\xfa\x3f\x05later"
    for message in (request, later):
        answer = admission_pb2.AdmitResponse.FromString(
            raw(daemon, "/admit.v1.AdmissionService/Admit", message)
        )
        assert [reason.code for reason in answer.reasons] == ["lane-unspecified"]
