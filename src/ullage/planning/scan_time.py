"""How long torch goes through a prompt's recurrent states, where no kernel of mamba-ssm or fla is installed.

Held against layers of Mamba-2.8B, Mamba2-2.7B and Qwen3-Next on an H200 (torch 2.11, transformers 5.17;
benchmarks/results/gpu-NVIDIA-H200.json).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Architecture, Recurrent
from ullage.memory.forward.one_pass import FULL
from ullage.memory.forward.recurrence import SCANNED
from ullage.memory.needs import RECENT
from ullage.memory.weights.tensors import distinct_layers

POSITION_SECONDS: Final = 60e-6
"""Host time to update Mamba's state for one position, of one sequence or of eight: 59 to 77 us."""
CHUNK_SECONDS: Final = 0.35e-3
"""Host time to bring a gated delta net's state from one chunk to the next."""
PAIR_PASSES: Final = 8.6
"""Times the products of Mamba-2's keys, one for each two positions of a chunk, head and element of a state,
go by: 28 us a position and layer, whose products are 10.5 MB."""


@lru_cache(maxsize=RECENT)
def is_untimed(model: Architecture) -> bool:
    """Whether it has a recurrence of which no measurement says how long torch takes."""
    untimed = SCANNED - {"mamba1", "mamba2", "gated_delta"}
    return any(layer.recurrent is not None and layer.recurrent.kind in untimed for layer in model.layers)


@lru_cache(maxsize=RECENT)
def scan_seconds(model: Architecture, positions: int) -> float:
    """Host time beside that of a usual pass to read so many positions of each sequence."""
    return sum(count * _seconds(mixer, positions) for mixer, count in _recurrences(model))


def _seconds(mixer: Recurrent, positions: int) -> float:
    if mixer.kind == "mamba1":
        return positions * POSITION_SECONDS
    if mixer.kind == "gated_delta":
        return -(-positions // max(mixer.chunk, 1)) * CHUNK_SECONDS
    return 0.0


@lru_cache(maxsize=RECENT)
def scan_bytes(model: Architecture, positions: int) -> float:
    """Bytes that chunks of keys and their products move to read so many positions of one sequence."""
    found = 0.0
    for mixer, count in _recurrences(model):
        if mixer.kind == "mamba2":
            padded = -(-positions // max(mixer.chunk, 1)) * mixer.chunk
            found += count * padded * mixer.chunk * mixer.value_heads * mixer.state * FULL * PAIR_PASSES
    return found


def _recurrences(model: Architecture) -> list[tuple[Recurrent, int]]:
    """Each with how many layers have it."""
    layers = [(layer.recurrent, len(blocks)) for layer, blocks in distinct_layers(model)]
    return [(mixer, count) for mixer, count in layers if mixer is not None]
