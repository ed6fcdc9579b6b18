"""A plan's document that someone changed by hand is refused before anything is loaded."""

import copy
import json
import random

import pytest

import ullage
from ullage.errors import FormatError, UllageError

FILE = {
    "kind": "extract",
    "roles": {"model": "ullage:tiny"},
    "prompt_tokens": 64,
    "captures": [{"sites": ["blocks.5.hook_resid_post"], "positions": "last", "keep": "disk"}],
    "extract": {"input": "texts.jsonl"},
    "budget": {"gpus": "cpu"},
}
ROLE = ("roles", "model")
ODD = (None, -1, "x", [], {}, True, 1.5, 10**30)


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(ullage.plan(FILE, advice=False).to_json()))


def place_of(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def read(document, tmp_path):
    target = tmp_path / "plan.json"
    target.write_text(json.dumps(document))
    return ullage.read_plan(target)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("verdict",), "perhaps", "verdict"),
        (("verdict",), "does not fit", "verdict"),
        (("devices",), [], "cpu is missing"),
        (("devices", 0, "usable"), "all", "usable"),
        (("devices", 0, "budget"), -1, "limits"),
        (("devices", 0, "phases", 1, "name"), "another", "billed"),
        (("cards",), [], "no cards"),
        (("roles",), {}, "billed"),
        ((*ROLE, "precision", "compute"), "int8", "computes"),
        ((*ROLE, "kernel", "name"), "other", "kernel"),
        ((*ROLE, "placement", "device_map"), {}, "nowhere"),
        ((*ROLE, "placement", "device_map", "layers.0"), "gpu:7", "gpu:7"),
        ((*ROLE, "part", "layers"), 2, "part"),
        (("phases",), [], "billed"),
        (("phases", 1, "running"), "nobody", "nobody"),
        (("phases", 1, "work", "batch"), 0, "number"),
        (("phases", 1, "work", "prompt_tokens"), -5, "number"),
        (("phases", 1, "work", "captures"), [], "part"),
        (("items", 0, "phase"), "another", "item"),
        (("items", 0, "bytes"), {"low": -1, "expected": 0, "high": 0}, "negative"),
        (("notes",), {}, "notes"),
    ],
)
def test_what_was_changed_is_named(document, path, value, said, tmp_path):
    changed = copy.deepcopy(document)
    place_of(changed, path)[path[-1]] = value
    with pytest.raises(FormatError, match="changed or cut short") as caught:
        read(changed, tmp_path)
    assert said in str(caught.value).partition("cut short: ")[2]
    assert "\n" not in str(caught.value)


def paths_of(value, path=()):
    if path:
        yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, entry in entries:
        yield from paths_of(entry, (*path, key))


def test_no_change_is_an_internal_error(document, tmp_path):
    """Whatever is in its place, a plan is refused in Ullage's words or can be shown."""
    draw = random.Random(13)
    for path in draw.sample(sorted(paths_of(document), key=str), 150):
        changed = copy.deepcopy(document)
        place_of(changed, path)[path[-1]] = draw.choice(ODD)
        try:
            found = read(changed, tmp_path)
        except UllageError:
            continue
        assert found is None or (str(found) and found._repr_html_()), path


def test_what_is_changed_and_still_makes_sense_is_refused_too(document, tmp_path):
    changed = copy.deepcopy(document)
    for part in (changed["settled"], changed["phases"][1]["work"]):
        part["examples"] = 7
    with pytest.raises(FormatError, match="changed after it was made; change the workload and plan anew"):
        read(changed, tmp_path)
    elsewhere = copy.deepcopy(document) | {"base": str(tmp_path)}
    assert read(elsewhere, tmp_path).base == tmp_path
