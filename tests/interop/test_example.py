"""The Python example: it starts its command on a complete ALLOW, and on nothing else."""

import concurrent.futures
import json
import socket
import subprocess
import sys

import grpc
import pytest
from google.protobuf import json_format

import casebook
from conftest import in_force
from contract import admission_grpc, admission_pb2
from daemon import PATIENCE, Daemon

EXAMPLE = casebook.ROOT / "examples" / "python"
FACTS = json.loads((EXAMPLE / "launch.json").read_text())
REAL = next(case for case in casebook.cases() if case.id == "stage-not-admitted: stage 2")
NOT_STARTED = 125
# What the command ends with, which nothing else does.
STARTED = 7


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The contract's code, made with the command that the example's README gives."""
    folder = tmp_path_factory.mktemp("generated")
    readme = (EXAMPLE / "README.md").read_text()
    [command] = [line for line in readme.splitlines() if "grpc_tools.protoc" in line]
    python, rest = command.split(" ", 1)
    assert python == "python3" and rest.count("target/python") == 2
    command = f"{sys.executable} {rest.replace('target/python', str(folder))}"
    subprocess.run(command, shell=True, cwd=casebook.ROOT, check=True)
    return folder


@pytest.fixture
def launch(generated, tmp_path):
    """Runs the example with a command that leaves a mark; asserts that it does so only if it starts."""

    def run(server, facts=FACTS):
        mark = tmp_path / "mark"
        mark.unlink(missing_ok=True)
        file = tmp_path / "launch.json"
        file.write_text(facts if isinstance(facts, str) else json.dumps(facts))
        command = ["sh", "-c", f'echo "$1" > "{mark}"; exit {STARTED}', "sh", "a b"]
        done = subprocess.run(
            [sys.executable, EXAMPLE / "launch.py", server, file, "--", *command],
            env={"PYTHONPATH": str(generated), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode in (STARTED, NOT_STARTED), done.stderr
        assert mark.exists() == (done.returncode == STARTED), done.stderr
        assert not mark.exists() or mark.read_text() == "a b\n"
        return done

    return run


def addresses(daemon):
    return [daemon.tcp_address, f"unix:{daemon.folder / 'admitd.sock'}"]


def test_it_is_short():
    assert len((EXAMPLE / "launch.py").read_text().splitlines()) < 80


def test_an_allowed_launch_starts(daemon, launch):
    in_force(daemon, REAL.documents)
    for server in addresses(daemon):
        for facts in (FACTS, REAL.request):
            done = launch(server, facts)
            assert done.returncode == STARTED, done.stderr


def test_a_denied_launch_does_not_start(daemon, launch):
    in_force(daemon, REAL.documents)
    for server in addresses(daemon):
        for facts, code in (
            ({**FACTS, "fixture": {}}, "fixture-out-of-scope"),
            ({**REAL.request, "stage": 1}, "stage-not-admitted"),
        ):
            done = launch(server, facts)
            assert done.returncode == NOT_STARTED
            assert code in done.stderr


def test_facts_that_cannot_be_used_start_nothing(daemon, launch):
    for facts in ("", "{", {**FACTS, "later": 1}, {**FACTS, "lane": "LANE_OTHER"}, {}):
        assert launch(daemon.tcp_address, facts).returncode == NOT_STARTED, facts


def test_without_a_server_nothing_starts(admitd, launch):
    with Daemon(admitd) as gone:
        servers = addresses(gone)
        assert launch(servers[0]).returncode == STARTED
        gone.stop()
        for server in servers:
            assert launch(server).returncode == NOT_STARTED


def test_a_server_that_says_nothing_is_waited_for_until_the_deadline(launch):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host, port = mute.getsockname()
        done = launch(f"{host}:{port}")
    assert done.returncode == NOT_STARTED
    assert "DEADLINE_EXCEEDED" in done.stderr


def test_plaintext_is_not_spoken_beyond_this_host(daemon, launch):
    # An address of this host that is no loopback address to the example.
    host, port = daemon.tcp_address.rsplit(":", 1)
    assert host == "127.0.0.1"
    assert launch(f"127.1:{port}").returncode == NOT_STARTED


class Scripted(admission_grpc.AdmissionServiceServicer):
    """Answers what it is told to."""

    answer = None

    def Admit(self, request, context):
        return self.answer


@pytest.fixture
def scripted():
    """A server that answers as a test wants, and its address."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=1))
    service = Scripted()
    admission_grpc.add_AdmissionServiceServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None)


def complete(lane):
    """A complete ALLOW."""
    is_real = lane == "LANE_REAL"
    status = "ADMISSION_STATUS_ADMITTED" if is_real else "ADMISSION_STATUS_NOT_REQUIRED"
    return {
        "verdict": "VERDICT_ALLOW",
        "decisionId": "0197f0a4-5c00-7abc-8def-0123456789ab",
        "caseModelAdmissionStatus": status,
        "policyDigest": "0a" * 32,
        "streamId": "0197f0a4-5c00-7abc-8def-0123456789ab",
        "seq": 7,
        "recordHash": "0b" * 32,
        "permit": "e30.e30.c2ln",
    }


@pytest.mark.parametrize("facts", [FACTS, REAL.request], ids=["fake", "real"])
def test_only_a_complete_allow_starts(scripted, launch, facts):
    allow = complete(facts["lane"])

    def started(**changes):
        parts = {key: value for key, value in (allow | changes).items() if value is not None}
        scripted.answer = json_format.ParseDict(parts, admission_pb2.AdmitResponse())
        return launch(scripted.address, facts).returncode == STARTED

    assert started()
    for changes in (
        {"verdict": None},
        {"verdict": "VERDICT_DENY"},
        {"verdict": 42},
        {"reasons": [{"code": "policy-stale"}]},
        {"decisionId": None},
        {"decisionId": "0197f0a4-5c00-4abc-8def-0123456789ab"},
        {"decisionId": "another"},
        {"streamId": None},
        {"seq": None},
        {"recordHash": None},
        {"recordHash": "0b"},
        {"permit": None},
        {"dryRun": True},
        {"caseModelAdmissionStatus": None},
        {"caseModelAdmissionStatus": "ADMISSION_STATUS_NOT_ADMITTED"},
    ):
        assert not started(**changes), changes
    assert started(policyDigest=None) == (facts["lane"] == "LANE_FAKE")
