"""Health of each service, before there is a policy, while there is one, and when it is stale."""

import grpc
import pytest
from grpc_health.v1 import health_pb2

import casebook
from contract import SERVICES
from daemon import NOT_SERVING, PATIENCE, SERVING, Daemon

NAMES = ["", *SERVICES]


def test_health_follows_the_policy(admitd):
    with Daemon(admitd, rescan_interval="200ms", staleness_max="2s") as daemon:
        watches = [watch(daemon, name) for name in NAMES]
        assert_health(daemon, watches, NOT_SERVING)
        daemon.policy.write(casebook.example())
        assert_health(daemon, watches, SERVING)
        daemon.policy.remove()
        assert_health(daemon, watches, NOT_SERVING)
        daemon.policy.write(casebook.example())
        assert_health(daemon, watches, SERVING)
        for events in watches:
            events.cancel()


def test_health_ends_with_the_daemon(admitd):
    with Daemon(admitd) as daemon:
        daemon.policy.write(casebook.example())
        daemon.unix.wait_for_health(SERVING)
        assert daemon.stop() == 0
        assert not (daemon.folder / "admitd.sock").exists()


def watch(daemon, name):
    request = health_pb2.HealthCheckRequest(service=name)
    return daemon.tcp.health.Watch(request, timeout=PATIENCE)


def assert_health(daemon, watches, status):
    """Waits until every watch tells this health; then it is what is answered when asked."""
    for events in watches:
        assert status in (event.status for event in events)
    for client in (daemon.tcp, daemon.unix):
        for name in NAMES:
            assert client.health_of(name) == status, name


def test_a_service_that_is_not_there_has_no_health(daemon):
    with pytest.raises(grpc.RpcError) as caught:
        daemon.tcp.health_of("admit.v1.NoService")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
