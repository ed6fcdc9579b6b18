"""Uncertainty measures beside LM-Polygraph's own, on random answers: results/evaluate_polygraph.json.

    pip install --no-deps --target polygraph lm-polygraph==0.7.0
    PYTHONPATH=polygraph python benchmarks/evaluate_polygraph.py

The same log-probabilities, entropies, similarities and clusters go into both; the largest difference is told.
Its semantic entropy is another estimator (Kuhn et al. 2023); the two coincide, and are compared, where every
sample means something else and likelihoods are length-normalised and sum to one. Its empirical one
(`frequency`) is our discrete one.
"""

from __future__ import annotations

import importlib.util
import math
import random
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import result_file

from ullage.measures import uncertainty

COUNT = 500
SAMPLES = 6


def estimators() -> Any:
    """LM-Polygraph's estimators without its package's own imports, which need all its dependencies."""
    spec = importlib.util.find_spec("lm_polygraph")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("lm-polygraph is not installed; see this file's first lines")
    root = Path(next(iter(spec.submodule_search_locations)))
    for name in ("lm_polygraph", "lm_polygraph.estimators", "lm_polygraph.utils"):
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package

    def load(file: str, name: str) -> Any:
        return getattr(importlib.import_module(f"lm_polygraph.estimators.{file}"), name)

    return load


def answer(chance: random.Random) -> tuple[list[float], list[float], list[float]]:
    """Log-probabilities, entropies and similarities of 1 to 12 tokens."""
    length = chance.randint(1, 12)
    draw = lambda low, high: [chance.uniform(low, high) for _ in range(length)]  # noqa: E731
    return draw(-5, -0.01), draw(0, 3), draw(0, 0.99)


def compare() -> dict[str, float]:
    load = estimators()
    chance = random.Random(0)
    largest: dict[str, float] = {}

    def note(name: str, ours: float, theirs: Any) -> None:
        difference = abs(ours - float(np.asarray(theirs).reshape(-1)[0])) / max(abs(ours), 1.0)
        largest[name] = max(largest.get(name, 0.0), difference)

    made = {
        "G-NLL": load("max_probability", "MaximumSequenceProbability")(),
        "mean NLL": load("perplexity", "Perplexity")(),
        "mean entropy": load("token_entropy", "MeanTokenEntropy")(),
        "relevance G-NLL (TokenSAR)": load("token_sar", "TokenSAR")(),
        "predictive entropy": load("monte_carlo_sequence_entropy", "MonteCarloSequenceEntropy")(),
        "mean predictive entropy": load(
            "monte_carlo_normalized_sequence_entropy", "MonteCarloNormalizedSequenceEntropy"
        )(),
        "SentSAR": load("sentence_sar", "SentenceSAR")(),
        "SAR": load("sar", "SAR")(),
        "semantic entropy": load("semantic_entropy", "SemanticEntropy")(entropy_estimation="direct"),
        "discrete semantic entropy": load("semantic_entropy", "SemanticEntropy")(
            class_probability_estimation="frequency"
        ),
    }
    for _ in range(COUNT):
        logprobs, entropies, similar = answer(chance)
        samples = [answer(chance) for _ in range(SAMPLES)]
        likelihoods = [one[0] for one in samples]
        meanings = [chance.randrange(3) for _ in samples]
        near = np.array([[chance.random() for _ in samples] for _ in samples])
        names = sorted(set(meanings))
        classes = {
            "class_to_sample": [[[i for i, m in enumerate(meanings) if m == name] for name in names]],
            "sample_to_class": [{i: names.index(m) for i, m in enumerate(meanings)}],
        }
        means = np.array([-uncertainty.mean_nll(one) for one in likelihoods])
        shares = (means - math.log(np.exp(means).sum())).tolist()
        texts = [[str(i) for i in range(SAMPLES)]]
        stats = {
            "greedy_log_likelihoods": [logprobs],
            "entropy": [entropies],
            "token_similarity": [np.array(similar)],
            "sample_log_likelihoods": [likelihoods],
            "sample_log_probs": [[sum(one) for one in likelihoods]],
            "sample_tokens": [[list(range(len(one))) for one in likelihoods]],
            "sample_texts": texts,
            "sample_token_similarity": [[np.array(one[2]) for one in samples]],
            "sample_sentence_similarity": [near],
            "semantic_classes_entail": classes,
        }
        apart = {
            "sample_log_probs": [shares],
            "semantic_classes_entail": {
                "class_to_sample": [[[i] for i in range(SAMPLES)]],
                "sample_to_class": [{i: i for i in range(SAMPLES)}],
            },
        }
        relevances = [uncertainty.token_relevance(one[2]) for one in samples]
        tokens = [uncertainty.relevance_nll(a, r) for a, r in zip(likelihoods, relevances, strict=True)]
        ours = {
            "G-NLL": uncertainty.nll(logprobs),
            "mean NLL": uncertainty.mean_nll(logprobs),
            "mean entropy": uncertainty.mean_entropy(entropies),
            "relevance G-NLL (TokenSAR)": uncertainty.relevance_nll(
                logprobs, uncertainty.token_relevance(similar)
            ),
            "predictive entropy": uncertainty.predictive_entropy(likelihoods),
            "mean predictive entropy": uncertainty.predictive_entropy(likelihoods, True),
            "SentSAR": uncertainty.sentence_sar([uncertainty.nll(one) for one in likelihoods], near.tolist()),
            "SAR": uncertainty.sentence_sar(tokens, near.tolist()),
            "semantic entropy": uncertainty.semantic_entropy(likelihoods, list(range(SAMPLES))),
            "discrete semantic entropy": uncertainty.discrete_semantic_entropy(meanings),
        }
        for name, value in ours.items():
            note(name, value, made[name](stats | apart if name == "semantic entropy" else stats))
    return largest


def main() -> None:
    made = result_file.start("evaluate_polygraph")
    figures = {
        "lm-polygraph": version("lm-polygraph"),
        "answers": COUNT,
        "samples": SAMPLES,
        "largest_relative_difference": compare(),
    }
    largest = max(figures["largest_relative_difference"].values())
    made.write(figures, {"no measure differs by more than rounding": largest < 1e-9})


if __name__ == "__main__":
    main()
