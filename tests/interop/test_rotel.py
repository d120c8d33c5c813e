"""The spans of the audit trail, at a receiver that somebody else wrote.

rotel shows every span that it gets on its standard output; what is read there is its word, not ours.
"""

import pathlib
import re
import socket
import subprocess
import threading

import pytest
import rotel

import casebook
import daemon as daemons
from conftest import in_force
from contract import admission_pb2, launch_pb2
from daemon import PATIENCE, Daemon

AGENT = pathlib.Path(rotel.__file__).parent / "rotel-agent"
SAMPLED, UNSAMPLED = "01", "00"


class Rotel:
    """The process, with what it has said so far."""

    def __init__(self, grpc_port=None):
        self.grpc_port = grpc_port or free_port()
        self.lines = []
        self.said_more = threading.Condition()

    def __enter__(self):
        self.process = subprocess.Popen(
            [
                AGENT,
                "start",
                f"--otlp-grpc-endpoint=127.0.0.1:{self.grpc_port}",
                f"--otlp-http-endpoint=127.0.0.1:{free_port()}",
                "--debug-log=traces",
                "--debug-log-verbosity=detailed",
                "--exporter=blackhole",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self):
        for line in self.process.stdout:
            with self.said_more:
                self.lines.append(line)
                self.said_more.notify_all()

    def wait_for_seqs(self, wanted):
        """Waits until every one of these sequence numbers has come."""
        with self.said_more:
            assert self.said_more.wait_for(lambda: wanted <= set(self.seqs()), PATIENCE), (
                f"{sorted(wanted)} are due, and these have come: {self.seqs()}\n"
                + "".join(self.lines[-80:])
            )

    def text(self):
        # Without colors.
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(self.lines))

    def seqs(self):
        return [int(seq) for seq in re.findall(r"admit\.seq: Int\((\d+)\)", self.text())]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def export_to(monkeypatch):
    def export_to(port):
        section = f'\n[export]\nendpoint = "http://127.0.0.1:{port}"\n'
        monkeypatch.setattr(daemons, "CONFIG", daemons.CONFIG + section)

    return export_to


def admit(daemon, run, flags=SAMPLED):
    request = admission_pb2.AdmitRequest(host="spark-1", run_id=run, lane=launch_pb2.LANE_FAKE)
    metadata = [("traceparent", f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}")]
    return daemon.tcp.admission.Admit(request, timeout=PATIENCE, metadata=metadata)


def test_every_answer_is_a_span_at_a_foreign_receiver(admitd, export_to):
    with Rotel() as receiver:
        export_to(receiver.grpc_port)
        with Daemon(admitd) as daemon:
            in_force(daemon, casebook.example())
            answers = [admit(daemon, f"run-{n}", SAMPLED) for n in range(10)]
            answers += [admit(daemon, f"run-{n}", UNSAMPLED) for n in range(10)]
            receiver.wait_for_seqs({answer.seq for answer in answers})
    text = receiver.text()
    for answer in answers:
        assert answer.record_hash in text and answer.decision_id in text
    assert "admit.decision" in text
    # The caller's trace and place in it, sampled or not.
    assert text.count("4bf92f3577b34da6a3ce929d0e0e4736") >= len(answers)
    assert text.count("00f067aa0ba902b7") >= len(answers)
    assert "spark-1" not in text and "run-1" not in text


def test_what_a_receiver_missed_comes_when_it_is_back(admitd, export_to):
    port = free_port()
    export_to(port)
    with Daemon(admitd) as daemon:
        in_force(daemon, casebook.example())
        answers = [admit(daemon, f"run-{n}") for n in range(5)]
        with Rotel(port) as receiver:
            answers += [admit(daemon, f"run-{n}") for n in range(5, 10)]
            receiver.wait_for_seqs({answer.seq for answer in answers})
