"""What vLLM's start-up takes beside weights and cache: its profile, CUDA graphs, what lies outside torch.

The profile follows from vLLM's code; the two others are read off start-up logs of vLLM 0.7 to 0.31 on seven
cards (benchmarks/measured), whose spread is the interval.
"""

from __future__ import annotations

from typing import Final

from ullage.facts.abilities import Abilities
from ullage.facts.architecture import Architecture, Dense, Experts
from ullage.memory.process import NCCL, NCCL_BUS
from ullage.memory.weights.tensors import distinct_layers
from ullage.spec.engine import OwnCache, Version
from ullage.units import GIB, MIB, ZERO, Interval

VOCABULARY_PADDING: Final = 64
FUSED: Final = 4 + 4 + 4
"""Bytes a vocabulary entry and sequence that the profile's sampler holds beside the logits, where a kernel of
FlashInfer or Triton masks them in place: their fp32 copy, probabilities, and the noise that is drawn
(vllm/v1/sample/ops/topk_topp_sampler.py)."""
SORTED: Final = 4 + 4 + 8 + 8 + 12
"""The same where torch sorts them: fp32 copy, sorted values, their int64 order, the order before, and the
segmented sort's second buffer of values and order (ATen/native/cuda/Sort.cpp)."""
SORTING: Final[Version] = (0, 11)
"""vLLM's requirements bring FlashInfer from this version on; those before sort unless it was installed."""
FUSING_CAPABILITY: Final = (9, 0)
"""Logs of cards from Hopper on show the fused sampler (vLLM 0.19), one of an A100 the sorting (0.31)."""
LOGGED_FUSED: Final[Version] = (0, 19)
GRAPHS_IN_SHARE: Final[Version] = (0, 21)
"""From here on CUDA graphs are estimated before the cache is sized, and are part of the share
(vllm/v1/worker/gpu_worker.py, VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS)."""
PROCESS_OUT_OF_SHARE: Final[Version] = (0, 7)
"""Before, all that was taken of the card came out of the share, the context too; since, what grows while the
engine profiles (vllm/utils/mem_utils.py `memory_profiling`, github.com/vllm-project/vllm/pull/11809)."""

GRAPHS: Final = 360 * MIB
GRAPHS_LAYER: Final = 17 * MIB
"""Of a layer where every usual size is captured. Over 44 logs of vLLM 0.19 on an H100, 24 to 80 layers, the
two give the median; experts take up to twice as much, other versions and cards 0.27 to 1.8 times."""
GRAPHS_LOW, GRAPHS_HIGH = 4, 2.2
MOST_CAPTURED: Final = 512
"""Tokens of the largest graph: twice `max_num_seqs`, and no more than this (vllm/config/vllm.py)."""
LOGGED_GRAPHS: Final[Version] = (0, 19)

NON_TORCH: Final = Interval(20 * MIB, 256 * MIB, 512 * MIB)
"""Growth outside torch during the profile, one GPU: 0.24 to 0.46 GiB (0.19, H100), 0.02 to 0.26 on others."""
NON_TORCH_BEFORE: Final = Interval(20 * MIB, 64 * MIB, 512 * MIB)
"""The same before 0.19: 0.02 to 0.16 GiB in most logs of 0.7 to 0.10."""
NON_TORCH_RANKS: Final = Interval(200 * MIB, int(2.1 * GIB), int(2.4 * GIB))
"""With tensor parallelism over NVLink: 2.06 to 2.21 GiB (H100, A100), of NCCL and custom all-reduce."""
NON_TORCH_RANKS_BUS: Final = Interval(100 * MIB, 256 * MIB, int(2.4 * GIB))
"""The same over PCI Express, where there is no custom all-reduce: 0.2 GiB (A10)."""
LINKED: Final = frozenset({(7, 0), (8, 0), (9, 0), (10, 0), (10, 3)})
"""Compute capabilities of the cards that are built for NVLink."""


