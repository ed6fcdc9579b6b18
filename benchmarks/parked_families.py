"""Whether a model that was parked, dropped and brought back is the one a fresh load gives, family by family.

    python benchmarks/parked_families.py [FAMILY ...]  # prints, and writes results/parked_families.json

A small model of every family and variant that transformers builds is saved; its logits and what greedy
decoding writes are those of a fresh `from_pretrained`, bit for bit, after it was parked, dropped and parked
again: where device and host are one memory, and where tensors are copied to a host arena and back (on the
processor too, so that it needs no card). `kept` says whether a drop kept the modules, or the whole model went
through the loader again because some tensor is not the checkpoint's as it stands there.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_file
import small_families
import torch
import transformers

from ullage.memory.weights.parking import Parking
from ullage.runtime.loader import Loaded
from ullage.runtime.parking import ModelWeights

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])
MOVES = ("park", "drop", "park")


def said(model: Any) -> list[Any]:
    """Logits (or an encoder's states), and the ids that greedy decoding gives."""
    with torch.inference_mode():
        out = model(IDS)
        writes = "logits" in out and model.can_generate()
        written = [model.generate(IDS, do_sample=False, max_new_tokens=4, pad_token_id=0)] if writes else []
        return [(out["logits"] if "logits" in out else out[0]).clone(), *written]


def same(one: list[Any], other: list[Any]) -> bool:
    """Bit for bit."""
    pairs = zip(one, other, strict=True)
    return all(
        torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)) for a, b in pairs
    )


def configs(names: list[str]) -> Iterator[tuple[str, Any]]:
    """Small configs with their names; variants are numbered."""
    for family in names:
        yield family, small_families.config_of(family)
        if family in small_families.VARIANTS:
            for number, config in enumerate(small_families.variants_of(family), 1):
                yield f"{family} {number}", config


def held(folder: str, kind: Any, one_memory: bool) -> tuple[bool, bool]:
    """(whether every answer was the fresh model's, whether a drop kept the modules)."""

    def load() -> Loaded:
        model = kind.from_pretrained(folder).eval()
        return Loaded(model, None, {"": "cpu"}, "cpu", None, False)  # type: ignore[arg-type]

    fresh = said(load().model)
    weights = ModelWeights(load, Parking({"cpu": 1}, {"cpu": 1}, 1), Path(folder), one_memory)
    first = weights.bring(lambda: False).model
    equal = [same(said(first), fresh)]
    for move in MOVES:
        getattr(weights, move)()
        equal.append(same(said(weights.bring(lambda: False).model), fresh))
    return all(equal), weights.bring(lambda: False).model is first


def row(name: str, config: Any) -> dict[str, Any]:
    """What came of one family."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            model = small_families.build(config).model
            model.save_pretrained(folder)
            said(type(model).from_pretrained(folder).eval())
        except Exception as error:
            return {"family": name, "built": False, "said": f"{type(error).__name__}: {error}"[:200]}
        shared, kept = held(folder, type(model), True)
        copied, _ = held(folder, type(model), False)
        return {"family": name, "built": True, "shared": shared, "copied": copied, "kept": kept}


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = sys.argv[1:] or [*small_families.FAMILIES, *small_families.ENCODERS]
    made = result_file.start("parked_families")
    rows = []
    for name, config in configs(names):
        rows.append(row(name, config))
        print(rows[-1], flush=True)
    built = [each for each in rows if each["built"]]
    figures = {
        "families": len(rows),
        "built": len(built),
        "shared": sum(each["shared"] for each in built),
        "copied": sum(each["copied"] for each in built),
        "kept": sum(each["kept"] for each in built),
        "loaded_again": [each["family"] for each in built if not each["kept"]],
        "rows": rows,
    }
    claims = {
        "every family is bit for bit what a fresh load gives": figures["shared"] == len(built),
        "where tensors are copied too": figures["copied"] == len(built),
        "every family is built": len(built) == len(rows),
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
