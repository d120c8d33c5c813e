"""The JSON Schema that `admitd schema admission` prints, held against `admitd validate`.

admissions/valid: both accept. admissions/invalid: both refuse. admissions/beyond-schema: what no
schema can say, so only `admitd validate` refuses.
"""

import copy
import json
import pathlib
import subprocess

import pytest
from jsonschema import Draft202012Validator

FIXTURES = pathlib.Path(__file__).parent / "admissions"
NAME = "CTO-CASE-MODEL-PROVIDER-ADMISSION.fixture.json"


def fixtures(folder):
    paths = sorted((FIXTURES / folder).glob("*.json"))
    assert paths
    return [pytest.param(path, id=path.stem) for path in paths]


@pytest.fixture(scope="session")
def schema(admitd):
    printed = subprocess.run([admitd, "schema", "admission"], check=True, capture_output=True)
    return json.loads(printed.stdout)


@pytest.fixture
def accepted_by_schema(schema):
    validator = Draft202012Validator(schema)
    return lambda content: validator.is_valid(json.loads(content.decode("utf-8-sig")))


@pytest.fixture
def accepted_by_admitd(admitd, tmp_path):
    def is_accepted(content):
        (tmp_path / NAME).write_bytes(content)
        command = [admitd, "validate", "--format", "json", tmp_path]
        validated = subprocess.run(command, check=False, capture_output=True)
        # There is no decision record, which is a finding in any case.
        assert validated.returncode == 1, validated.stderr
        found = [
            finding["code"]
            for finding in json.loads(validated.stdout)["findings"]
            if finding["path"].endswith(NAME)
        ]
        return not found

    return is_accepted


def test_the_schema_is_one(schema):
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", fixtures("valid"))
def test_valid(path, accepted_by_schema, accepted_by_admitd):
    content = path.read_bytes()
    assert (accepted_by_schema(content), accepted_by_admitd(content)) == (True, True)


@pytest.mark.parametrize("path", fixtures("invalid"))
def test_invalid(path, accepted_by_schema, accepted_by_admitd):
    content = path.read_bytes()
    assert (accepted_by_schema(content), accepted_by_admitd(content)) == (False, False)


@pytest.mark.parametrize("path", fixtures("beyond-schema"))
def test_beyond_schema(path, accepted_by_schema, accepted_by_admitd):
    content = path.read_bytes()
    assert (accepted_by_schema(content), accepted_by_admitd(content)) == (True, False)


FULL = json.loads((FIXTURES / "valid" / "fallback-external-proven.json").read_text())
PLACES = [
    (),
    *((key,) for key in FULL),
    *(("review_trigger", key) for key in FULL["review_trigger"]),
    *(("auth_bridge", key) for key in FULL["auth_bridge"]),
    ("evidence_expectations", 0),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "all")
def test_both_judge_every_other_value_alike(place, accepted_by_schema, accepted_by_admitd):
    refused = 0
    for value in (None, True, 0, 1, -1.5, "", " ", "x", [], ["x"], [1], {}, {"x": 1}, ...):
        content = json.dumps(changed(FULL, place, value)).encode()
        by_schema, by_admitd = accepted_by_schema(content), accepted_by_admitd(content)
        assert by_schema == by_admitd, f"{value!r}: {by_schema} {by_admitd}"
        refused += not by_admitd
    assert refused > 0


def changed(document, place, value):
    """The document with another value at `place`; without any, for `...`."""
    if not place:
        return [] if value is ... else value
    made = copy.deepcopy(document)
    parent = made
    for key in place[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return made
