"""Extraction beside its peers: TransformerLens, nnsight, transformers' output_hidden_states, a bare forward.

    pip install transformer-lens nnsight          # into the environment ullage is in
    python benchmarks/extract_peers.py            # prints, and writes results/extract_peers.json

One 124M-parameter GPT-2 with random weights, a corpus of token ids with lengths log-uniform in 16-1024,
the residual stream after the middle layer, last position of each text. Each contestant runs in a process of
its own, all in turns in one run, and gets the corpus in two batchings: `arrival` (eight texts at a time, in
order) and `sorted` (the batches ullage makes). Ratios are medians over the rounds. Memory is the largest sum
of live bytes (torch's profiler) less the weights, over the widest batch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import profiled
import result_file

LAYER, LAYERS, BATCH, LONGEST = 5, 12, 8, 1024
SITE = f"blocks.{LAYER}.hook_resid_post"
TEXTS, ROUNDS = 16, 4
SLOW = ("output_hidden_states", "TransformerLens", "nnsight")
"""Contestants that run every layer; two rounds of them are enough."""
CONTESTANTS = (
    "ullage",
    "bare forward",
    "output_hidden_states",
    "TransformerLens",
    "TransformerLens, stop_at_layer",
    "nnsight",
    "nnsight, stopped",
)


def prepare(folder: Path) -> None:
    """Model, corpus and batches."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from ullage.kinds.extract.run import AMPLE_TOKENS
    from ullage.memory.captures.sites import SEQUENCES_PER_PLANNED
    from ullage.runtime.batching import Limits, make_batches

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder / "model")
    chance = random.Random(0)
    lengths = [round(16 * 64 ** chance.random()) for _ in range(TEXTS)]
    tokens = [[chance.randrange(50257) for _ in range(length)] for length in lengths]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps({"tokens": each}) for each in tokens))
    arrival = [list(range(k, min(k + BATCH, TEXTS))) for k in range(0, TEXTS, BATCH)]
    limits = Limits(BATCH * LONGEST, BATCH * SEQUENCES_PER_PLANNED, AMPLE_TOKENS)
    shortest = sorted(range(TEXTS), key=lambda index: lengths[index])
    batches = {"warm-up": [shortest[:2]], "arrival": arrival, "sorted": make_batches(lengths, limits)}
    (folder / "batches.json").write_text(json.dumps(batches))


Padded = tuple[Any, Any, list[int]]
Forward = Callable[[Any, Any, list[int]], Any]


def padded(tokens: list[list[int]]) -> Padded:
    """Token ids and mask, (batch, longest), padded on the right; lengths."""
    import torch

    longest = max(map(len, tokens))
    ids = torch.zeros(len(tokens), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, each in enumerate(tokens):
        ids[index, : len(each)] = torch.tensor(each)
        mask[index, : len(each)] = 1
    return ids, mask, [len(each) for each in tokens]


def last_of(states: Any, lengths: list[int]) -> Any:
    return states[range(len(lengths)), [length - 1 for length in lengths]].clone()


def bare(folder: Path) -> tuple[Any, Forward]:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder / "model", dtype=torch.float32).eval()
    found = []

    class Stop(Exception):
        pass

    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)
        raise Stop

    model.h[LAYER].register_forward_hook(hook)

    def forward(ids: Any, mask: Any, lengths: list[int]) -> Any:
        with contextlib.suppress(Stop):
            model(input_ids=ids, use_cache=False)
        return last_of(found.pop(), lengths)

    return model, forward


def output_hidden_states(folder: Path) -> tuple[Any, Forward]:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder / "model", dtype=torch.float32).eval()

    def forward(ids: Any, mask: Any, lengths: list[int]) -> Any:
        out = model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
        return last_of(out.hidden_states[LAYER + 1], lengths)

    return model, forward


def transformer_lens(folder: Path, stop: bool) -> tuple[Any, Forward]:
    import torch
    from tokenizers import Tokenizer, models
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    hf = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    # It will not start without a tokenizer read from a folder, though token ids are all it is given.
    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    names = dict.fromkeys(("unk_token", "pad_token", "bos_token", "eos_token"), "<unk>")
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder / "words")
    tokenizer = AutoTokenizer.from_pretrained(folder / "words")
    model = TransformerBridge.boot_transformers(str(folder / "model"), hf_model=hf, tokenizer=tokenizer)
    options = {"stop_at_layer": LAYER + 1} if stop else {}

    def forward(ids: Any, mask: Any, lengths: list[int]) -> Any:
        _, cache = model.run_with_cache(ids, names_filter=SITE, attention_mask=mask, **options)
        return last_of(cache[SITE], lengths)

    return hf, forward


