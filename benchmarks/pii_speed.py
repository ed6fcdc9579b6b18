"""Verification beside other ways to do it, in one process: benchmarks/results/pii_speed.json.

    python benchmarks/pii_speed.py [--records 2000]

2,000 records with 1 to 6 candidates each, of eight types, asked with Ullage's own instruction, which a
tokenizer made for it cuts into as many tokens as those of real models do. `ullage` is a whole run with
journal and output (loading excluded). `text` is the loop that transformers' users write: `generate` on padded
batches of 8 in the order of the file, 8 tokens each; `text of 2` stops after 2, a verdict and its end, the
least such a loop can do. `no prefix` scores like `ullage`, in the same batches, but reads the instruction for
every candidate. The model is a small Llama with random weights, whose verdicts mean nothing; how often
verdicts of the two ways agree is told of `ullage:tiny`, on its own world.
"""

from __future__ import annotations

import argparse
import json
import os
import random
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
from ullage.kinds.pii.asking import SYSTEM, Asking
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.types import read_types
from ullage.runtime.batching import Limits, make_batches
from ullage.tinyworld import examples

BATCH = 64
TEXT_BATCH = 8
TEXT_TOKENS = (8, 2)
VERDICTS = ("yes", "no")
TYPES = ("person", "phone", "email", "address", "date_of_birth", "credit_card", "national_id", "health")


def write_records(path: Path, count: int) -> None:
    chance = random.Random(0)
    lines = []
    for number in range(count):
        words = chance.choices(small_models.WORDS[:12], k=chance.randint(8, 40))
        text, candidates = " ".join(words), []
        for _ in range(chance.randint(1, 6)):
            start = chance.randrange(len(text) - 4)
            candidates.append({"type": chance.choice(TYPES), "start": start, "end": start + 4})
        lines.append(json.dumps({"id": number, "text": text, "candidates": candidates}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def chats_of(path: Path, engine: Any) -> list[tuple[str, Any]]:
    """Every candidate's type and chat, in the order of the file."""
    asking = Asking(SYSTEM, "{text}", VERDICTS, 10**6, lambda chat: 0)
    reader = RecordReader(read_types(), RecordFields())
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        record = reader.read(number, json.loads(line))
        found += [(one.type.name, asking.prompt(record, one)) for one in record.candidates]
    return found


def instructions() -> list[str]:
    """What the tokenizer of the small model is made from; a verdict is one token in it, as in real ones."""
    asking = Asking(SYSTEM, "{text}", VERDICTS, 10**6, lambda chat: 0)
    types = read_types()
    said = [asking.instruction(types.find(name)) for name in types.names]
    return said + [*VERDICTS] * 100


def plain_loop(model: Any, words: Any, batches: list[list[Any]], new_tokens: int) -> list[str]:
    """Verdicts as text, by transformers alone."""
    words.padding_side = "left"
    found = []
    for batch in batches:
        given = words.apply_chat_template(
            [list(chat) for chat in batch],
            add_generation_prompt=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            out = model.generate(
                **given, max_new_tokens=new_tokens, do_sample=False, pad_token_id=words.pad_token_id
            )
        found += words.batch_decode(out[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    return found


def speeds(folder: Path, count: int) -> dict[str, Any]:
    write_records(folder / "records.jsonl", count)
    made = small_models.tokenizer(True, instructions(), 2000)
    small_models.save(folder / "model", "llama", words=made, hidden=384, layers=6)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    words = transformers.AutoTokenizer.from_pretrained(folder / "model")
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=words, device="cpu"), "small")
    model.generation_config.eos_token_id = None  # random weights end a reply at random
    chats = chats_of(folder / "records.jsonl", engine)
    lengths = engine.lengths([chat for _, chat in chats])
    prefix = max(engine.lengths([(chat[0],)])[0] for _, chat in chats[:200])
    body = {
        "kind": "pii",
        "roles": {"verifier": {"model": "model", "batch": BATCH}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": max(lengths) - prefix + 8,
        "new_tokens": 0,
        "examples": count,
        "pii": {"input": "records.jsonl", "prefix_tokens": prefix + 8},
    }
    (folder / "work.json").write_text(json.dumps(body))
    run, record = ullage.run(ullage.load(folder / "work.json"), folder / "run", base=folder)
    ours = sum(one.seconds for one in record.measured if one.phase == "verifier score")
    decided = [
        one["verdict"] == "verified"
        for line in (run / "verified.jsonl").open()
        for one in json.loads(line)["candidates"]
    ]

    batches = [[chat for _, chat in chats[at : at + TEXT_BATCH]] for at in range(0, len(chats), TEXT_BATCH)]
    texts = []
    for new_tokens in TEXT_TOKENS:
        begun = time.perf_counter()
        plain_loop(model, words, batches, new_tokens)
        texts.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    whole: dict[int, bool] = {}
    by_type: dict[str, list[int]] = {}
    for index, (name, _) in enumerate(chats):
        by_type.setdefault(name, []).append(index)
    engine._prefix_of = lambda ids: ()  # type: ignore[method-assign]
    for name in sorted(by_type):
        own = by_type[name]
        sizes = [lengths[index] for index in own]
        for batch in make_batches(sizes, Limits(BATCH * max(sizes), BATCH)):
            found = engine.score([chats[own[i]][1] for i in batch], VERDICTS)
            whole |= {own[i]: yes > no for i, (yes, no) in zip(batch, found, strict=True)}
    alone = time.perf_counter() - begun
    equal = sum(decided[index] == whole[index] for index in whole) / len(whole)
    return {
        "records": count,
        "candidates": len(chats),
        "tokens_a_candidate": round(sum(lengths) / len(lengths), 1),
        "instruction_tokens": prefix,
        "seconds": {"ullage": ours, "text": texts[0], "text_of_2": texts[1], "no_prefix": alone},
        "text_over_ullage": texts[0] / ours,
        "text_of_2_over_ullage": texts[1] / ours,
        "no_prefix_over_ullage": alone / ours,
        "equal_to_no_prefix": equal,
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
        scores = engine.score(batch, VERDICTS)
        replies = engine.generate(batch, Sampling(8), [0] * len(batch))
        for (yes, no), reply, example in zip(scores, replies, asked[at : at + TEXT_BATCH], strict=True):
            verdict = VERDICTS[0] if yes > no else VERDICTS[1]
            same += isinstance(reply, Reply) and reply.text.strip() == verdict
            right += verdict == example.turn.answer
    return {"candidates": len(chats), "equal_verdicts": same / len(chats), "right": right / len(chats)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2000)
    chosen = parser.parse_args()
    made = result_file.start("pii_speed")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        figures = {
            "threads": torch.get_num_threads(),
            **speeds(Path(name), chosen.records),
            "tiny": agreement(),
        }
    made.write(figures)


if __name__ == "__main__":
    main()
