"""Plans on cards that nobody knows, on parts of cards and on devices that are none."""

import json
import sys

import jsonschema
import pytest

from ullage import api, document_schema
from ullage.cli.main import main
from ullage.planning.document import plan_document
from ullage.planning.reading import read_plan
from ullage.units import GIB

MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
FILE = """\
kind: pii
roles: {verifier: {model: Qwen/Qwen2.5-0.5B-Instruct}}
pii: {input: texts.jsonl}
"""


def estimate(gpus, **fields):
    return api.estimate_model(MODEL, gpus, new_tokens=16, **fields)


def test_a_described_card_is_planned_as_the_known_one_it_describes():
    known, described = estimate("RTX 3090"), estimate("(24GiB, 936.2GB/s, 71TFLOPS, sm86, PCIe 4.0 x16)")
    assert described.bill == known.bill
    assert described.times == known.times
    assert not any("not told" in note for note in described.notes)


def test_what_is_not_told_of_a_card_is_said_and_no_time_is_made_up():
    plan = estimate("(24GiB)")
    assert all(time.seconds is None for time in plan.times if time.phase != "model load")
    assert plan.cost is None
    assert plan.roles["model"].precision.storage == "fp32"
    assert "sm86" in plan.roles["model"].precision.reason
    said = "(24GiB): not told, and so not known: bandwidth, operations per second, bus, capability"
    assert said in plan.notes
    assert estimate("(24GiB)", precision="bf16").roles["model"].precision.compute == "bf16"


def test_a_plan_on_described_cards_is_written_and_read_back_whole(tmp_path):
    file = tmp_path / "w.yaml"
    cards = "cards: {own: {memory: 24GiB, capability: sm86, price: 0.5}}\n"
    file.write_text(FILE + cards + 'budget: {gpus: "own + (16GiB, 300GB/s, sm75) + A100"}\n')
    plan = api.plan(api.load(file), base=tmp_path, advice=False)
    document = json.loads(json.dumps(plan_document(plan)))
    jsonschema.validate(document, document_schema("plan"))
    assert read_plan(document, "it", api.sections(), lambda name: plan.models[name], tmp_path) == plan
    assert [device["usable_basis"] for device in document["devices"][:3]] == [
        "derived",
        "derived",
        "measured",
    ]


def test_a_verdict_counts_on_the_low_end_and_the_page_says_so(capsys, monkeypatch):
    plan = estimate("H100-NVL-94GB")
    assert plan.devices[0].usable == plan.gpus.gpus[0].usable.low < plan.gpus.gpus[0].usable.high
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit):
        main(["estimate", MODEL, "--gpus", "H100-NVL-94GB", "--no-advice", "--details"])
    assert "GiB, the low end counts; derived: the driver's 95,830 MiB less" in capsys.readouterr().out


def test_simulated_devices_hold_tensors_alone_and_are_placed_on_like_cards():
    plan = estimate("2x(cpu, 2GiB)")
    assert [device.name for device in plan.devices[:2]] == ["gpu:0", "gpu:1"]
    assert not any(item.component == "context" and item.bytes.high for item in plan.bill.items)
    assert plan.roles["model"].precision.compute == "fp32"
    assert any("simulated" in note for note in plan.notes)
    assert estimate("2x(cpu, 24MiB)").verdict == "does not fit"


def test_what_is_planned_alone_is_not_run(tmp_path, capsys):
    file = tmp_path / "w.yaml"
    file.write_text(FILE)
    (tmp_path / "texts.jsonl").write_text("{}\n")
    before = "torch" in sys.modules
    with pytest.raises(SystemExit) as ended:
        main(["run", str(file), "--gpus", "M2 Max 64GB", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert "Mac's GPU" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert ("torch" in sys.modules) == before


def test_a_macs_memory_is_its_processors_too():
    plan = estimate("(apple, 8GiB)", max_memory={"0": "400MiB", "cpu": "6GiB"})
    assert [device.name for device in plan.devices] == ["gpu:0"]
    whole = estimate("(apple, 8GiB)")
    weights = sum(item.bytes.low for item in whole.bill.items if item.component == "weights")
    assert plan.devices[0].peak.device.high >= weights / len(whole.phases)
    assert plan.devices[0].usable == int(8 * GIB * 2 / 3)


def test_a_part_of_a_card_holds_less_than_the_card():
    part, whole = estimate("A100-80GB MIG 1g.10gb"), estimate("A100-80GB")
    assert part.bill == whole.bill
    assert part.devices[0].usable == 9.5 * GIB
