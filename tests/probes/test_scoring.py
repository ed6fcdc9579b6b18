"""Probes that read a model while it writes: the same scores as of stored states, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ullage
from ullage.errors import SpecError, UllageError
from ullage.probes.card import Card, save_probe
from ullage.probes.probe import Probe, Reading

TOKENS = Reading()
SITES = ("blocks.2.hook_resid_post", "blocks.4.hook_resid_post")


def probe_of(form: str, sites: tuple[str, ...], reading: Reading = TOKENS, seed: int = 0) -> Probe:
    chance = np.random.default_rng(seed)
    width = len(sites) * hidden()
    tensors = {"weight": chance.normal(size=7 if form == "mlp" else width)}
    if form == "mlp":
        tensors |= {"inner": chance.normal(size=(7, width)), "inner_bias": chance.normal(size=7)}
    if form == "attention":
        tensors["query"] = chance.normal(size=width) / width
    mean, scale = chance.normal(size=width), chance.uniform(0.5, 2.0, size=width)
    return Probe(form, sites, hidden(), mean, scale, tensors, 0.3, reading)  # type: ignore[arg-type]


def hidden() -> int:
    from ullage.facts.architecture import Architecture

    model = ullage.model("ullage:tiny")
    assert isinstance(model, Architecture)
    return model.hidden_size


PROBES = {
    "line": probe_of("linear", SITES[:1]),
    "both": probe_of("linear", SITES, Reading(aggregation="max"), 1),
    "net": probe_of("mlp", SITES[1:], Reading(rows="mean"), 2),
    "heard": probe_of("attention", SITES[:1], Reading(aggregation="attention"), 3),
    "end": probe_of("linear", SITES[1:], Reading(rows="last", aggregation="last"), 4),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Probes, questions, and a run of them that keeps the same states too."""
    path = tmp_path_factory.mktemp("scored")
    for name, probe in PROBES.items():
        (path / name).mkdir()
        save_probe(probe, Card("none"), path / name)
    ullage.sample("answer", path / "questions.jsonl", count=9)
    ullage.run(ullage.load(workload()), path / "run", gpus="cpu", base=path, quiet=True)
    return path


def workload(**more: object) -> dict[str, object]:
    return {
        "kind": "evaluate",
        "roles": {"generator": {"model": "ullage:tiny", "batch": 4}},
        "probes": {name: name for name in PROBES},
        "prompt_tokens": 384,
        "new_tokens": 3,
        "examples": 9,
        "captures": [{"sites": list(SITES), "keep": "disk"}],
        "evaluate": {
            "input": "questions.jsonl",
            "fields": {"references": "truth", "context": "context"},
            "style": "long",
        },
    } | more


def test_scores_while_writing_are_those_of_stored_states(folder: Path) -> None:
    """Of every token that was written, the last one included; by each form and reading."""
    store = ullage.open_states(folder / "run")
    stored = {store.rows[place]["index"]: store[place] for place in range(len(store))}
    rows = [json.loads(line) for line in (folder / "run/greedy.jsonl").read_text().splitlines()]
    assert len(rows) == 9
    assert any(row["stop"] == "length" for row in rows)
    for row in rows:
        states = {site: np.asarray(each.double()) for site, each in stored[row["index"]].items()}
        begin, end = row["prompt_tokens"], row["prompt_tokens"] + len(row["tokens"])
        assert len(states[SITES[0]]) >= end
        for name, probe in PROBES.items():
            mine = np.concatenate([states[site] for site in probe.sites], 1)[begin:end]
            reading = probe.reading
            told = row["probes"][name]
            np.testing.assert_allclose(told["tokens"], probe.tokens(mine), rtol=1e-4, atol=1e-3)
            kept = mine[-1:] if reading.rows == "last" else mine
            kept = mine.mean(0, keepdims=True) if reading.rows == "mean" else kept
            (whole,) = probe.dialogues(kept, np.zeros(1, np.int64))
            assert told["score"] == pytest.approx(whole, rel=1e-4, abs=1e-3)


def test_a_plan_bills_probes_and_a_run_keeps_inside_it(folder: Path) -> None:
    plan = ullage.plan(workload(), gpus="cpu", base=folder)
    billed = {item.note for item in plan.bill.items if item.component == "probes"}
    assert {"weights at hook_resid_post", "scores"} <= billed
    bare = ullage.plan(workload(probes={}), gpus="cpu", base=folder)
    more = plan.devices[0].peak.live.expected - bare.devices[0].peak.live.expected
    assert 0 < more < 2**20
    found = ullage.verify(folder / "run")
    assert found.holds
    assert "probes" in {one.what for one in found.comparisons}


def test_what_cannot_be_read_is_refused_in_a_line(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"probes\.line: .*no probe here"):
        ullage.plan(workload(probes={"line": "nowhere"}), gpus="cpu", base=folder)
    narrow = Probe("linear", SITES[:1], 8, np.zeros(8), np.ones(8), {"weight": np.ones(8)}, 0.0, Reading())
    (folder / "narrow").mkdir(exist_ok=True)
    save_probe(narrow, Card("none"), folder / "narrow")
    with pytest.raises(SpecError, match="reads states of 8 values"):
        ullage.plan(workload(probes={"line": "narrow"}), gpus="cpu", base=folder)
    (folder / "far").mkdir(exist_ok=True)
    save_probe(probe_of("linear", ("blocks.77.hook_resid_post",)), Card("none"), folder / "far")
    with pytest.raises(SpecError, match=r"probes\.deep: .*matches nothing"):
        ullage.plan(workload(probes={"deep": "far"}), gpus="cpu", base=folder)
    served = {"generator": {"model": "ullage:tiny", "engine": "vllm"}}
    with pytest.raises(SpecError, match="gives no states"):
        ullage.plan(workload(roles=served, captures=[]), gpus="1xA100-80GB", base=folder)
    with pytest.raises(UllageError, match="reads no probes"):
        ullage.plan(
            {
                "kind": "pii",
                "roles": {"verifier": {"model": "ullage:tiny"}},
                "probes": {"line": "line"},
                "pii": {"input": "questions.jsonl"},
            },
            gpus="cpu",
            base=folder,
        )
