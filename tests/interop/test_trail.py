"""The audit trail of everything that the other tests asked; this file comes last."""

import json
import pathlib
import subprocess
import sys

import pytest

from conftest import ASKED

VERIFIER = pathlib.Path(__file__).parents[2] / "deploy" / "verify_audit.py"
DAEMONS = ["daemon", "hasty_daemon", "blind_daemon"]


@pytest.fixture(params=DAEMONS)
def trail(request):
    """The audit directory of one of the daemons that were asked, which is still running."""
    return request.getfixturevalue(request.param).folder / "audit"


def audit(admitd, command, trail):
    done = subprocess.run(
        [admitd, "audit", command, "--audit-dir", trail, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_log_is_whole(admitd, trail):
    verified = audit(admitd, "verify", trail)
    verifier = subprocess.run(
        [sys.executable, VERIFIER, trail], capture_output=True, text=True, check=True
    )
    last = verified["last_entry"]
    assert f"{last['seq']}:{last['hash']}" in verifier.stdout


def test_every_decision_is_derived_again(admitd, trail):
    replayed = audit(admitd, "replay", trail)
    assert replayed["decisions"] + replayed["evidence"] == replayed["same"] > 0
    assert replayed["decisions"] > 0


def test_every_case_is_in_a_log(admitd, daemon, hasty_daemon, blind_daemon):
    trails = [each.folder / "audit" for each in (daemon, hasty_daemon, blind_daemon)]
    decisions = sum(audit(admitd, "replay", trail)["decisions"] for trail in trails)
    # Over TCP and over a unix socket.
    assert decisions >= 2 * len(ASKED) > 0
