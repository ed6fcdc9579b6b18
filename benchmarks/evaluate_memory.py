"""One model in memory at a time, measured: results/evaluate_memory.json.

    python benchmarks/evaluate_memory.py

A small generator and a judge several times its size run one after the other; beside it a run in which the
judge alone does its part on the same answers, replayed from a script. Peaks are of live tensors.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models

import ullage

QUESTIONS = 64


def workload(generator: dict[str, Any], schedule: str) -> dict[str, Any]:
    return {
        "kind": "evaluate",
        "schedule": schedule,
        "roles": {"generator": generator, "judge": {"model": "judge", "batch": 8}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 96,
        "new_tokens": 24,
        "examples": QUESTIONS,
        "evaluate": {"input": "questions.jsonl", "samples": 2},
    }


def peak(record: Any) -> int:
    return max(measured.live for measured in record.measured)


def measure(folder: Path) -> dict[str, Any]:
    small_models.save(folder / "generator", "llama", chat=True, hidden=128, layers=4)
    small_models.save(folder / "judge", "llama", chat=True, hidden=384, layers=8)
    texts = small_models.texts(QUESTIONS, longest=12)
    rows = [{"id": f"q{n}", "question": text, "references": ["cat"]} for n, text in enumerate(texts)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(name: str, generator: dict[str, Any], schedule: str) -> Any:
        file = folder / f"{name}.json"
        file.write_text(json.dumps(workload(generator, schedule)))
        return ullage.run(ullage.load(file), folder / name, base=folder)[1]

    local = {"model": "generator", "batch": 8}
    sequential = run("sequential", local, "sequential")
    together = run("simultaneous", local, "simultaneous")
    said = [json.loads(line) for line in (folder / "sequential" / "greedy.jsonl").open()]
    script = [{"contains": texts[row["index"]], "text": row["text"]} for row in said]
    (folder / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in script))
    alone = run("alone", {"model": "script.jsonl", "engine": "scripted"}, "sequential")
    freed = sequential.outcome["freed"][0]
    return {
        "sequential_peak": peak(sequential),
        "simultaneous_peak": peak(together),
        "judge_alone_peak": peak(alone),
        "sequential_over_larger_alone": peak(sequential) / peak(alone),
        "alive_before_freeing_generator": freed["before"]["cpu"],
        "alive_after": freed["after"]["cpu"],
    }


def main() -> None:
    made = result_file.start("evaluate_memory")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        figures = measure(Path(name))
    claims = {
        "one after the other needs no more than the larger alone": figures["sequential_over_larger_alone"]
        <= 1.01,
        "nothing of a freed generator stays": figures["alive_after"] == 0,
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
