"""Starts a command only if Admit allows its launch.

    launch.py SERVER FACTS -- COMMAND...

SERVER is `127.0.0.1:7117`, `unix:/run/admit/admitd.sock`, or `HOST:PORT` over TLS. FACTS is a file
with what the harness knows of the launch: an admit.v1.AdmitRequest in protobuf's JSON. The command
takes the place of this program, so its exit status is the command's; 125 means that nothing started.
"""

import os
import pathlib
import sys
import uuid

import grpc
from google.protobuf import json_format

from admit.v1 import admission_service_pb2 as contract
from admit.v1 import admission_service_pb2_grpc as services
from admit.v1 import launch_pb2, reason_pb2

DEADLINE_SECONDS = 5
NOT_STARTED = 125
THIS_HOST = ("unix:", "127.0.0.1:", "[::1]:", "localhost:")


def connect(server):
    """A channel that nobody beyond this host can answer on without a certificate."""
    options = [("grpc.enable_http_proxy", 0)]
    if server.startswith("unix:"):
        # By default it would be the path, which is no authority of HTTP/2.
        options.append(("grpc.default_authority", "localhost"))
    if server.startswith(THIS_HOST):
        return grpc.insecure_channel(server, options)
    return grpc.secure_channel(server, grpc.ssl_channel_credentials(), options)


def is_allowed(request, answer):
    """Whether this is a complete ALLOW of this request. Whatever is not known is none."""
    is_real = request.lane == launch_pb2.LANE_REAL
    status = (
        reason_pb2.ADMISSION_STATUS_ADMITTED
        if is_real
        else reason_pb2.ADMISSION_STATUS_NOT_REQUIRED
    )
    return (
        answer.verdict == reason_pb2.VERDICT_ALLOW
        and not answer.reasons
        and not answer.dry_run
        and answer.case_model_admission_status == status
        and uuid.UUID(answer.decision_id).version == 7
        and uuid.UUID(answer.stream_id).int > 0
        and answer.seq > 0
        and len(bytes.fromhex(answer.record_hash)) == 32
        and answer.permit
        and (not is_real or len(bytes.fromhex(answer.policy_digest)) == 32)
    )


def main(server, facts, separator, *command):
    if separator != "--" or not command:
        raise ValueError("usage: launch.py SERVER FACTS -- COMMAND...")
    request = json_format.Parse(pathlib.Path(facts).read_text(), contract.AdmitRequest())
    with connect(server) as channel:
        answer = services.AdmissionServiceStub(channel).Admit(request, timeout=DEADLINE_SECONDS)
    if not is_allowed(request, answer):
        codes = ", ".join(reason.code for reason in answer.reasons)
        raise PermissionError(f"not allowed by decision {answer.decision_id}: {codes}")
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # Whatever goes wrong, nothing starts.
        print(f"launch.py: not started: {error}", file=sys.stderr)
    sys.exit(NOT_STARTED)
