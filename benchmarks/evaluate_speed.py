"""Generation and judging beside other ways to do the same, in one process: results/evaluate_speed.json.

    python benchmarks/evaluate_speed.py [--repeats 3]

Generation: questions whose lengths are drawn log-uniform, against a plain loop of `model.generate` in fixed
batches of 8, unsorted; both write the same number of tokens for each question. Judging: verdict probabilities
with the shared prefix in the cache, against a generated verdict for each answer (both by this engine), and
the share of equal verdicts. Where lm-evaluation-harness is installed (`pip install lm-eval`) its `hf` model
writes the same answers and weighs the same verdicts, in batches of 8. Ratios of medians, measured in turn in
one process on random weights, except that verdicts are those of `ullage:tiny`, which mean something.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models
import torch

import ullage
from ullage.engines.engine import Reply, Sampling
from ullage.engines.transformers_engine import TransformersEngine
from ullage.kinds.evaluate.judging import Judging
from ullage.kinds.evaluate.questions import Question
from ullage.runtime.batching import Limits, make_batches
from ullage.tinyworld import examples

BATCH = 8
QUESTIONS = 96
NEW_TOKENS = 16
LENGTHS = (8, 1024)
"""Words of a question, drawn log-uniform between these."""


def timed(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each way; they take turns, so that a slow moment of the machine hits all."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            found[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def generation(repeats: int) -> dict[str, Any]:
    words = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(words), layers=4, hidden=256)
    model.generation_config.eos_token_id = None  # random weights end a reply at random
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=words, device="cpu"), "small")
    engine._ends = set()
    chance = random.Random(0)
    low, high = LENGTHS
    prompts = [
        " ".join(chance.choices(small_models.WORDS[:12], k=int(low * (high / low) ** chance.random())))
        for _ in range(QUESTIONS)
    ]
    lengths = engine.lengths(prompts)
    sampling = Sampling(NEW_TOKENS)

    def ours() -> dict[int, list[int]]:
        found = {}
        for batch in make_batches(lengths, Limits(BATCH * max(lengths), BATCH)):
            replies = engine.generate([prompts[i] for i in batch], sampling, [0] * len(batch))
            found |= {i: list(reply.tokens) for i, reply in zip(batch, replies, strict=True)}
        return found

    def plain() -> dict[int, list[int]]:
        words.padding_side = "left"
        found = {}
        for at in range(0, QUESTIONS, BATCH):
            batch = words(prompts[at : at + BATCH], return_tensors="pt", padding=True)
            with torch.inference_mode():
                made = model.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    max_new_tokens=NEW_TOKENS,
                    do_sample=False,
                )
            for row, ids in enumerate(made[:, batch["input_ids"].shape[1] :].tolist()):
                found[at + row] = ids
        return found

    ways = {"ours": ours, "plain": plain}
    if (harness := _harness(model, words)) is not None:
        ways["lm-eval"] = lambda: harness.written(prompts, NEW_TOKENS)
    one, other = ours(), plain()
    same = sum(one[i] == other[i] for i in range(QUESTIONS)) / QUESTIONS
    seconds = timed(ways, repeats)
    return {
        "questions": QUESTIONS,
        "prompt_tokens": {"shortest": min(lengths), "longest": max(lengths), "all": sum(lengths)},
        "new_tokens": NEW_TOKENS,
        "seconds": seconds,
        "equal_answers": same,
        "ratio": seconds["plain"] / seconds["ours"],
        "ratio_to_lm_eval": seconds["lm-eval"] / seconds["ours"] if "lm-eval" in seconds else None,
    }


class _Harness:
    """lm-evaluation-harness's own `hf` model around the same weights."""

    def __init__(self, wrapped: Any, instance: Any) -> None:
        self._model, self._instance = wrapped, instance

    def written(self, prompts: Sequence[str], new_tokens: int) -> list[str]:
        options = {"until": [], "max_gen_toks": new_tokens, "do_sample": False}
        asked = [
            self._instance(request_type="generate_until", doc={}, arguments=(text, options), idx=index)
            for index, text in enumerate(prompts)
        ]
        return list(self._model.generate_until(asked, disable_tqdm=True))

    def weighed(self, prompts: Sequence[str], choices: Sequence[str]) -> list[int]:
        """The likelier choice after each prompt."""
        asked = [
            self._instance(request_type="loglikelihood", doc={}, arguments=(text, choice), idx=index)
            for index, text in enumerate(prompts)
            for choice in choices
        ]
        found = [weight for weight, _ in self._model.loglikelihood(asked, disable_tqdm=True)]
        rows = [found[at : at + len(choices)] for at in range(0, len(found), len(choices))]
        return [row.index(max(row)) for row in rows]


