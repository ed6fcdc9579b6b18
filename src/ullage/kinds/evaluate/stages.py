"""What a run does of each question, a file of rows each; every judge's stage is named like its role."""

from __future__ import annotations

from typing import Final

GREEDY: Final = "greedy"
SAMPLES: Final = "samples"
P_TRUE: Final = "p_true"
APART: Final = 0x9E3779B97F4A7C15
"""2^64 through the golden ratio: seeds of two runs are far from one another, however many a run has."""
MOST_SAMPLES: Final = 1024
"""More than a question may have."""


def check_stage(judge: str) -> str:
    """Where a judge is judged itself."""
    return f"check_{judge}"


def answer_seed(seed: int, index: int, sample: int) -> int:
    """The seed of an answer to question `index`, the greedy one being sample 0, in a run of seed `seed`: it
    depends on nothing else, so samples can be added."""
    return (seed * APART + index * MOST_SAMPLES + sample) % 2**63
