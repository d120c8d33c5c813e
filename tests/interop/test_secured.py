"""gRPC's own client over mutual TLS, with certificates of the development authority."""

import pathlib
import subprocess

import grpc
import pytest
from google.protobuf import json_format

import casebook
from contract import admission_pb2
from daemon import Client, Daemon

AUTHORITY = pathlib.Path(__file__).parents[2] / "deploy" / "development-ca"
CALLERS = """
[[callers]]
name = "hermes"
certificates = ["uri:spiffe://example/hermes"]
rpcs = ["Admit", "WatchPolicy"]
lanes = ["fake", "real"]
hosts = ["*"]

[[callers]]
name = "tests"
plaintext = true
rpcs = ["WatchPolicy"]
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca") / "made"
    names = ["hermes=uri:spiffe://example/hermes", "stranger=stranger.example"]
    subprocess.run([AUTHORITY, folder, "localhost,127.0.0.1", *names], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def secured(admitd, certificates):
    tls = (
        f'[tls]\ncertificate = "{certificates / "server.crt"}"\nkey = "{certificates / "server.key"}"\n'
        f'client_ca = "{certificates / "ca.crt"}"\n'
    )
    with Daemon(admitd, listen='tls = "127.0.0.1:0"\n', more=tls + CALLERS) as daemon:
        documents = casebook.example()
        daemon.policy.write(documents)
        daemon.tcp.wait_for_policy(casebook.policy_digest(documents))
        yield daemon


def client(daemon, certificates, name=None):
    files = [certificates / "ca.crt"]
    if name is not None:
        files += [certificates / f"{name}.key", certificates / f"{name}.crt"]
    credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
    return Client(daemon.tls_address, credentials)


def some_launch():
    case = next(case for case in casebook.cases() if case.now is None)
    return json_format.ParseDict(case.request, admission_pb2.AdmitRequest())


def test_a_named_caller_is_answered(secured, certificates):
    answer = client(secured, certificates, "hermes").admit(some_launch())
    assert answer.decision_id and answer.seq > 0


def test_a_caller_whom_nobody_named_is_refused(secured, certificates):
    with pytest.raises(grpc.RpcError) as refused:
        client(secured, certificates, "stranger").admit(some_launch())
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "stranger" not in refused.value.details()


def test_nobody_connects_without_a_certificate(secured, certificates):
    with pytest.raises(grpc.RpcError) as refused:
        client(secured, certificates).admit(some_launch())
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_plaintext_is_not_answered_where_tls_is(secured):
    with pytest.raises(grpc.RpcError) as refused:
        Client(secured.tls_address).health_of("")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