def nnsight(folder: Path, stop: bool) -> tuple[Any, Forward]:
    import torch
    from nnsight import NNsight
    from transformers import AutoModel

    hf = AutoModel.from_pretrained(folder / "model", dtype=torch.float32).eval()
    model = NNsight(hf)

    def whole(ids: Any, mask: Any, lengths: list[int]) -> Any:
        with model.trace(input_ids=ids, attention_mask=mask, use_cache=False):
            out = model.h[LAYER].output.save()
        return last_of(out[0] if isinstance(out, tuple) else out, lengths)

    def stopped(ids: Any, mask: Any, lengths: list[int]) -> Any:
        with model.trace(input_ids=ids, attention_mask=mask, use_cache=False) as tracer:
            out = model.h[LAYER].output.save()
            tracer.stop()
        return last_of(out[0] if isinstance(out, tuple) else out, lengths)

    return hf, stopped if stop else whole


MAKERS: dict[str, Callable[[Path], tuple[Any, Forward]]] = {
    "bare forward": bare,
    "output_hidden_states": output_hidden_states,
    "TransformerLens": lambda folder: transformer_lens(folder, False),
    "TransformerLens, stop_at_layer": lambda folder: transformer_lens(folder, True),
    "nnsight": lambda folder: nnsight(folder, False),
    "nnsight, stopped": lambda folder: nnsight(folder, True),
}


def contest(name: str, folder: Path) -> None:
    """Answers lines on standard input (a batching, or `memory`) with seconds or bytes."""
    import torch

    torch.set_num_threads(2)
    if name == "ullage":
        return contest_ullage(folder)
    with torch.inference_mode():
        forward = MAKERS[name](folder)[1]
    corpus = [json.loads(line)["tokens"] for line in (folder / "corpus.jsonl").read_text().splitlines()]
    batches = json.loads((folder / "batches.json").read_text())
    print("ready", flush=True)
    for line in sys.stdin:
        asked = line.strip()
        with torch.inference_mode():
            if asked == "memory":
                ids, mask, lengths = padded([corpus[index] for index in batches["sorted"][0]])
                print(peak(partial(forward, ids, mask, lengths)), flush=True)
                continue
            found: dict[int, Any] = {}
            begun = time.perf_counter()
            for batch in batches[asked]:
                ids, mask, lengths = padded([corpus[index] for index in batch])
                found.update(zip(batch, forward(ids, mask, lengths), strict=True))
            seconds = time.perf_counter() - begun
        if asked != "warm-up":
            states = torch.stack([found[index] for index in range(len(corpus))])
            torch.save(states, folder / f"{name}.pt")
        print(seconds, flush=True)
    return None


def contest_ullage(folder: Path) -> None:
    """The whole product: `ullage.run` with journal, shards and monitor; the time of its extract phase."""
    import torch
    from transformers import AutoModel

    import ullage

    body = {
        "kind": "extract",
        "roles": {"model": {"model": str(folder / "model")}},
        "budget": {"gpus": "cpu"},
        "batch": BATCH,
        "prompt_tokens": LONGEST,
        "examples": TEXTS,
        "captures": [{"sites": [SITE], "positions": "last", "keep": "disk"}],
        "extract": {"input": str(folder / "corpus.jsonl")},
    }
    (folder / "work.json").write_text(json.dumps(body))
    workload = ullage.load(folder / "work.json")
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin):
        asked = line.strip()
        if asked == "warm-up":
            ullage.check(workload, base=folder)
            print(0.0, flush=True)
            continue
        if asked == "memory":
            model = AutoModel.from_pretrained(folder / "model", dtype=torch.float32).eval()
            extractor = ullage.Extractor(model, [SITE], positions="last")
            corpus = [json.loads(row)["tokens"] for row in (folder / "corpus.jsonl").read_text().splitlines()]
            batch = json.loads((folder / "batches.json").read_text())["sorted"][0]
            print(peak(partial(extractor.read, [corpus[index] for index in batch])), flush=True)
            continue
        run, record = ullage.run(workload, folder / f"run-{number}", base=folder)
        torch.save(ullage.open_states(run).matrix(SITE), folder / "ullage.pt")
        seconds = next(each.seconds for each in record.measured if each.phase == "model extract")
        print(seconds, flush=True)


