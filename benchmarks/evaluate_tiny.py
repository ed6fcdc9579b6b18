"""The example evaluation of the bundled model, in numbers: results/evaluate_tiny.json.

    python benchmarks/evaluate_tiny.py

500 questions of the small world, a third of them harder than anything the model was trained on: how often its
judgement agrees with exact match, and how well each uncertainty tells its mistakes.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import result_file

import ullage

ROOT = Path(__file__).parent.parent


def measure(folder: Path) -> dict[str, Any]:
    (folder / "examples").mkdir()
    file = folder / "examples" / "evaluate-tiny.yaml"
    file.write_text((ROOT / "examples" / "evaluate-tiny.yaml").read_text())
    ullage.sample("answer", folder / ".demo" / "questions.jsonl", count=334)
    ullage.sample("answer-hard", folder / ".demo" / "hard.jsonl", count=166)
    run, record = ullage.run(ullage.load(file), folder / "run", base=file.parent)
    found = json.loads((run / "scores.json").read_text())
    agreed = next(one for one in found["agreement"] if one["labels"] == ["judge", "exact_match"])
    scores = {
        row["uncertainty"]: {one["name"]: one for one in row["scores"]}["AUROC"]
        for row in found["scores"]
        if row["label"] == "exact_match"
    }
    return {
        "seconds": round(record.seconds, 1),
        "labels": found["labels"],
        "judge_agrees_with_exact_match": agreed["agree"],
        "answers_both_decide_on": agreed["answers"],
        "kappa": agreed["kappa"],
        "auroc_for_mistakes": {
            name: {key: one[key] for key in ("value", "low", "high")} for name, one in scores.items()
        },
    }


def main() -> None:
    made = result_file.start("evaluate_tiny")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        figures = measure(Path(name))
    made.write(figures)


if __name__ == "__main__":
    main()
