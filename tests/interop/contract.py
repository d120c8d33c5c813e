"""The contract's Python code, generated from proto/ for this one run."""

import atexit
import importlib
import importlib.resources
import shutil
import sys
import tempfile

from grpc_tools import protoc

from casebook import ROOT

PROTO = ROOT / "proto"
SERVICES = ["admit.v1.AdmissionService", "admit.v1.PolicyService"]


def _generate():
    folder = tempfile.mkdtemp(prefix="admit-contract-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={well_known}",
        f"--python_out={folder}",
        f"--grpc_python_out={folder}",
        *files,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("the contract cannot be compiled")
    sys.path.insert(0, folder)


_generate()

admission_pb2 = importlib.import_module("admit.v1.admission_service_pb2")
admission_grpc = importlib.import_module("admit.v1.admission_service_pb2_grpc")
evidence_pb2 = importlib.import_module("admit.v1.evidence_pb2")
launch_pb2 = importlib.import_module("admit.v1.launch_pb2")
policy_pb2 = importlib.import_module("admit.v1.policy_service_pb2")
policy_grpc = importlib.import_module("admit.v1.policy_service_pb2_grpc")
reason_pb2 = importlib.import_module("admit.v1.reason_pb2")