def peak(work: Callable[[], Any]) -> int:
    """Largest sum of live bytes beyond what was there before."""
    work()
    return profiled.peak(work)


class Contestant:
    """A process of its own; None once it has failed."""

    def __init__(self, name: str, folder: Path, python: str = sys.executable) -> None:
        self.name = name
        command = [python, __file__, "--contestant", name, "--folder", str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "ULLAGE_HOME": str(folder)}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / f"{name}.log").open("w"),
            text=True,
            env=environment,
        )
        self.ready = self._answer() is not None

    def _answer(self) -> str | None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "ready" or line.strip().replace(".", "", 1).replace("e-", "").isdigit():
                return line.strip()
        return None

    def ask(self, what: str) -> float | None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self._answer()
        return None if answer is None else float(answer)

    def close(self) -> None:
        """Ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--contestant")
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.contestant:
        return contest(chosen.contestant, chosen.folder)
    import torch

    made = result_file.start("extract_peers")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        contestants = [Contestant(each, folder) for each in CONTESTANTS]
        seconds: dict[tuple[str, str], list[float]] = {}
        for each in contestants:
            each.ask("warm-up")
        for turn in range(ROUNDS):
            for batching in ("sorted", "arrival"):
                for each in contestants:
                    if each.name == "ullage" and batching == "arrival":
                        continue
                    if turn > 1 and (each.name in SLOW or batching == "arrival"):
                        continue
                    took = each.ask(batching)
                    if took is not None:
                        seconds.setdefault((each.name, batching), []).append(took)
                    print(each.name, batching, took, file=sys.stderr)
        memory = {each.name: each.ask("memory") for each in contestants}
        reference = torch.load(folder / "bare forward.pt")
        differences = {
            path.stem: float((torch.load(path) - reference).abs().max()) for path in folder.glob("*.pt")
        }
        logs = {each.name: (folder / f"{each.name}.log").read_text()[-600:] for each in contestants}
        tokens = sum(len(json.loads(row)["tokens"]) for row in (folder / "corpus.jsonl").open())
    made.write(figures_of(seconds, memory, differences, logs, tokens))
    return None


def figures_of(
    seconds: dict[tuple[str, str], list[float]],
    memory: dict[str, float | None],
    differences: dict[str, float],
    logs: dict[str, str],
    tokens: int,
) -> dict[str, Any]:
    """Ratios to ullage, side by side, and printed."""
    import importlib.metadata as metadata

    ours = statistics.median(seconds["ullage", "sorted"])
    rows = []
    for (name, batching), took in sorted(seconds.items()):
        rows.append(
            {
                "contestant": name,
                "batching": batching,
                "tokens_per_second": round(tokens / statistics.median(took)),
                "ullage_is_faster_by": round(statistics.median(took) / ours, 2),
                "live_bytes_beside_weights": memory.get(name),
                "largest_difference": differences.get(name),
            }
        )
    for name, log in logs.items():
        if not any(row["contestant"] == name for row in rows):
            print(f"{name} did not run: {log}", file=sys.stderr)
    found = {
        "peers": {name: metadata.version(name) for name in ("transformer-lens", "nnsight")},
        "texts": TEXTS,
        "tokens": tokens,
        "site": SITE,
        "memory_ratio_to_bare_forward": (memory["ullage"] or 0) / (memory["bare forward"] or 1),
        "rows": rows,
    }
    for row in rows:
        print(
            f"{row['contestant']:32} {row['batching']:8} {row['tokens_per_second']:7,} tokens/s"
            f"   ullage x{row['ullage_is_faster_by']:.2f}"
            f"   {(row['live_bytes_beside_weights'] or 0) / 2**20:8.1f} MiB"
            f"   differs {row['largest_difference']:.1e}"
        )
    return found


if __name__ == "__main__":
    main()
