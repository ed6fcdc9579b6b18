"""The JSON Schema accepts what the parser accepts."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from ullage import api

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid(path):
    jsonschema.validate(yaml.safe_load(path.read_text()), api.schema())


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "wolf"},
        {"batch": 0},
        {"roles": {"player": {"model": "x", "precison": "bf16"}}},
        {"evaluate": {"samples": 2}},
        {"werewolf": {"players": 1}},
        {"surprise": 1},
    ],
)
def test_typical_mistakes_are_not(change):
    document = {"kind": "werewolf", "roles": {"player": {"model": "x"}}}
    jsonschema.validate(document, api.schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | change, api.schema())