def _harness(model: Any, words: Any) -> _Harness | None:
    try:
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        return None
    return _Harness(
        HFLM(pretrained=model, tokenizer=words, backend="causal", batch_size=BATCH, device="cpu"), Instance
    )


def judging(repeats: int) -> dict[str, Any]:
    from tiny_abilities import load

    model, tokenizer = load(ullage.tiny_path())
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu"), "tiny")
    judged = examples("judge", "test", 400)
    judging = Judging(system="Judge whether the answer is correct. Reply {verdicts}.")
    prompts = []
    for example in judged:
        details = example.turn.details
        question = Question("", details["question"], (details["reference"],))
        prompts.append(judging.prompt(question, details["judged"]))
    sequential = [prompts[at : at + BATCH] for at in range(0, len(prompts), BATCH)]

    def weighed() -> list[str | None]:
        return [
            judging.weighed(scores).verdict
            for batch in sequential
            for scores in engine.score(batch, judging.verdicts)
        ]

    def written() -> list[str | None]:
        replies: list[Any] = []
        for batch in sequential:
            replies += engine.generate(batch, Sampling(8), [0] * len(batch))
        return [judging.parsed(reply).verdict for reply in replies if isinstance(reply, Reply)]

    ways: dict[str, Callable[[], Any]] = {"probabilities": weighed, "text": written}
    if (harness := _harness(model, tokenizer)) is not None:
        texts = [
            tokenizer.apply_chat_template(p, tokenize=False, add_generation_prompt=True) for p in prompts
        ]
        choices = [f" {verdict}" for verdict in judging.verdicts]
        ways["lm-eval"] = lambda: harness.weighed(texts, choices)
    one, other = weighed(), written()
    right = sum(a == e.turn.answer for a, e in zip(one, judged, strict=True)) / len(judged)
    seconds = timed(ways, repeats)
    return {
        "answers": len(judged),
        "seconds": seconds,
        "ratio": seconds["text"] / seconds["probabilities"],
        "ratio_to_lm_eval": seconds["lm-eval"] / seconds["probabilities"] if "lm-eval" in seconds else None,
        "equal_verdicts": sum(a == b for a, b in zip(one, other, strict=True)) / len(judged),
        "right": right,
    }


def long_judging(repeats: int) -> dict[str, Any]:
    """The same with an instruction as long as judges usually get, on random weights."""
    words = small_models.tokenizer(chat=True)
    model = small_models.build("llama", vocabulary=len(words), layers=8, hidden=256)
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=words, device="cpu"), "small")
    engine._ends = set()
    chance = random.Random(1)
    rules = " ".join(chance.choices(small_models.WORDS[:12], k=300))

    def chat() -> tuple[dict[str, str], ...]:
        asked = " ".join(chance.choices(small_models.WORDS[:12], k=chance.randint(10, 40)))
        return ({"role": "system", "content": rules}, {"role": "user", "content": asked})

    prompts = [chat() for _ in range(64)]
    sequential = [prompts[at : at + BATCH] for at in range(0, len(prompts), BATCH)]
    ways = {
        "probabilities": lambda: [engine.score(batch, ("cat", "dog")) for batch in sequential],
        "text": lambda: [engine.generate(batch, Sampling(8), [0] * len(batch)) for batch in sequential],
    }
    seconds = timed(ways, repeats)
    return {
        "answers": len(prompts),
        "instruction_words": 300,
        "seconds": seconds,
        "ratio": seconds["text"] / seconds["probabilities"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args(arguments)
    made = result_file.start("evaluate_speed")
    figures = {
        "threads": torch.get_num_threads(),
        "lm-eval": importlib.metadata.version("lm-eval") if importlib.util.find_spec("lm_eval") else None,
        "generation": generation(asked.repeats),
        "judging": judging(asked.repeats),
        "judging_long_instruction": long_judging(asked.repeats),
    }
    made.write(figures)


if __name__ == "__main__":
    main()
