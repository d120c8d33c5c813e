"""Evidence of a finished run, handed in by a client of another language."""

import hashlib
import json

import casebook
import grpc
import pytest
from conftest import in_force
from contract import admission_pb2, evidence_pb2
from google.protobuf import json_format
from test_failures import details, failure

CODES = [
    "permit-invalid",
    "permit-expired-before-start",
    "report-field-missing",
    "observed-model-missing",
    "config-changed-during-run",
    "pipeline-incomplete",
    "baseline-missing",
    "baseline-fixture-mismatch",
    "secret-scan-missing",
]


def bare():
    return evidence_pb2.CheckEvidenceRequest(host="spark-1", run_id="run-7")


def record(daemon, seq):
    """The entry with this number, and its line."""
    for segment in sorted((daemon.folder / "audit").glob("segment-*.jsonl")):
        for line in segment.read_text().splitlines():
            entry = json.loads(line)
            if entry.get("seq") == seq:
                return entry, line
    raise AssertionError(f"no entry {seq}")


def launch(daemon):
    """A launch that is allowed, of any case file, and its answer."""
    for case in casebook.cases():
        is_plain = not case.codes and case.now is None and case.standing == "fresh"
        if is_plain and case.request.get("lane") == "LANE_REAL" and "dry_run" not in case.request:
            in_force(daemon, case.documents)
            request = json_format.ParseDict(case.request, admission_pb2.AdmitRequest())
            return request, daemon.tcp.admit(request)
    raise AssertionError("no case is allowed")


def finished(request, answer):
    """The evidence of a run that went well."""
    config = hashlib.sha256(request.case_config).hexdigest()
    fixture = hashlib.sha256(b"fixture").hexdigest()
    evidence = evidence_pb2.CheckEvidenceRequest(
        host=request.host,
        run_id=request.run_id,
        permit=answer.permit,
        start_time=answer.decide_time,
        report=evidence_pb2.Report(
            case_model_provider=request.provider,
            case_model=request.model,
            case_model_admission_status="admitted",
        ),
        config=evidence_pb2.ConfigEvidence(
            digest_before=config,
            digest_after=config,
            config=evidence_pb2.CHANGE_STATE_UNCHANGED,
            adapter=evidence_pb2.CHANGE_STATE_UNCHANGED,
        ),
        pipeline=evidence_pb2.PIPELINE_OUTCOME_PASSED,
        fixture_digest=fixture,
        baseline=evidence_pb2.Baseline(
            run_id=request.run_id,
            fixture_digest=fixture,
            pipeline=evidence_pb2.PIPELINE_OUTCOME_PASSED,
        ),
        secret_scan=evidence_pb2.EvidenceScan(covered=[1, 2, 3]),
    )
    evidence.observed_models.state = evidence_pb2.OBSERVATION_STATE_COMPLETE
    evidence.observed_models.models.add(
        agent="implementer",
        provider=request.provider,
        model=request.model,
        source=evidence_pb2.OBSERVATION_SOURCE_CASE_STDERR,
    )
    return evidence


def test_evidence_that_says_nothing_is_rejected_for_everything(daemon):
    for client in (daemon.tcp, daemon.unix):
        answer = client.check_evidence(bare())
        assert answer.verdict == evidence_pb2.EVIDENCE_VERDICT_REJECTED
        assert [reason.code for reason in answer.reasons] == CODES
        assert all(reason.message and reason.help for reason in answer.reasons)
        assert answer.decision_id == ""
        entry, line = record(daemon, answer.seq)
        assert entry["type"] == "evidence"
        assert (entry["id"], entry["hash"]) == (answer.evidence_id, answer.record_hash)
        assert (entry["verdict"], entry["reasons"]) == ("rejected", CODES)
        assert "spark-1" not in line and "run-7" not in line


def test_a_run_that_went_well_is_accepted(daemon):
    request, allowed = launch(daemon)
    answer = daemon.tcp.check_evidence(finished(request, allowed))
    assert [reason.code for reason in answer.reasons] == []
    assert answer.verdict == evidence_pb2.EVIDENCE_VERDICT_ACCEPTED
    assert answer.decision_id == allowed.decision_id
    entry, line = record(daemon, answer.seq)
    assert (entry["verdict"], entry["decision"]) == ("accepted", allowed.decision_id)
    assert allowed.permit not in line


@pytest.mark.parametrize(
    ("fallen_back", "codes"),
    [
        (True, ["observed-model-mismatch", "external-fallback-observed", "pipeline-failed"]),
        (False, ["pipeline-failed"]),
    ],
)
def test_reasons_come_in_their_order(daemon, fallen_back, codes):
    request, allowed = launch(daemon)
    evidence = finished(request, allowed)
    evidence.pipeline = evidence_pb2.PIPELINE_OUTCOME_FAILED
    if fallen_back:
        evidence.observed_models.models.add(
            agent="reviewer", provider="anthropic", model="claude-sonnet-4-6"
        )
    answer = daemon.unix.check_evidence(evidence)
    assert answer.verdict == evidence_pb2.EVIDENCE_VERDICT_REJECTED
    assert [reason.code for reason in answer.reasons] == codes


def test_evidence_out_of_bounds_names_its_fields(daemon):
    evidence = bare()
    evidence.host = "not a host"
    evidence.permit = "no permit"
    evidence.observed_models.models.add(agent="Reviewer")
    error = failure(lambda: daemon.tcp.check_evidence(evidence))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    info, fields = details(error)
    assert (info.reason, info.domain) == ("REQUEST_INVALID", "admit.v1")
    assert fields == ["host", "permit", "observed_models.models"]
