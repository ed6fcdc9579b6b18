"""How long a turn of a long talk takes: going on from what was read, beside reading all of it again.

    python benchmarks/chat_turns.py  # prints, and writes results/chat_turns.json

A Llama of 8 layers, 512 wide, random weights in fp32, on the processor with one thread, talked to for 20
turns of some 200 tokens each, with replies of 8. In its last turns the same question is asked again after
the same talk, which had been forgotten; both replies must be the same. Beside it the text of a reply of
4,096 tokens, step by step, as it grows and decoded anew from its beginning at each step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import result_file
import small_models
import torch

import ullage
from ullage.capture.spelling import decode, spelling_of

TURNS, NEW, LAST = 20, 8, 3
REPLY = 4096
SIZES = {"layers": 8, "hidden": 512, "heads": 8, "kv_heads": 8, "positions": 8192}


def asked(talk: Any, question: str) -> dict[str, Any]:
    """Seconds of the wall and of the processor until a reply's end, and what it was."""
    begin, worked = time.perf_counter(), time.process_time()
    *_, said = talk.say(question)
    return {
        "seconds": time.perf_counter() - begin,
        "work": time.process_time() - worked,
        "text": said.text,
        "prompt_tokens": said.prompt_tokens,
    }


def turns(folder: Path) -> list[dict[str, Any]]:
    """The last turns of a talk, each gone on to and read again."""
    model = small_models.save(folder, chat=True, **SIZES)
    questions = [" ".join(small_models.texts(3, 60, seed)) for seed in range(TURNS)]
    rows = []
    with ullage.chat(str(model), gpus="cpu", prompt_tokens=6000, new_tokens=NEW) as talk:
        for turn, question in enumerate(questions, 1):
            before = [*talk.messages]
            found = asked(talk, question)
            if turn > TURNS - LAST:
                after = [*talk.messages]
                talk.reset()
                talk.messages = before
                again = asked(talk, question)
                rows.append({"turn": turn, "kept": found, "again": again})
                talk.messages = after
    return rows


def texts() -> dict[str, float]:
    """Seconds for the text of a long reply after each of its tokens."""
    tokenizer = small_models.tokenizer()
    ids = tokenizer(" ".join(small_models.texts(1000)))["input_ids"][:REPLY]
    assert len(ids) == REPLY
    begin = time.perf_counter()
    spelling = spelling_of(tokenizer)
    for token in ids:
        spelling.add(token)
    grown = time.perf_counter() - begin
    begin = time.perf_counter()
    for count in range(1, REPLY + 1):
        whole = decode(tokenizer, ids[:count])
    anew = time.perf_counter() - begin
    assert spelling.text == whole
    return {"tokens": REPLY, "grown_seconds": grown, "anew_seconds": anew}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    made = result_file.start("chat_turns")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = turns(Path(folder))
    written = texts()

    def median(way: str, what: str) -> float:
        return statistics.median(row[way][what] for row in rows)

    figures = {
        "load": os.getloadavg()[0],
        "turns": TURNS,
        "prompt_tokens": rows[-1]["kept"]["prompt_tokens"],
        "new_tokens": NEW,
        "kept_seconds": median("kept", "seconds"),
        "again_seconds": median("again", "seconds"),
        "kept_work": median("kept", "work"),
        "again_work": median("again", "work"),
        "text": written,
        "rows": rows,
    }
    made.write(
        figures,
        {
            "replies are the same": all(row["kept"]["text"] == row["again"]["text"] for row in rows),
            "a turn takes at most a quarter of the work": all(
                row["kept"]["work"] * 4 <= row["again"]["work"] for row in rows
            ),
            "the text of a long reply takes at most a fifth": written["grown_seconds"] * 5
            <= written["anew_seconds"],
        },
    )


if __name__ == "__main__":
    main()
