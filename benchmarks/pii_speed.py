"""Verification beside version 0.1 and beside a loop that writes: benchmarks/results/pii_speed.json.

    python benchmarks/pii_speed.py --before ../ullage-0.1/.venv/bin/python [--records 200] [--rounds 3]

Texts of 100 to 256 tokens and of 8 to 40, each with 1 to 6 candidates of eight types. `ullage` and `before`
are whole runs with journal and output, each in a process of its own, turn about (loading excluded), of the
same model, records and batch; the ratio is the median of the rounds'. `text of 2` is the loop that
transformers' users write: `generate` on padded batches of 8 in the order of the file, stopped after 2 tokens,
a verdict and its end, the least such a loop can do; it runs on the first candidates, and its seconds are
scaled to all.
`rows of one` scores as `ullage` does, under the same instruction, but reads the text for every candidate: its
verdicts must be the same. The model is a small Llama with random weights, whose verdicts mean nothing, with a
tokenizer that cuts the instructions into as many tokens as those of real models do; how often verdicts by
probabilities and by text agree is told of `ullage:tiny`, on its own world.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models
import torch
import transformers

import ullage
from ullage.engines.engine import Reply, Sampling
from ullage.engines.transformers_engine import TransformersEngine
from ullage.kinds.pii.asking import Asking
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields, Section
from ullage.kinds.pii.types import read_types
from ullage.kinds.pii.wording import MARKED, MARKED_SYSTEM, wording_of
from ullage.tinyworld import examples

HERE = Path(__file__).resolve().parent
BATCH = 64
TEXT_BATCH = 8
VERDICTS = ("yes", "no")
TYPES = ("person", "phone", "email", "address", "date_of_birth", "credit_card", "national_id", "health")
LENGTHS = {"texts of 100-256 tokens": (100, 256), "texts of 8-40 tokens": (8, 40)}
TARGETS = {"texts of 100-256 tokens": (2.0, 5.0), "texts of 8-40 tokens": (1.0, 1.0)}
"""At least so many times as fast as version 0.1, and as the loop."""
PREFIX, BRANCH, MARKED_PREFIX = 640, 32, 176
MARKED_WORDING = wording_of(Section(system=MARKED_SYSTEM, template=MARKED), "")


def write_records(path: Path, count: int, shortest: int, longest: int) -> None:
    chance = random.Random(0)
    lines = []
    for number in range(count):
        words = chance.choices(small_models.WORDS[:12], k=chance.randint(shortest, longest))
        text, candidates = " ".join(words), []
        for _ in range(chance.randint(1, 6)):
            start = chance.randrange(len(text) - 4)
            candidates.append({"type": chance.choice(TYPES), "start": start, "end": start + 4})
        lines.append(json.dumps({"id": number, "text": text, "candidates": candidates}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def chats_of(path: Path, asking: Asking) -> list[Any]:
    """Every candidate's chat, in the order of the file."""
    reader = RecordReader(read_types(), RecordFields())
    instructions = asking.instructions([reader.types.find(name) for name in TYPES])
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        record = reader.read(number, json.loads(line))
        found += [asking.prompt(record, one, instructions[one.type.name]) for one in record.candidates]
    return found


def corpus() -> list[str]:
    """What the tokenizer of the small model is made from; a verdict is one token in it, as in real ones."""
    types = read_types()
    every = [types.find(name) for name in types.names]
    said = [
        text
        for wording in (wording_of(Section(), ""), MARKED_WORDING)
        for text in wording.instructions(every, lambda text: False).values()
    ]
    return said + [*VERDICTS] * 100


