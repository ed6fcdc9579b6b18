"""What unusual situations are played with: small workloads of every kind, and models that were changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unusual_runs import PLAINLY, Runner, Seen, Way

import ullage
from ullage.facts.bundled import tiny_path

RUN = ("extract", "evaluate", "pii")
PLAN = "plan"
SYSTEM = "Verify personal data. Type: {type}. Reply {verdicts}."
RESULTS: Mapping[str, tuple[str, ...]] = {
    "extract": ("states/index.json",),
    "evaluate": ("greedy.jsonl", "judge.jsonl"),
    "pii": ("verified.jsonl", "failed.jsonl", "rejects.jsonl"),
}
"""What a run of each kind is for, by its files in the run's folder."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A folder of its own for one situation, and the commands that are run in it."""

    folder: Path
    runner: Runner

    def ullage(self, *arguments: str, way: Way = PLAINLY) -> Seen:
        return self.runner.run(self.folder, *arguments, way=way)

    def workload(self, kind: str, count: int = 4, model: str = "ullage:tiny", **changes: Any) -> str:
        """A small workload of `kind` with its data; its file's name. `changes` are of its own section."""
        task = "verify" if kind == "pii" else "answer"
        if not (self.folder / "data.jsonl").exists():
            ullage.sample(task, self.folder / "data.jsonl", count=count)
        body = BODIES[kind](model)
        body["examples"] = count
        section = body.get(kind, {})
        body.update({key: changes.pop(key) for key in list(changes) if key in TOP})
        section.update(changes)
        (self.folder / "work.json").write_text(json.dumps(body))
        return "work.json"

    def model(self, change: Callable[[Path], None]) -> str:
        """The bundled model, changed; its folder's name."""
        place = self.folder / "model"
        shutil.copytree(tiny_path(), place)
        (place / "chat_template.jinja").unlink(missing_ok=True)
        shutil.copy(tiny_path() / "chat_template.jinja", place)
        change(place)
        return "./model"

    def run(self, kind: str, way: Way = PLAINLY, **changes: Any) -> Seen:
        """A run of a small workload into `out`."""
        return self.ullage("run", self.workload(kind, **changes), "--out", "out", "--quiet", way=way)

    def lost(self, kind: str, run: str = "out") -> str:
        """What of a finished run is missing."""
        names = (*RESULTS[kind], "record.json")
        gone = [name for name in names if not (self.folder / run / name).exists()]
        return f"lost: {', '.join(gone)}" if gone else ""

    def results(self, kind: str, run: str = "out") -> dict[str, bytes]:
        """What a run is for, byte for byte: states too."""
        place = self.folder / run
        found = {name: (place / name).read_bytes() for name in RESULTS[kind] if (place / name).exists()}
        if kind == "extract":
            found = {str(one.relative_to(place)): one.read_bytes() for one in sorted(place.glob("states/*"))}
        return found


TOP = ("roles", "captures", "budget", "batch", "prompt_tokens", "new_tokens", "name", "memory", "schedule")


def _extract(model: str) -> dict[str, Any]:
    return {
        "kind": "extract",
        "roles": {"model": {"model": model}},
        "budget": {"gpus": "cpu"},
        "batch": 2,
        "prompt_tokens": 640,
        "new_tokens": 3,
        "captures": [{"sites": ["blocks.*.hook_resid_post"], "precision": "fp32"}],
        "extract": {"input": "data.jsonl", "generate": True, "shard": "1MiB"},
    }


def _evaluate(model: str) -> dict[str, Any]:
    return {
        "kind": "evaluate",
        "roles": {"generator": {"model": model}, "judge": {"model": model, "prompt_tokens": 700}},
        "budget": {"gpus": "cpu"},
        "batch": 2,
        "prompt_tokens": 640,
        "new_tokens": 3,
        "evaluate": {
            "input": "data.jsonl",
            "fields": {"references": "truth", "context": "context"},
            "template": "{context} {question}",
        },
    }


def _pii(model: str) -> dict[str, Any]:
    return {
        "kind": "pii",
        "roles": {"verifier": {"model": model}},
        "budget": {"gpus": "cpu"},
        "batch": 2,
        "prompt_tokens": 96,
        "new_tokens": 0,
        "pii": {"input": "data.jsonl", "system": SYSTEM, "prefix_tokens": 24, "least_mass": 0.0},
    }


BODIES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "extract": _extract,
    "evaluate": _evaluate,
    "pii": _pii,
}

PII = (
    "--disable-quantization",
    "--gpus",
    "cpu",
    "--system",
    SYSTEM,
    "--prompt-tokens",
    "96",
    "--new-tokens",
    "0",
)


@dataclass(frozen=True, slots=True)
class Situation:
    """`attempt` gives what was seen and what is wrong with it beside what no command may do; `codes` are exit
    codes that are right. `root` is who alone can play it, `large` needs some hundred megabytes."""

    name: str
    kind: str
    expected: str
    attempt: Callable[[Stage], tuple[Seen, str]]
    codes: tuple[int, ...] = (0,)
    root: bool = False
    large: bool = False


def says(seen: Seen, *words: str) -> str:
    """What it should have said and did not."""
    missing = [word for word in words if word not in seen.said]
    return f"does not say {missing[0]!r}: {seen.err.strip()[:300]}" if missing else ""


def one_line(seen: Seen, *words: str, mistakes: int = 1) -> str:
    """Whether each of so many mistakes is one line, and says what it should."""
    lines = [line for line in seen.err.splitlines() if line.startswith("ullage: error")]
    if len(lines) != mistakes:
        return f"{len(lines)} lines of errors: {seen.err.strip()[:300]}"
    return says(seen, *words)
