"""What an assistant needs of a disk and of host memory: its plan says it."""

import json
from pathlib import Path

import jsonschema
import pytest

import ullage
from ullage.facts.model import open_model
from ullage.kinds.assistant.memory_section import notes_bytes
from ullage.planning.document import plan_document
from ullage.workloads.loading import plan_of

FILE = Path(__file__).parents[3] / "examples/assistant.yaml"
NOTES = "assistant.memory={chroma_dir: notes, limit: 200, characters: 1000}"


def plan(*overrides):
    return ullage.plan(ullage.load(FILE, overrides), advice=False)


def of(found, role):
    return next(each for each in found.stored if role in each.what)


def test_every_checkpoint_lies_on_disk_once_whatever_it_is_loaded_as():
    found = plan()
    for name in ("router", "voice", "philosopher"):
        model = open_model(found.workload.roles[name].model)
        assert of(found, name).bytes.expected == 2 * model.parameters
    four = plan("roles.voice.precision=nf4", "roles.pragmatist.model=meta-llama/Llama-3.1-70B-Instruct")
    assert of(four, "voice") == of(found, "voice")._replace(what="checkpoint of pragmatist, voice")
    assert len(four.stored) == len(found.stored) - 1
    tiny = open_model("ullage:tiny")
    held = ullage.plan({"kind": "extract", "roles": {"model": "ullage:tiny"}}, "cpu", advice=False)
    assert [(each.bytes.expected, each.basis) for each in held.stored] == [(tiny.checkpoint.bytes, "exact")]


def test_notes_are_said_at_their_limit_a_user():
    found = plan(NOTES)
    notes = of(found, "notes")
    width = open_model(found.workload.roles["router"].model).hidden_size
    assert (notes.bytes, notes.each) == (notes_bytes(200, 1000, width), "user")
    words = of(plan("assistant.memory={chroma_dir: notes, embedder: words}"), "notes")
    assert "each with 256 numbers" in words.note
    shown = " ".join(f"{found:details}".split())
    assert f"notes in chroma_dir, {notes.bytes.expected / 2**20:,.1f} MiB" in shown
    assert "on disk: checkpoints, 388.56 GiB (router 22.70," in shown


@pytest.mark.parametrize(
    ("unit", "width", "added"), [("a", 64, 60), ("a", 1024, 60), ("a", 64, 130), ("字", 64, 60)]
)
@pytest.mark.long
def test_a_store_at_its_limit_takes_no_more_than_that(tmp_path, unit, width, added):
    pytest.importorskip("chromadb")
    import numpy as np

    from ullage.kinds.assistant.memory.chroma_memory import open_chroma
    from ullage.kinds.assistant.memory.embedder import Embedder
    from ullage.kinds.assistant.memory.memory import Limits, Note

    chance = np.random.default_rng(0)

    def embed(texts):
        made = chance.standard_normal((len(texts), width)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    limit, characters = 50, 2000
    most = 0
    with open_chroma(
        tmp_path / "notes", Embedder("m", "fp32", embed, embed), Limits(limit, characters)
    ) as memory:
        for number in range(added):
            memory.add("ada", Note(str(number), (f"{number} " + unit * characters)[:characters]))
            files = [each for each in (tmp_path / "notes").rglob("*") if each.is_file()]
            most = max(most, sum(each.stat().st_size for each in files))
    expected = notes_bytes(limit, characters, width)
    assert most <= expected.high
    if unit == "a":
        assert 0.5 * expected.expected < most


def test_a_disk_that_is_too_small_is_warned_of():
    assert not plan("budget.disk=500GB", NOTES).warnings
    (warning,) = plan("budget.disk=400GB", NOTES).warnings
    assert warning.startswith(
        "budget.disk is 400GB; checkpoints and what is kept beside them take 388.58 GiB"
    )


def test_host_memory_holds_those_who_wait_and_what_loads():
    found = plan("budget.host_memory=200GB")
    (host,) = (device for device in found.devices if device.name == "host")
    assert host.verdict == "does not fit"
    waiting = [
        item
        for item in found.bill.items
        if (item.device, item.component, item.phase) == ("host", "weights", "artist load")
    ]
    assert {item.role for item in waiting} == {"pragmatist", "philosopher", "perception"}
    for role in ("pragmatist", "philosopher"):
        size = sum(item.bytes.expected for item in waiting if item.role == role)
        assert size == 2 * open_model(found.workload.roles[role].model).parameters
    loads = [item for item in found.bill.items if (item.device, item.component) == ("host", "load")]
    assert "artist" in {item.role for item in loads}


def test_it_is_in_the_document_and_read_back():
    found = plan(NOTES)
    document = json.loads(json.dumps(plan_document(found)))
    jsonschema.validate(document, ullage.document_schema("plan"))
    assert plan_of(document, "plan.json", Path()).stored == found.stored