def plain_loop(model: Any, words: Any, chats: list[Any]) -> float:
    """Seconds of two tokens each, by transformers alone."""
    words.padding_side = "left"
    begun = time.perf_counter()
    for at in range(0, len(chats), TEXT_BATCH):
        given = words.apply_chat_template(
            [list(chat) for chat in chats[at : at + TEXT_BATCH]],
            add_generation_prompt=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            out = model.generate(**given, max_new_tokens=2, do_sample=False, pad_token_id=words.pad_token_id)
        words.batch_decode(out[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    return time.perf_counter() - begun


def write_work(folder: Path, name: str, **section: Any) -> None:
    """The same workload for either version; what is longest in the file is planned for."""
    body = {
        "kind": "pii",
        "roles": {"verifier": {"model": "model", "batch": BATCH}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 300,
        "new_tokens": 0,
        "examples": 1000,
        "pii": {"input": "records.jsonl", "least_mass": 0.0, **section},
    }
    (folder / name).write_text(json.dumps(body))


def one_run(python: str, folder: Path, work: str, out: str) -> dict[str, Any]:
    command = [python, str(HERE / "pii_speed_walk.py"), str(folder), work, out]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def speeds(folder: Path, before: Path, count: int, rounds: int, span: tuple[int, int]) -> dict[str, Any]:
    write_records(folder / "records.jsonl", count, *span)
    write_work(folder, "after.json", prefix_tokens=PREFIX, branch_tokens=BRANCH, candidates_per_record=4)
    write_work(folder, "before.json", prefix_tokens=MARKED_PREFIX)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    words = transformers.AutoTokenizer.from_pretrained(folder / "model")
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=words, device="cpu"), "small")
    model.generation_config.eos_token_id = None  # random weights end a reply at random

    def count_of(chat: Any) -> int:
        return engine.lengths([chat])[0]

    chats = chats_of(folder / "records.jsonl", Asking(wording_of(Section(), ""), 10**6, PREFIX, count_of))
    marked = chats_of(folder / "records.jsonl", Asking(MARKED_WORDING, 10**6, MARKED_PREFIX, count_of))
    ours, theirs, loops, run = [], [], [], {}
    some = marked[: max(64, len(marked) // 4)]
    for turn in range(rounds):
        theirs.append(one_run(str(before), folder, "before.json", f"{span[0]}-before-{turn}")["seconds"])
        run = one_run(sys.executable, folder, "after.json", f"{span[0]}-after-{turn}")
        ours.append(run["seconds"])
        loops.append(plain_loop(model, words, some) * len(marked) / len(some))
    alone = []
    for at in range(0, len(chats), BATCH):
        alone += engine.decide([[chat] for chat in chats[at : at + BATCH]], VERDICTS)
    same = sum(
        (yes >= no) == (verdict == "verified")
        for ((yes, no),), verdict in zip(alone, run["verdicts"], strict=True)
    )
    return {
        "records": count,
        "candidates": len(chats),
        "instruction_tokens": len(words.apply_chat_template([chats[0][0]])["input_ids"]),
        "tokens_of_a_prompt_after_it": round(
            statistics.mean(engine.lengths(chats)) - engine.lengths([(chats[0][0],)])[0], 1
        ),
        "tokens_of_a_prompt_before": round(statistics.mean(engine.lengths(marked)), 1),
        "read_singly": run["singly"],
        "seconds": {"ullage": ours, "before": theirs, "text_of_2": loops},
        "over_before": statistics.median(b / a for a, b in zip(ours, theirs, strict=True)),
        "over_text_of_2": statistics.median(b / a for a, b in zip(ours, loops, strict=True)),
        "equal_to_rows_of_one": same / len(chats),
    }


def agreement() -> dict[str, Any]:
    """Verdicts by probabilities and by text, of a model whose verdicts mean something."""
    from tiny_abilities import load

    model, tokenizer = load(ullage.tiny_path())
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu"), "tiny")
    asked = examples("verify", "test", 1000)
    chats = [tuple(example.messages) for example in asked]
    same = right = 0
    for at in range(0, len(chats), TEXT_BATCH):
        batch = chats[at : at + TEXT_BATCH]
        scores = engine.decide([[chat] for chat in batch], VERDICTS)
        replies = engine.generate(batch, Sampling(8), [0] * len(batch))
        for ((yes, no),), reply, example in zip(scores, replies, asked[at : at + TEXT_BATCH], strict=True):
            verdict = VERDICTS[0] if yes > no else VERDICTS[1]
            same += isinstance(reply, Reply) and reply.text.strip() == verdict
            right += verdict == example.turn.answer
    return {"candidates": len(chats), "equal_verdicts": same / len(chats), "right": right / len(chats)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path, required=True, metavar="PYTHON", help="version 0.1's")
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    made = result_file.start("pii_speed")
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = f"{name}/home"
        words = small_models.tokenizer(True, corpus(), 2000)
        small_models.save(Path(name) / "model", "llama", words=words, hidden=384, layers=6)
        for label, span in LENGTHS.items():
            count = chosen.records if span[0] >= 100 else 3 * chosen.records
            found = speeds(Path(name), chosen.before.absolute(), count, chosen.rounds, span)
            print(label, json.dumps(found, indent=1), flush=True)
            figures[label] = found
        figures["tiny"] = agreement()
    claims = {}
    for label, (over_before, over_loop) in TARGETS.items():
        claims[f"{label}: {over_before} x version 0.1"] = figures[label]["over_before"] >= over_before
        claims[f"{label}: {over_loop} x the loop"] = figures[label]["over_text_of_2"] >= over_loop
        claims[f"{label}: verdicts are those of rows of one"] = figures[label]["equal_to_rows_of_one"] == 1
    made.write(figures, claims)


if __name__ == "__main__":
    main()
