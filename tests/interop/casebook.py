"""The case files of tests/cases/, read a second time and independently of the Rust runner.

tests/cases/README.md describes the form. Nothing here knows what a gate does: an entry gives the
documents of the policy, a request, and the answer that is expected.
"""

import base64
import copy
import dataclasses
import hashlib
import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases"
EXAMPLE = ROOT / "deploy" / "example"

RECORD_NAME = "CTO-CASE-PROVIDER-DECISION-RECORD.md"
ADMISSION_NAME = ("CTO-CASE-MODEL-PROVIDER-ADMISSION.", ".json")

SHORT_NAMES = tomllib.loads((CASES / "base" / "documents.toml").read_text())
CONFIG = (CASES / "base" / "admitd.toml").read_text()


class Fault(Exception):
    """An entry cannot be made as it is written."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A launch, the documents that it is decided under, and the expected answer."""

    gate: str
    name: str
    documents: dict[str, bytes]
    request: dict
    codes: list[str]
    standing: str
    now: str | None

    @property
    def id(self):
        return f"{self.gate}: {self.name}"

    @property
    def policy_digest(self):
        """The digest that the daemon has to show, as the specification defines it."""
        return "" if self.standing == "unavailable" else policy_digest(self.documents)

    @property
    def status(self):
        lane = self.request.get("lane")
        if lane == "LANE_FAKE":
            return "ADMISSION_STATUS_NOT_REQUIRED"
        is_admitted = lane == "LANE_REAL" and not self.codes
        return "ADMISSION_STATUS_ADMITTED" if is_admitted else "ADMISSION_STATUS_NOT_ADMITTED"


def policy_digest(documents):
    """SHA-256 over one line for each decision record and admission file, sorted by path."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(documents.items(), key=lambda item: item[0].encode())
        if is_in_digest(path)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_in_digest(path):
    *folders, name = path.split("/")
    if any(part == ".git" or part.startswith("..") for part in folders):
        return False
    start, end = ADMISSION_NAME
    is_admission = name.startswith(start) and name.endswith(end) and len(name) >= len(start + end)
    return name == RECORD_NAME or is_admission


def example():
    return {
        path.relative_to(EXAMPLE).as_posix(): path.read_bytes()
        for path in EXAMPLE.rglob("*")
        if path.is_file()
    }


def cases():
    """Every entry of every file; first those with the same documents together."""
    found = []
    for path in sorted(CASES.glob("*.toml")):
        file = tomllib.loads(path.read_text())
        gate = file["gate"]
        for entry in file["denied"]:
            found.append(case(gate, entry, entry.get("codes", [gate])))
        for entry in file["allowed"]:
            found.append(case(gate, entry, []))
    return sorted(found, key=lambda case: (case.standing, case.policy_digest, case.id))


def case(gate, entry, codes):
    layers = [entry]
    base = entry.get("base", "real")
    while base is not None:
        layers.insert(0, tomllib.loads((CASES / "base" / f"{base}.toml").read_text()))
        base = layers[0].get("base")
    try:
        documents = edited(layers)
        return Case(
            gate=gate,
            name=entry["name"],
            documents=documents,
            request=request(layers, documents),
            codes=codes,
            standing=entry.get("standing", "fresh"),
            now=entry.get("now"),
        )
    except (Fault, KeyError) as fault:
        raise Fault(f"{gate}: {entry['name']}: {fault!r}") from fault


def edited(layers):
    documents = example()
    for edit in (edit for layer in layers for edit in layer.get("policy", [])):
        path = document(edit["file"])
        match edit:
            case {"replace": old, "with": new}:
                text = documents[path].decode()
                if text.count(old) != 1:
                    raise Fault(f"`{old}` stands there {text.count(old)} times")
                documents[path] = text.replace(old, new).encode()
            case {"content": content}:
                documents[path] = content.encode()
            case {"copy": to}:
                documents[document(to)] = documents[path]
            case {"rename": to}:
                documents[document(to)] = documents.pop(path)
            case {"remove": True}:
                del documents[path]
            case _:
                raise Fault(f"no edit: {edit}")
    return documents


def document(name):
    return SHORT_NAMES[name] if "/" not in name and "." not in name else name


def request(layers, documents):
    """The request as protobuf JSON."""
    made = {}
    admission_file = None
    for layer in layers:
        for path in layer.get("unset", []):
            if path == "admission_file_digest":
                admission_file = None
            else:
                *parents, field = path.split(".")
                message = made
                for parent in parents:
                    message = message[parent]
                del message[field]
        stated = layer.get("request", {})
        merge(made, stated)
        if "case_config" in layer:
            config = layer["case_config"].encode()
            made["case_config"] = base64.b64encode(config).decode()
        if "admission_file_digest" in stated:
            admission_file = None
        admission_file = layer.get("admission_file", admission_file)
        if layer.get("expected_policy") == "current":
            made["expected_policy_digest"] = policy_digest(documents)
    if admission_file is not None:
        content = documents[document(admission_file)]
        made["admission_file_digest"] = hashlib.sha256(content).hexdigest()
    return made


def merge(into, stated):
    for key, value in stated.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
