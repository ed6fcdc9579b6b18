"""Labels of models of natural language inference, however they are spelled and ordered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

ENTAILED: Final = "entailment"
INFERENCE: Final = (("contradiction", ENTAILED, "neutral"), (ENTAILED, "not entailment"))
"""Sorted, as `plain` has them."""


def plain(label: str) -> str:
    """A label without what tells apart how models spell it: case, and what stands between its words."""
    return re.sub(r"[\W_]+", " ", label).strip().casefold()


def are_of_inference(labels: Sequence[str]) -> bool:
    """Whether these are the labels of a model of natural language inference, in any order and spelling."""
    return tuple(sorted(map(plain, labels))) in INFERENCE


def is_entailed(logprobs: Mapping[str, float]) -> bool:
    """Whether entailment is likelier than each other label, as its natural logarithms say."""
    found = {plain(label): value for label, value in logprobs.items()}
    own = found.pop(ENTAILED)
    return all(own > other for other in found.values())
