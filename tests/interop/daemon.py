"""A running admitd, and the policy directory that it follows.

Every wait is for something that the daemon says: a line of its log, an event of a stream. What
never comes fails after PATIENCE seconds.
"""

import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from casebook import CONFIG
from contract import admission_grpc, policy_grpc, policy_pb2

PATIENCE = 60

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class PolicyDirectory:
    """A link that is replaced in one step, and the folder that it leads to."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.link = self.folder / "policy"
        self.generation = 0
        self.documents = None

    def write(self, documents):
        """Puts these documents, a mapping of paths to bytes, in the place of all others."""
        self.generation += 1
        generation = self.folder / f"generation-{self.generation}"
        generation.mkdir()
        for path, content in documents.items():
            target = generation / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        beside = self.folder / "beside"
        beside.symlink_to(generation.name)
        beside.replace(self.link)
        self.documents = documents

    def remove(self):
        self.link.unlink()
        self.documents = None


class Client:
    """The services, over one listener."""

    def __init__(self, target, credentials=None):
        options = [
            # For a unix socket, gRPC's own default is the path with percent signs, which is no
            # authority of HTTP/2: the daemon's HTTP/2 stack resets such streams (PROTOCOL_ERROR).
            ("grpc.default_authority", "localhost"),
            # Nothing here leaves the host, whatever the environment says.
            ("grpc.enable_http_proxy", 0),
        ]
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options)
        else:
            self.channel = grpc.secure_channel(target, credentials, options)
        self.admission = admission_grpc.AdmissionServiceStub(self.channel)
        self.policy = policy_grpc.PolicyServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def admit(self, request):
        return self.admission.Admit(request, timeout=PATIENCE)

    def check_evidence(self, request):
        return self.admission.CheckEvidence(request, timeout=PATIENCE)

    def wait_for_policy(self, digest):
        """Waits until the policy with this digest is in force."""
        seen = []
        events = self.policy.WatchPolicy(policy_pb2.WatchPolicyRequest(), timeout=PATIENCE)
        try:
            for event in events:
                seen.append(event.policy_changed.digest)
                if seen[-1] == digest:
                    return
        except grpc.RpcError as error:
            raise AssertionError(f"no policy {digest}, but {seen}: {error}") from error
        finally:
            events.cancel()

    def wait_for_health(self, status, service=""):
        """Waits until a service has this health."""
        seen = []
        request = health_pb2.HealthCheckRequest(service=service)
        events = self.health.Watch(request, timeout=PATIENCE)
        try:
            for event in events:
                seen.append(event.status)
                if event.status == status:
                    return
        except grpc.RpcError as error:
            raise AssertionError(f"no health {status}, but {seen}: {error}") from error
        finally:
            events.cancel()

    def health_of(self, service):
        request = health_pb2.HealthCheckRequest(service=service)
        return self.health.Check(request, timeout=PATIENCE).status


class Daemon:
    """The process, listening on free ports of the loopback address and on a unix socket."""

    def __init__(self, admitd, rescan_interval="5s", staleness_max="30s", listen="", more=""):
        # A short path: that of a unix socket has to fit into some hundred bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="admit-"))
        self.policy = PolicyDirectory(self.folder)
        self.settings = (rescan_interval, staleness_max)
        self.listen = listen
        self.more = more
        self.admitd = admitd
        self.log = []
        self.listening_or_ended = threading.Event()
        self.tcp_address = self.tls_address = None
        self.operations_address = None
        self.process = self.tcp = self.unix = None

    def __enter__(self):
        socket = self.folder / "admitd.sock"
        rescan_interval, staleness_max = self.settings
        config = self.folder / "admitd.toml"
        config.write_text(
            f'policy_dir = "{self.policy.link}"\n'
            f'rescan_interval = "{rescan_interval}"\n'
            f'staleness_max = "{staleness_max}"\n'
            f'[listen]\ntcp = "127.0.0.1:0"\nunix = "{socket}"\noperations = "127.0.0.1:0"\n'
            f'{self.listen}[audit]\ndir = "{self.folder / "audit"}"\n{CONFIG}\n{self.more}'
        )
        self.process = subprocess.Popen(
            [self.admitd, "serve", "--config", config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read_log, daemon=True).start()
        if not self.listening_or_ended.wait(PATIENCE) or self.tcp_address is None:
            self.__exit__()
            raise AssertionError(f"admitd does not listen: {self.log}")
        self.tcp = Client(f"dns:///{self.tcp_address}")
        self.unix = Client(f"unix:{socket}")
        return self

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if " metrics " in line and self.operations_address is None:
                self.operations_address = words["address"]
            if " listening " in line and self.tcp_address is None:
                self.tls_address = words.get("tls")
                self.tcp_address = words["tcp"]
                self.listening_or_ended.set()
        self.listening_or_ended.set()

    def stop(self):
        """Tells the daemon to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def __exit__(self, *_):
        for client in (self.tcp, self.unix):
            if client is not None:
                client.channel.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
