"""An assistant's runs killed at random moments, taken up again: no answer lost or given twice, no note lost.

    python benchmarks/assistant_faults.py [--kills 20]      # writes results/assistant_faults.json

The assistant of examples/small/assistant-tiny.yaml, with a memory: requests of six users, some in several
conversations, with pictures in and out. Each run has a memory of its own, gets SIGKILL at a random moment, is
looked at, and is resumed by `ullage run --resume`, possibly killed again. After every kill: the database of
notes is whole (SQLite's own check); every request of a round that the journal names has its note there, with
its own user. At the end answers and pictures equal those of a run left alone byte for byte, every request has
one answer, and the notes are the same, each once. Not compared is what is time: the seconds in the journal,
record.json, results.json and report.html, the timeline, and the order in which specialists were asked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import result_file
import yaml
from killing import kill_runs, kills_hold

from ullage.engines.small import make_small
from ullage.kinds.assistant.memory.chroma_memory import OWN, name_of
from ullage.kinds.assistant.requests import Request, read_requests
from ullage.records.journal import read_journal

ROOT: Final = Path(__file__).resolve().parents[1]
EXAMPLE: Final = ROOT / "examples/small/assistant-tiny.yaml"
USERS: Final = ("ada", "ben", "cleo", "Дора", "ada ", "")
ASKED: Final = (
    "How do I repair a lamp?",
    "Is it right to read a private letter?",
    "Paint a green boat for me.",
    "How can I sell my boat?",
    "Find the records of Simon Lang.",
    "My cat is called Moss.",
    "What is on this picture?",
)
KEPT: Final = ("answers.jsonl", "pictures.jsonl")
Note = tuple[str, str]
"""A collection and a text."""


def write_requests(folder: Path, count: int) -> None:
    """Of every user in turn; of every third one in another conversation; some with a picture."""
    shutil.copy(EXAMPLE.parent / "boat.png", folder)
    rows = []
    for number in range(count):
        user, text = USERS[number % len(USERS)], ASKED[number * 5 % len(ASKED)]
        row = {"id": f"r{number}", "user": user, "text": text, "conversation": f"{user}{number % 3}"}
        row |= {"image": "boat.png"} if "picture" in text else {}
        rows.append({name: value for name, value in row.items() if value})
    (folder / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_workload(folder: Path, name: str) -> Path:
    """The example with a memory of this run's own."""
    body = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    for role in ("artist", "perception"):
        body["roles"][role]["model"] = str(folder / role)
    body["new_tokens"] = 12
    body["assistant"] |= {"input": "requests.jsonl", "memory": {"chroma_dir": f"notes-{name}", "found": 2}}
    file = folder / f"{name}.json"
    file.write_text(json.dumps(body))
    return file


def notes_in(folder: Path) -> Counter[Note]:
    """Every note in a memory's folder, with its collection's name; read without Chroma."""
    if not (folder / "chroma.sqlite3").exists():
        return Counter()
    database = sqlite3.connect(folder / "chroma.sqlite3")
    try:
        (whole,) = database.execute("PRAGMA integrity_check").fetchone()
        assert whole == "ok", f"{folder}: {whole}"
        rows = database.execute(
            "SELECT c.name, m.string_value FROM embedding_metadata m JOIN embeddings e ON e.id = m.id "
            "JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection "
            "WHERE m.key = 'text'"
        )
        return Counter((str(name), str(text)) for name, text in rows)
    finally:
        database.close()


class Looking:
    """What is seen of runs that were killed; `lost` are notes of rounds that were kept."""

    def __init__(self, folder: Path, requests: list[Request]) -> None:
        self._folder, self._requests = folder, {each.line: each for each in requests}
        self.kept = self.lost = 0

    def __call__(self, run: Path) -> None:
        there = notes_in(self._folder / f"notes-{run.name}")
        journal = run / "journal.jsonl"
        for entry in read_journal(journal) if journal.exists() else ():
            for line in entry.get("items", ()):  # type: ignore[attr-defined]
                request = self._requests[line]
                self.kept += 1
                self.lost += (OWN + name_of(request.owner), request.text) not in there


def ends(folder: Path, requests: list[Request], whole: Counter[Note]) -> dict[str, int]:
    """Of every run that was killed: requests without an answer, with several, and notes that differ."""
    found = {"unanswered": 0, "answered_twice": 0, "other_notes": 0}
    for run in sorted(folder.glob("run-*/")):
        rows = map(json.loads, (run / "answers.jsonl").read_text(encoding="utf-8").splitlines())
        ids = Counter(row["id"] for row in rows)
        found["unanswered"] += sum(each.id not in ids for each in requests)
        found["answered_twice"] += sum(count - 1 for count in ids.values())
        there = notes_in(folder / f"notes-{run.name}")
        found["other_notes"] += ((there - whole) + (whole - there)).total()
    return found


def contents(run: Path) -> dict[str, bytes]:
    """Everything a run stores but times."""
    return {name: (run / name).read_bytes() for name in KEPT}


def measure(folder: Path, kills: int, count: int) -> dict[str, Any]:
    """Every figure; `folder` is empty."""
    for part in ("artist", "perception"):
        make_small(part, folder / part)
    write_requests(folder, count)
    requests = read_requests(folder / "requests.jsonl", folder)
    looking = Looking(folder, requests)
    figures = kill_runs(lambda name: write_workload(folder, name), folder, kills, contents, looking)
    whole = notes_in(folder / "notes-whole")
    figures |= {"requests": count, "users": len({each.owner for each in requests}), "notes": whole.total()}
    figures |= {"notes_looked_for": looking.kept, "notes_lost": looking.lost}
    return figures | ends(folder, requests, whole)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--requests", type=int, default=42)
    chosen = parser.parse_args()
    made = result_file.start("assistant_faults")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        figures = measure(Path(name), chosen.kills, chosen.requests)
    made.write(
        figures,
        kills_hold(figures)
        | {
            "every request has one answer": not figures["unanswered"] and not figures["answered_twice"],
            "every note of a round that was kept is there after every kill": figures["notes_lost"] == 0,
            "at the end the notes are those of a run left alone": figures["other_notes"] == 0,
        },
    )


if __name__ == "__main__":
    main()
