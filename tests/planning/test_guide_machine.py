"""The guide's machine in docs/assistant.md: what does not fit there, and three settings that do."""

import re
import shlex
from pathlib import Path

import pytest
import small_families

import ullage
from ullage.reports.latency_page import latency_tables
from ullage.units import GIB, gib, parse_bytes

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs/assistant.md").read_text()
MACHINE = DOC[DOC.index("## The guide's machine") : DOC.index("## What is kept")]
SETTINGS = dict(re.findall(r"### (.*?)\n.*?(    ullage plan .*?)\n\n", MACHINE, re.DOTALL))
PARTS = dict(zip(SETTINGS, MACHINE.split("\n### ")[1:], strict=True))
STATED = {"64GB", "128GB"}
"""Host memory of the guide's machine, at least and at best."""


def planned(name):
    """The plan of a setting, as it stands in the page to be pasted."""
    words = shlex.split(SETTINGS[name].replace("\\\n", " "))
    assert words[:3] == ["ullage", "plan", "examples/assistant.yaml"]
    overrides = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    assert len(words) == 3 + 2 * len(overrides)
    return ullage.plan(ullage.load(ROOT / words[2], overrides), advice=False)


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def test_the_file_as_the_guide_has_it_does_not_fit_and_the_page_says_by_how_much():
    plan = ullage.plan(ROOT / "examples/assistant.yaml", advice=False)
    assert plan.verdict == "does not fit"
    for name, role in plan.workload.roles.items():
        weights = {}
        for item in plan.bill.items:
            if item.role == name and item.component == "weights":
                weights[item.phase] = weights.get(item.phase, 0) + item.bytes.expected
        size = max(weights.values())
        shown = re.search(
            rf"\n\| {name}[^|]*\| {re.escape(role.model)} \| ([^|]*) GB \| (.*) \| (.*) \|", MACHINE
        )
        assert shown[2] == f"{size / 1e9:.1f} GB"
        assert shown[3] == gib(size)
        assert size / 1e9 > 1.8 * float(shown[1].split("-")[-1])
    cards = [device for device in plan.devices if device.name.startswith("gpu:")]
    (host,) = (device for device in plan.devices if device.name == "host")
    assert f"{gib(sum(card.usable for card in cards))} that can be used" in MACHINE
    assert all(card.peak_phase.startswith("philosopher") for card in cards)
    assert f"up to {gib(sum(card.peak.device.high for card in cards))} are asked" in " ".join(MACHINE.split())
    assert f"{gib(host.peak.device.high)} of host memory" in MACHINE


def test_there_are_three_settings():
    assert len(SETTINGS) == 3


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_fits_with_the_host_memory_that_it_states(name):
    plan = planned(name)
    assert plan.verdict == "fits"
    assert plan.workload.budget.host_memory in STATED
    shown = []
    for device in plan.devices:
        if device.name != "disk":
            assert device.peak.device.high <= device.usable
            shown.append(f"{device.name} {device.peak.device.high / GIB:.2f} of {gib(device.usable)}")
    assert f"At most: {', '.join(shown)}." in PARTS[name]
    assert plan.gpus.name == "2x RTX A6000"
    offered = sum(
        parse_bytes(role.max_memory.get("cpu", 0))
        for role in plan.workload.roles.values()
        if role.max_memory is not None and role.residency != "disk"
    )
    assert offered <= parse_bytes(plan.workload.budget.host_memory)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_one_that_the_loader_carries_out(name):
    plan = planned(name)
    for each, role in plan.roles.items():
        places = set(role.placement.device_map.values())
        scheme = role.precision.scheme
        if scheme is not None:
            assert all(place.startswith("gpu:") for place in places), each
        if each == "philosopher" and "Jamba" in plan.workload.roles[each].model:
            assert role.precision.storage == "fp16"
        if plan.workload.roles[each].engine == "diffusers":
            assert len(places) == 1
    # Its own code is no part of transformers.
    assert plan.workload.roles["pragmatist"].trust_remote_code


@pytest.mark.parametrize("name", SETTINGS)
def test_the_page_has_each_settings_latency_and_requests_a_day(name):
    _, whole, rates = latency_tables(planned(name).latency)
    days = {each[0]: each[-2:] for each in rates.rows}
    seconds = ("resident, s", "switched, s", "first of all, s")
    titles = ("to", *seconds, "a day, resident", "a day, switched")
    rows = [row(*titles), "|---" * len(titles) + "|"]
    rows += [row(*each, *days[each[0]]) for each in whole.rows]
    rows.append(row("all equally often", "", "", "", *days["all equally often"]))
    table = "\n".join(rows)
    assert table in PARTS[name], table  # to be put there


def test_what_is_said_of_the_voices_tokens():
    plan = planned(next(iter(SETTINGS)))
    time = next(time for time in plan.times if time.phase.startswith("voice decode"))
    assert f"takes {time.seconds.expected / 512:.2f} s a token" in " ".join(MACHINE.split())


@pytest.mark.parametrize("family", ["gemma3_text", "llama", "qwen2"])
def test_those_in_four_bits_load_so(family, tmp_path):
    """Small models of the families that the settings quantize."""
    import torch

    small = small_families.build(small_families.config_of(family))
    small.model.save_pretrained(tmp_path)
    given = {"model": str(tmp_path), "precision": "nf4"}
    loaded = loaded_as(given)
    kinds = {type(module).__name__ for module in loaded.model.modules()}
    assert "Linear4bit" in kinds
    assert torch.isfinite(loaded.model(torch.tensor([[5, 6, 7]])).logits).all()


def test_jamba_waits_in_16_bits_and_gives_the_same(tmp_path):
    import torch

    small = small_families.build(small_families.config_of("jamba"))
    small.model.save_pretrained(tmp_path)
    ids = torch.tensor([[5, 6, 7, 8]])
    given = {"model": str(tmp_path), "precision": "bf16"}
    whole = loaded_as(given)
    layers = len(small.architecture.layers)
    waits = {f"model.layers.{at}": "disk" if at % 2 else "cpu" for at in range(layers)}
    ends = dict.fromkeys(("model.embed_tokens", "model.final_layernorm", "lm_head"), "cpu")
    parted = loaded_as(given | {"device_map": ends | waits})
    assert parted.offloaded
    with torch.inference_mode():
        assert torch.equal(parted.model(ids).logits, whole.model(ids).logits)


def loaded_as(given):
    from ullage.runtime.loader import load_model

    work = {"kind": "extract", "prompt_tokens": 8, "new_tokens": 2, "examples": 1}
    plan = ullage.plan({**work, "roles": {"model": given}}, "cpu", advice=False)
    return load_model(plan.workload.roles["model"], plan.roles["model"])
