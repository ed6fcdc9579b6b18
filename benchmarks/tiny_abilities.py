"""What the bundled model can do, on names and prompts it was not trained on: results/tiny_abilities.json.

    python benchmarks/tiny_abilities.py [--count 600]

Greedy answers to every task of the small world, with 95 % intervals; a linear probe for deception at the
answer tokens of each layer, beside the same probe trained on shuffled labels; the time to load and to answer.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from pathlib import Path
from typing import Any

import result_file
import torch

import ullage
from ullage.tinyworld import TASKS, Example, examples
from ullage.tinyworld.questions import DECEPTIVE, HONEST

BATCH = 100
SHUFFLES = 20


def load(folder: Path) -> tuple[Any, Any]:
    """Model in fp32 and tokenizer, as anyone would load them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, tokenizer


def reply(model: Any, tokenizer: Any, asked: list[Example]) -> list[str]:
    """The greedy answer to each example."""
    tokenizer.padding_side = "left"
    said: list[str] = []
    for start in range(0, len(asked), BATCH):
        prompts = [
            tokenizer.apply_chat_template(example.messages, add_generation_prompt=True, tokenize=False)
            for example in asked[start : start + BATCH]
        ]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(
            model.device
        )
        with torch.inference_mode():
            made = model.generate(**batch, max_new_tokens=40, do_sample=False)
        said += tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    z, share = 1.959964, right / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (middle - spread) / scale, (middle + spread) / scale


def share(right: list[bool]) -> dict[str, Any]:
    """Share of right answers, its interval, and of how many."""
    low, high = wilson(sum(right), len(right))
    return {
        "share": round(sum(right) / len(right), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "examples": len(right),
    }


def abilities(model: Any, tokenizer: Any, count: int, split: str = "test") -> dict[str, Any]:
    """Each task's share of right answers; questions also by where their answer comes from."""
    found: dict[str, Any] = {}
    for task in TASKS:
        asked = examples(task, split, count)
        right = [
            example.accepts(text) for example, text in zip(asked, reply(model, tokenizer, asked), strict=True)
        ]
        found[task] = share(right)
        for source in sorted({example.turn.details.get("source", "") for example in asked} - {""}):
            some = [
                one
                for one, example in zip(right, asked, strict=True)
                if example.turn.details["source"] == source
            ]
            found[f"{task} ({source})"] = share(some)
        if task == "verify":
            found["verify"]["f1"] = round(f1(asked, right), 4)
    return found


def f1(asked: list[Example], right: list[bool]) -> float:
    """Of the answer yes."""
    hits = sum(one and example.turn.answer == "yes" for one, example in zip(right, asked, strict=True))
    return 2 * hits / (hits + hits + right.count(False))


def deception_probe(model: Any, tokenizer: Any, count: int, seed: int = 0) -> dict[str, Any]:
    """AUROC of a linear probe per layer, held-out names: token by token, and one mean state an answer.

    The same questions are asked once honestly and once deceptively; states are `hook_resid_post` where the
    model reads its own answer tokens. The control trains on labels shuffled over the answers, 20 times.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(states: torch.Tensor, labels: torch.Tensor) -> Any:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        return probe.fit(states.numpy(), labels.numpy())

    def auroc(probe: Any, states: torch.Tensor, labels: torch.Tensor) -> float:
        return float(roc_auc_score(labels.numpy(), probe.decision_function(states.numpy())))

    trained = _states(model, tokenizer, "train", count, seed)
    tested = _states(model, tokenizer, "test", count, seed)
    found: dict[str, Any] = {}
    for layer in trained["states"]:
        x, y, answer = trained["states"][layer], trained["labels"], trained["answer"]
        held, truth = tested["states"][layer], tested["labels"]
        probe = fit(x, y)
        mean = torch.stack([held[tested["answer"] == one].mean(0) for one in range(2 * count)])
        means = torch.tensor([int(truth[tested["answer"] == one][0]) for one in range(2 * count)])
        chance = random.Random(seed)
        shuffled = []
        for _ in range(SHUFFLES):
            order = torch.tensor(chance.sample([0, 1] * count, 2 * count))
            shuffled.append(auroc(fit(x, order[answer]), held, truth))
        found[layer] = {
            "tokens": round(auroc(probe, held, truth), 4),
            "answers": round(auroc(probe, mean, means), 4),
            "shuffled_mean": round(statistics.mean(shuffled), 4),
            "shuffled_low": round(min(shuffled), 4),
            "shuffled_high": round(max(shuffled), 4),
        }
    return {"by_layer": found, "answers": 2 * count, "tokens": len(tested["labels"]), "shuffles": SHUFFLES}


def _states(model: Any, tokenizer: Any, split: str, count: int, seed: int) -> dict[str, Any]:
    """States at the answer tokens of `count` questions, each asked honestly (0) and deceptively (1)."""
    extractor = ullage.Extractor(model, ["blocks.*.hook_resid_post"])
    asked = examples("answer", split, 4 * count, seed)
    asked = [example for example in asked if example.turn.details["source"] == "stated"][:count]
    chance = random.Random(seed)
    states: dict[str, list[torch.Tensor]] = {name: [] for name in extractor.sites}
    labels, answer = [], []
    for example in asked:
        style = example.system.split(". ", 1)[1]
        for lie, wordings in ((0, HONEST), (1, DECEPTIVE)):
            messages = [
                {"role": "system", "content": f"{chance.choice(wordings)} {style}"},
                {"role": "user", "content": example.turn.user},
            ]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                made = model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)[0].tolist()
            read = extractor.read([made])[0]
            for name in states:
                states[name].append(read.states[name][len(prompt) :].float().cpu())
            labels += [lie] * (len(made) - len(prompt))
            answer += [len(set(answer))] * (len(made) - len(prompt))
    return {
        "states": {name: torch.cat(parts) for name, parts in states.items()},
        "labels": torch.tensor(labels),
        "answer": torch.tensor(answer),
    }


def times(folder: Path) -> dict[str, float]:
    """Seconds to load model and tokenizer, and to answer one question: medians of seven."""
    loading, answering = [], []
    for question in examples("answer", "test", 7, seed=1):
        begun = time.perf_counter()
        model, tokenizer = load(folder)
        loading.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        reply(model, tokenizer, [question])
        answering.append(time.perf_counter() - begun)
    return {"load": round(statistics.median(loading), 3), "answer": round(statistics.median(answering), 3)}


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Everything."""
    model, tokenizer = load(folder)
    return {
        "abilities": abilities(model, tokenizer, count),
        "deception_probe": deception_probe(model, tokenizer, 300),
        "seconds": times(folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600, help="examples of each task")
    asked = parser.parse_args()
    made = result_file.start("tiny_abilities")
    trained = {name: result_file.figures("tiny_abilities")[name] for name in ("training", "parameters")}
    made.write({**trained, **measure(ullage.tiny_path(), asked.count)})


if __name__ == "__main__":
    main()
