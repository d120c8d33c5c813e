"""The daemons that the tests ask, and the closing line."""

import os

import pytest

import casebook
from daemon import Daemon

ASKED = []


@pytest.fixture(scope="session")
def admitd():
    return os.environ["ADMITD"]


@pytest.fixture(scope="session")
def daemon(admitd):
    """A daemon that has read the example."""
    with Daemon(admitd) as daemon:
        in_force(daemon, casebook.example())
        yield daemon


@pytest.fixture(scope="session")
def hasty_daemon(admitd):
    """A daemon for which a policy is stale after two seconds."""
    with Daemon(admitd, rescan_interval="200ms", staleness_max="2s") as daemon:
        yield daemon


@pytest.fixture(scope="session")
def blind_daemon(admitd):
    """A daemon that has never seen its policy directory."""
    with Daemon(admitd) as daemon:
        yield daemon


def in_force(daemon, documents):
    """Writes these documents, unless they are there, and waits until they are in force."""
    if daemon.policy.documents != documents:
        daemon.policy.write(documents)
        daemon.tcp.wait_for_policy(casebook.policy_digest(documents))


def pytest_terminal_summary(terminalreporter):
    timed = sum(case.now is not None for case in casebook.cases())
    terminalreporter.write_line(
        f"interop: {len(ASKED)} case entries asked over TCP and over a unix socket; "
        f"{timed} state a time of their own and are decided in process only"
    )
