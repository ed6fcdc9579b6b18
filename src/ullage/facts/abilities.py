"""What a card's arithmetic can do, and a processor's: what decides precision, kernels and fixed costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ullage.errors import InputError
from ullage.units import MIB, ZERO, Interval

Capability = tuple[int, int]
BF16_CAPABILITY: Final = (8, 0)
"""First compute capability with bf16 tensor cores (Ampere)."""
FP16_CAPABILITY: Final = (5, 3)
"""First compute capability with fp16 arithmetic."""
FLASH_CAPABILITY: Final = (8, 0)
"""FlashAttention-2 runs on Ampere and later (github.com/Dao-AILab/flash-attention)."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one card can do, or the least of a set, or a processor.

    `platform` is what torch computes with there; `what` names the hardware in a reason. `flash` says that
    FlashAttention-2 runs; `large` that vLLM takes its defaults for large cards. `blas` is what the matrix
    library allocates for its workspace, in bytes. `capability` is CUDA's number of it, None elsewhere.
    """

    platform: Literal["cuda", "rocm", "processor"]
    what: str
    bf16: bool
    fp16: bool
    flash: bool = False
    large: bool = False
    blas: Interval = ZERO
    capability: Capability | None = None

    def __hash__(self) -> int:
        return hash(self.what)

    @property
    def processor(self) -> bool:
        """Whether there is no GPU at all: everything runs in host memory."""
        return self.platform == "processor"

    def reaches(self, least: Capability | None) -> bool:
        """Whether it is of a CUDA compute capability, as far as that is known; None is any."""
        return least is None or self.capability is None or self.capability >= least

    @property
    def names(self) -> tuple[str, ...]:
        """Those it has of bf16, fp16 and flash."""
        return tuple(name for name in ("bf16", "fp16", "flash") if getattr(self, name))


PROCESSOR: Final = Abilities("processor", "a processor", bf16=True, fp16=True)
"""It computes in 16 bits, slowly."""
CUBLAS_WORKSPACE: Final = 8_519_680
"""cuBLAS workspace of one handle and stream, `:4096:2:16:8` (ATen/cuda/CUDABlas.cpp)."""
CUBLAS_WORKSPACE_HOPPER: Final = 32 * MIB
"""The same on compute capability 9.x."""
HIPBLASLT_WORKSPACE: Final = 76 * MIB
"""hipBLASLt's own workspace, beside that of hipBLAS (ATen/cuda/CUDABlas.cpp)."""


def of_capability(capability: Capability | None) -> str:
    """CUDA's number as words."""
    return (
        "any compute capability"
        if capability is None
        else f"compute capability {capability[0]}.{capability[1]}"
    )


def nvidia(capability: Capability) -> Abilities:
    """What a CUDA compute capability stands for.

    vLLM's large defaults (1024 sequences, 16384 tokens) are for cards from 70 GiB up that are no A100
    (vllm/engine/arg_utils.py `get_batch_defaults`); data-centre Hopper and Blackwell (9.x and 10.x) stand
    for them here.
    """
    size = CUBLAS_WORKSPACE_HOPPER if capability[0] == 9 else CUBLAS_WORKSPACE
    return Abilities(
        "cuda",
        of_capability(capability),
        bf16=capability >= BF16_CAPABILITY,
        fp16=capability >= FP16_CAPABILITY,
        flash=capability >= FLASH_CAPABILITY,
        large=capability[0] in (9, 10),
        blas=Interval(size, size, 2 * size + MIB),  # a second handle doubles it
        capability=capability,
    )


def _amd(architecture: str, workspace: int, large: bool = False) -> Abilities:
    """CDNA 2 and 3 and RDNA 3 have bf16 (their instruction set guides: MFMA, WMMA), and FlashAttention-2 has
    a back end for each (README of github.com/Dao-AILab/flash-attention). hipBLAS allocates 32 MiB, 128 MiB on
    gfx94x (ATen/cuda/CUDABlas.cpp); nobody measured it here.
    """
    return Abilities(
        "rocm",
        f"AMD's {architecture}",
        bf16=True,
        fp16=True,
        flash=True,
        large=large,
        blas=Interval(0, workspace, 2 * workspace + HIPBLASLT_WORKSPACE),
    )


AMD: Final = {
    "CDNA 2.0": _amd("CDNA 2.0", 32 * MIB),
    "CDNA 3.0": _amd("CDNA 3.0", 128 * MIB, large=True),
    "RDNA 3.0": _amd("RDNA 3.0", 32 * MIB),
}
"""AMD's cards by architecture. vLLM takes its large defaults on MI300X (same source as above)."""


def least(abilities: Iterable[Abilities]) -> Abilities:
    """Those of the weakest card of a set: what every one of them can do.

    Raises InputError for cards of several makers.
    """
    found = tuple(abilities)
    if all(each is found[0] for each in found):
        return found[0]
    if len({each.platform for each in found}) > 1:
        raise InputError(
            "a set has NVIDIA's and AMD's cards, and no build of torch drives both; plan them apart"
        )
    return min(found, key=lambda each: (each.bf16, each.fp16, each.flash, each.capability or (0, 0)))
