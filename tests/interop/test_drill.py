"""`admit drill` against a running daemon: under each branch its gates are proven closed."""

import json
import pathlib
import subprocess

import pytest

import casebook
from conftest import in_force
from daemon import PATIENCE

RECORD = "sot/CTO-CASE-PROVIDER-DECISION-RECORD.md"
ADMISSION = "sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"

# What can be shown only in a state that the example is not in.
OTHER_STATES = {"policy-unread", "policy-stale", "no-valid-record", "branch-not-decided"}
# Launches in which more than one thing is amiss.
SEVERAL = {"branch-of-another-pair", "local-provider-unstated"}


@pytest.fixture(scope="session")
def admit(admitd):
    path = pathlib.Path(admitd).with_name("admit")
    assert path.exists(), f"no admit at {path}; `cargo build` makes it beside admitd"
    return path


@pytest.fixture
def drill(admit, tmp_path):
    """Drills a daemon, as a host that has this admission file, or none."""

    def run(daemon, admission_file=casebook.example()[ADMISSION], server=None, pair=()):
        server = server or f"http://{daemon.tcp_address}"
        command = [admit, "drill", "--json", "--server", server, "--deadline-ms", "60000"]
        if admission_file is not None:
            admission = tmp_path / "admission.json"
            admission.write_bytes(admission_file)
            command += ["--admission-file", admission]
        if pair:
            command += ["--provider", pair[0], "--model", pair[1]]
        result = subprocess.run(
            [*command, "--host", "spark-1"],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )
        return result.returncode, json.loads(result.stdout)

    return run


def results(shape, result):
    return {launch["name"] for launch in shape["launches"] if launch["result"] == result}


def assert_passed(code, shape):
    assert not results(shape, "open")
    unproven = [launch for launch in shape["launches"] if launch["result"] == "unproven"]
    assert not unproven
    assert (code, shape["outcome"]) == (0, "passed")


def test_each_launch_differs_from_an_allowed_one(daemon, drill):
    in_force(daemon, casebook.example())
    code, shape = drill(daemon)
    assert_passed(code, shape)
    assert shape["control"] == {"allowed": True, "reasons": []}
    assert shape["branch"] == "local_provider_required"
    assert shape["serving"]
    assert results(shape, "not_applicable") == OTHER_STATES
    revoked = "revoked-pair: openai-codex / gpt-5.5"
    for launch in shape["launches"]:
        if launch["name"] in OTHER_STATES | {revoked, *SEVERAL}:
            continue
        # Nothing else is amiss with it, but what follows from the one thing.
        follows = {"case-config-mismatch", "external-fallback", "admission-file-mismatch"}
        follows |= {"credential-source-mismatch", "provider-model-not-admitted"}
        assert set(launch["reasons"]) <= set(launch["expected"]) | follows, launch
    assert revoked in results(shape, "closed")


def test_it_passes_over_the_unix_socket_too(daemon, drill):
    in_force(daemon, casebook.example())
    assert_passed(*drill(daemon, server=f"unix:{daemon.folder / 'admitd.sock'}"))


@pytest.mark.parametrize(
    ("flags", "codes", "not_shown"),
    [
        pytest.param(
            {"admission_file": None},
            {"admission-file-missing", "credential-source-mismatch"},
            {"admission-file-missing", "credential-source-mismatch"},
            id="no admission file",
        ),
        pytest.param(
            {"pair": ("nobody", "nothing")},
            {"provider-model-not-admitted"},
            {"pair-not-admitted", "branch-of-another-pair"},
            id="an unknown pair",
        ),
    ],
)
def test_what_denies_the_control_shows_nothing(daemon, drill, flags, codes, not_shown):
    in_force(daemon, casebook.example())
    code, shape = drill(daemon, **flags)
    assert_passed(code, shape)
    assert codes <= set(shape["control"]["reasons"])
    assert not_shown <= results(shape, "not_applicable")
    for launch in shape["launches"]:
        if launch["result"] == "closed" and not launch["name"].startswith("revoked-pair"):
            shown = set(launch["reasons"]) & set(launch["expected"])
            assert shown - set(shape["control"]["reasons"]), launch


def edited(*edits):
    """The example with its decision record edited."""
    documents = casebook.example()
    text = documents[RECORD].decode()
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return documents | {RECORD: text.encode()}


NOT_DECIDED = edited(
    ("- `decision_status`: `local_provider_required`.", "- `decision_status`: `not_decided`.")
)
INVALID = edited(
    ("- `decision_status`: `local_provider_required`.", "- `decision_status`: `maybe`.")
)
TWICE = casebook.example() | {f".{RECORD}": casebook.example()[RECORD]}
MISSING = {path: text for path, text in casebook.example().items() if path != RECORD}
REVOKED = {
    path: text.replace(b'"admitted"', b'"revoked"') for path, text in casebook.example().items()
}
BARE = {}


@pytest.mark.parametrize(
    ("documents", "closed"),
    [
        pytest.param(NOT_DECIDED, "branch-not-decided", id="not decided"),
        pytest.param(INVALID, "no-valid-record", id="an invalid record"),
        pytest.param(TWICE, "no-valid-record", id="two records"),
        pytest.param(MISSING, "no-valid-record", id="no record"),
        pytest.param(BARE, "no-valid-record", id="no documents"),
        pytest.param(
            REVOKED, "revoked-pair: qwen-local / qwen3.6-35b-a3b", id="a revoked admission"
        ),
    ],
)
def test_every_branch_is_closed(daemon, drill, documents, closed):
    in_force(daemon, documents)
    code, shape = drill(daemon, documents.get(ADMISSION, b"{}"))
    assert_passed(code, shape)
    assert not shape["control"]["allowed"]
    assert closed in results(shape, "closed")


def test_the_external_branch_has_no_local_gates(daemon, drill):
    external = next(
        case.documents
        for case in casebook.cases()
        if not case.codes and case.request.get("provider") == "anthropic"
    )
    in_force(daemon, external)
    path = next(path for path in external if path.endswith("anthropic-claude-sonnet-4-6.json"))
    code, shape = drill(daemon, external[path])
    assert_passed(code, shape)
    assert shape["control"]["allowed"]
    assert {"adapter-missing", "fallback-models-missing"} <= results(shape, "not_applicable")


def test_a_daemon_without_a_policy_is_closed(blind_daemon, drill):
    code, shape = drill(blind_daemon)
    assert_passed(code, shape)
    assert shape["policy_digest"] is None and not shape["serving"]
    assert "policy-unread" in results(shape, "closed")
