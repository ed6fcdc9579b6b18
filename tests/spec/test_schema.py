"""The JSON Schema that editors use."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from ullage import api

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SCHEMA = api.schema()


def accepts(data: object) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(data)


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_accepted(path: Path) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(path.read_text()))


def test_a_role_may_be_its_model_alone_and_use_the_guides_keys() -> None:
    assert accepts({"kind": "pii", "roles": {"verifier": "some/model"}})
    role = {"model": "m", "use_quantized": True, "quantization_bits": 4}
    assert accepts({"kind": "pii", "roles": {"verifier": role}})


WRONG = [
    {"batch": 0},
    {"batch": "8"},
    {"promt_tokens": 8},
    {"kind": "werwolf"},
    {"section": {}},
    {"werewolf": {}},
    {"pii": {"prefix_token": 3}},
    {"schedule": "never"},
    {"roles": {}},
    {"roles": {"a b": "m"}},
    {"roles": {"verifier": {}}},
    {"roles": {"verifier": {"model": "m", "precision": "bf61"}}},
    {"roles": {"verifier": {"model": "m", "placement": "gpu0"}}},
    {"roles": {"verifier": {"model": "m", "placement": []}}},
    {"roles": {"verifier": {"model": "m", "quantization_bits": 5}}},
    {"roles": {"verifier": {"model": "m", "max_memory": {"gpu": "1GB"}}}},
    {"captures": [{}]},
    {"captures": [{"sites": []}]},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_typical_mistake_is_not_accepted(change: dict[str, object]) -> None:
    assert not accepts({"kind": "pii", "roles": {"verifier": "m"}} | change)
