"""What a card's arithmetic can do, and a processor's: what decides precision, kernels and fixed costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ullage.errors import InputError
from ullage.units import MIB, ZERO, Interval

Capability = tuple[int, int]
Ability = Literal["bf16", "fp16", "flash"]
NAMES: Final[tuple[Ability, ...]] = ("bf16", "fp16", "flash")
Platform = Literal["cuda", "rocm", "apple", "processor", "simulated", "unknown"]
BF16_CAPABILITY: Final = (8, 0)
"""First compute capability with bf16 tensor cores (Ampere)."""
FP16_CAPABILITY: Final = (5, 3)
"""First compute capability with fp16 arithmetic."""
FLASH_CAPABILITY: Final = (8, 0)
"""FlashAttention-2 runs on Ampere and later (github.com/Dao-AILab/flash-attention)."""

WHEELS_CAPABILITY: Final = (7, 5)
"""Torch's wheels have kernels from Turing on since 2.11; Maxwell, Pascal and Volta have them in the wheels
for CUDA 12.6 alone, up to 2.14 (github.com/pytorch/pytorch/issues/172352 and 190385)."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one card can do, or the least of a set, or a processor.

    `platform` is what torch computes with there: `simulated` is the processor with memory of a size of its
    own, `unknown` a card whose maker nobody told. `what` names the hardware in a reason. `flash` says that
    FlashAttention-2 runs; `large` that vLLM takes its defaults for large cards. `blas` is what the matrix
    library allocates for its workspace, in bytes. `capability` is CUDA's number of it, None elsewhere.
    """

    platform: Platform
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
        """Whether there is no GPU at all: a processor computes."""
        return self.platform in ("processor", "simulated")

    @property
    def simulated(self) -> bool:
        """Whether the device is none: a size of memory, to try placements with."""
        return self.platform == "simulated"

    @property
    def unified(self) -> bool:
        """Whether the device's memory is the host's."""
        return self.platform in ("processor", "apple")

    @property
    def known(self) -> bool:
        """Whether it is known what the card can do; else it has nothing here that it may well have."""
        return self not in UNKNOWN.values()

    @property
    def has_kernels(self) -> bool:
        """Whether torch's current wheels run on it, as far as that is known."""
        return self.reaches(WHEELS_CAPABILITY)

    def reaches(self, least: Capability | None) -> bool:
        """Whether it is of a CUDA compute capability, as far as that is known; None is any."""
        return least is None or self.capability is None or self.capability >= least

    @property
    def names(self) -> tuple[Ability, ...]:
        """Those it has."""
        return tuple(name for name in NAMES if getattr(self, name))


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
        # A second handle doubles it, as of the thread that goes back; 8 MiB were beside both on an H200.
        blas=Interval(size, size, 2 * size + 9 * MIB),
        capability=capability,
    )


def _amd(
    architecture: str, workspace: int, *, large: bool = False, bf16: bool = True, flash: bool = True
) -> Abilities:
    """CDNA 1 to 4, RDNA 3 and RDNA 4 have bf16 (their instruction set guides: MFMA, WMMA), RDNA 2 has none.
    FlashAttention-2 has a back end for CDNA 2 to 4 and RDNA 3 (README of
    github.com/Dao-AILab/flash-attention); of the others it says nothing. hipBLAS allocates 32 MiB, 128 MiB
    on gfx94x and gfx95x (ATen/cuda/CUDABlas.cpp); nobody measured it here.
    """
    return Abilities(
        "rocm",
        f"AMD's {architecture}",
        bf16=bf16,
        fp16=True,
        flash=flash,
        large=large,
        blas=Interval(0, workspace, 2 * workspace + HIPBLASLT_WORKSPACE),
    )


AMD: Final = {
    "CDNA 1.0": _amd("CDNA 1.0", 32 * MIB, flash=False),
    "CDNA 2.0": _amd("CDNA 2.0", 32 * MIB),
    "CDNA 3.0": _amd("CDNA 3.0", 128 * MIB, large=True),
    "CDNA 4.0": _amd("CDNA 4.0", 128 * MIB, large=True),
    "RDNA 2.0": _amd("RDNA 2.0", 32 * MIB, bf16=False, flash=False),
    "RDNA 3.0": _amd("RDNA 3.0", 32 * MIB),
    "RDNA 4.0": _amd("RDNA 4.0", 32 * MIB, flash=False),
}
"""AMD's cards by architecture. vLLM takes its large defaults on MI300X (same source as above)."""
_ANY_WORKSPACE: Final = Interval(0, CUBLAS_WORKSPACE, 2 * 128 * MIB + HIPBLASLT_WORKSPACE)
"""The smallest to the largest of the above."""
APPLE: Final = Abilities("apple", "Apple's GPU", bf16=True, fp16=True, blas=_ANY_WORKSPACE)
"""Metal has bfloat on every GPU that llama.cpp's logs of `has bfloat = true` name, from M1 Pro on."""
SIMULATED: Final = Abilities("simulated", "a simulated device", bf16=True, fp16=True)
"""The processor computes what is placed there."""
UNKNOWN: Final = {
    "nvidia": Abilities("cuda", "an NVIDIA card of unknown capability", False, False, blas=_ANY_WORKSPACE),
    "amd": Abilities("rocm", "an AMD card of unknown architecture", False, False, blas=_ANY_WORKSPACE),
    None: Abilities("unknown", "a card of unknown capability", False, False, blas=_ANY_WORKSPACE),
}
"""Cards by their maker where no more is known: nothing is planned that they might lack."""
_MAKERS: Final = {
    "cuda": "NVIDIA's",
    "rocm": "AMD's",
    "apple": "Apple's",
    "processor": "no",
    "simulated": "simulated",
}


def least(abilities: Iterable[Abilities]) -> Abilities:
    """Those of the weakest card of a set: what every one of them can do.

    Raises InputError for cards of several makers.
    """
    found = tuple(abilities)
    if all(each is found[0] for each in found):
        return found[0]
    platforms = dict.fromkeys(each.platform for each in found if each.platform != "unknown")
    if len(platforms) > 1:
        makers = " and ".join(sorted((_MAKERS[each] for each in platforms), reverse=True))
        raise InputError(f"a set has {makers} cards, and no build of torch drives both; plan them apart")
    return min(
        found, key=lambda each: (each.known, each.bf16, each.fp16, each.flash, each.capability or (0, 0))
    )