def sampler_bytes(
    own: OwnCache, abilities: Abilities, sequences: int, vocabulary: int, width: int
) -> Interval:
    """The profile's sampler over `sequences` rows of logits, `width` bytes an entry in the compute dtype.

    Expected is the way that version and card go; the ends are both ways, where no log shows which it is.
    """
    entries = sequences * -(-vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING
    fused, sorts = ((each + width) * entries for each in (FUSED, SORTED))
    version, new = own.version, (abilities.capability or (0, 0)) >= FUSING_CAPABILITY
    if version is not None and version < SORTING:
        return Interval(fused, sorts, sorts)
    if version == LOGGED_FUSED and new:
        return Interval.exactly(fused)
    return Interval(fused, fused if new else sorts, sorts)


def forward_bytes(architecture: Architecture, tokens: int, ranks: int, width: int) -> int:
    """The profile's pass over `tokens` positions: four streams and the widest block."""
    widest = 0
    for layer, _ in distinct_layers(architecture):
        part = layer.feed_forward
        if isinstance(part, Dense):
            widest = max(widest, (3 if part.gated else 2) * part.intermediate // ranks)
        elif isinstance(part, Experts):
            routed = part.active * (
                3 * part.intermediate // ranks + (part.latent or architecture.hidden_size)
            )
            widest = max(widest, routed, 3 * part.shared_intermediate // ranks)
    return tokens * (4 * architecture.hidden_size + widest) * width


def profile_bytes(
    architecture: Architecture,
    own: OwnCache,
    abilities: Abilities,
    limits: tuple[int, int],
    ranks: int,
    width: int,
) -> Interval:
    """The peak of the start-up profile: its sampler beside the states of all positions and their residual, or
    its pass. `limits` are sequences and tokens at once.

    Over 49 logs the measured peak is 0.97 to 1.24 times the expected one, 1.35 for a model of experts.
    """
    sequences, tokens = limits
    states = 2 * tokens * architecture.hidden_size * width
    passed = forward_bytes(architecture, tokens, ranks, width)
    low, expected, high = sampler_bytes(
        own, abilities, min(sequences, tokens), architecture.vocab_size, width
    )
    least, usual, most = (max(each + states, passed) for each in (low, expected, high))
    return Interval(least * 9 // 10, usual, max(most * 5 // 4, usual * 27 // 20) + GIB // 16)


def graph_bytes(own: OwnCache, abilities: Abilities, sequences: int, layers: int) -> Interval:
    """CUDA graphs of a rank that runs `layers` layers."""
    if own.enforce_eager or abilities.processor:
        return ZERO
    captured = min(2 * sequences, MOST_CAPTURED)
    expected = GRAPHS + layers * GRAPHS_LAYER * captured // MOST_CAPTURED
    low = expected // (2 if own.version == LOGGED_GRAPHS else GRAPHS_LOW)
    return Interval(low, expected, int(expected * GRAPHS_HIGH))


def non_torch_bytes(own: OwnCache, abilities: Abilities, ranks: int) -> Interval:
    """What a rank takes outside torch while it profiles."""
    if ranks > 1:
        return NON_TORCH_RANKS if abilities.capability in LINKED else NON_TORCH_RANKS_BUS
    return NON_TORCH_BEFORE if own.version is not None and own.version < LOGGED_GRAPHS else NON_TORCH


def nccl_bytes(own: OwnCache, abilities: Abilities, ranks: int) -> Interval:
    """What a rank's communicators take before any tensor; part of `non_torch_bytes` where all of the process
    is counted there."""
    if ranks == 1 or process_in_share(own):
        return ZERO
    return NCCL if abilities.capability in LINKED else NCCL_BUS


def process_in_share(own: OwnCache) -> bool:
    """Whether all that the process takes comes out of `gpu_memory_utilization`."""
    return own.version is not None and own.version < PROCESS_OUT_OF_SHARE


def graphs_in_share(own: OwnCache) -> bool | None:
    """Whether CUDA graphs come out of `gpu_memory_utilization`; None where the version is not told."""
    return None if own.version is None else own.version >= GRAPHS_IN_SHARE
