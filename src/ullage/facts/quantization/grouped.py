"""Integer weights in groups that share a scale: GPTQ and AWQ, by gptqmodel 7.3 and by what came before it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ullage.errors import UnsupportedError
from ullage.facts.quantization.scheme import MATRICES, Dequantized, Part, Scheme, Slowdown

GROUP: Final = 128
"""Inputs that share a scale in GPTQ and AWQ checkpoints that do not say."""
GPTQ_UNPACK_ROWS: Final = 129
"""AutoGPTQ's CUDA kernel for 8 bits unpacks whole weights above 128 rows (`kernel_switch_threshold`,
auto_gptq 0.6-0.7): to int32, and then to 16 bits."""
AWQ_UNPACK_ROWS: Final = 1024
"""AutoAWQ's GEMM layer dequantizes the weight from this many rows on (awq/modules/linear/gemm.py)."""

GPTQ_PACKAGES: Final = ("optimum", "gptqmodel")
MARLIN_BITS: Final = (4, 8)
MARLIN_GROUPS: Final = (0, -1, 32, 64, 128)
"""Groups of inputs that its kernels take, 0 and -1 a whole row (nn_modules/qlinear/marlin.py there)."""
AWQ_GROUPS: Final = (*MARLIN_GROUPS, 16)
"""Those that any kernel of gptqmodel takes of AWQ (torch_awq.py there)."""
MARLIN_LOCKS: Final = Part(128 * 32, "matrix")
"""Marlin's workspace of each matrix: an int32 for each multiprocessor, and no fewer than 128
(gptqmodel/utils/marlin.py `marlin_make_workspace_new`, 7.3)."""
NO_WAY_BACK: Final = (
    "the kernels that gptqmodel takes by itself have no backward pass, and those it has one for "
    "(backend: auto_trainable) keep 16-bit copies that were not held against a step"
)
"""`SUPPORTS_TRAINING` of nn_modules/qlinear/marlin.py there; torch.py multiplies with what it dequantizes."""
_GPTQ_8: Final = Slowdown(host=1.3, memory=0.57, compute=1.0, of="an A100")
_GPTQ_4: Final = Slowdown(host=0.95, memory=0.39, compute=1.0, of="an A100")
_AWQ: Final = Slowdown(host=1.28, memory=0.39, compute=1.0, of="an A100")
"""Tokens per second beside those of BF16 in Qwen2.5's speed benchmark (auto_gptq 0.6, AutoAWQ, A100). Prompts
are too small a part of its figures to tell what they take. They stand in for gptqmodel's kernels too, which
nobody has published figures of."""


@lru_cache
def gptq(bits: int) -> Scheme:
    """GPTQ as transformers 5 loads it: through gptqmodel, whose Marlin kernel multiplies what is stored.

    It lays matrices out anew once all are loaded, and lets go of their zeros and of the order of their inputs
    (gptqmodel/nn_modules/qlinear/marlin.py, `post_init`, 7.3); Machete on Hopper and Swordfish on Blackwell
    keep the order and no locks, where they can be built. Other widths and groups, and cards of other makers
    and processors, run in torch, which keeps both and dequantizes (torch.py there).
    """
    packed = (Part(bits, "element"), Part(16, "group", GROUP))
    beside = (Part(bits, "group", GROUP), Part(32, "column"))
    torch = Scheme(
        name=f"gptq-int{bits}",
        parts=packed + beside,
        replaces=MATRICES,
        methods=frozenset({"gptq"}),
        product=Dequantized(1, unpacked=4),
        packages=GPTQ_PACKAGES,
        untrained=NO_WAY_BACK,
    )
    if bits not in MARLIN_BITS:
        return torch
    return Scheme(
        name=f"gptq-int{bits}",
        parts=(*packed, MARLIN_LOCKS),
        replaces=MATRICES,
        methods=frozenset({"gptq"}),
        loading=beside,
        packages=GPTQ_PACKAGES,
        slowdown=_GPTQ_8 if bits == 8 else _GPTQ_4,
        elsewhere=torch,
        untrained=NO_WAY_BACK,
    )


@lru_cache
def auto_gptq(bits: int) -> Scheme:
    """GPTQ as AutoGPTQ packed it, for transformers before 5: qweight, qzeros, fp16 scales, int32 g_idx, fp16
    bias.

    ExLlama's 4-bit kernels keep a 16-bit buffer of the largest layer per device: `max_dq_buffer_size` in
    AutoGPTQ's `prepare_buffers`; the GPTQ-Int4 rows of the Qwen2.5 measurements show it to the megabyte.
    """
    grouped = (Part(bits, "group", GROUP), Part(16, "group", GROUP))
    return Scheme(
        name="autogptq",
        parts=(Part(bits, "element"), *grouped, Part(32, "column"), Part(16, "row")),
        replaces=MATRICES,
        product=Dequantized(GPTQ_UNPACK_ROWS, unpacked=4) if bits == 8 else None,
        keeps_buffer=bits == 4,
        slowdown=_GPTQ_8 if bits == 8 else _GPTQ_4,
    )


_AWQ_IN_TORCH: Final = Scheme(
    name="awq",  # gptqmodel/nn_modules/qlinear/torch_awq.py, 7.3: dequantized in each product
    parts=(Part(4, "element"), Part(4, "group", GROUP), Part(16, "group", GROUP)),
    replaces=MATRICES,
    methods=frozenset({"awq"}),
    product=Dequantized(1, unpacked=4),
    stores_tied_head=True,
    computes_in="fp16",
    packages=("gptqmodel",),
    untrained=NO_WAY_BACK,
)
AWQ: Final = Scheme(
    # As gptqmodel's Marlin kernel holds it: qweight and qzeros at 4 bits, fp16 scales per group of inputs
    # (gptqmodel/nn_modules/qlinear/marlin_awq.py, 7.3).
    name="awq",
    parts=(Part(4, "element"), Part(4, "group", GROUP), Part(16, "group", GROUP), MARLIN_LOCKS),
    replaces=MATRICES,
    methods=frozenset({"awq"}),
    stores_tied_head=True,
    loading=(Part(0, "matrix"),),  # nothing but the matrix that is laid out anew
    computes_in="fp16",  # transformers 5.19, quantizers/quantizer_awq.py `update_dtype`
    packages=("gptqmodel",),
    slowdown=_AWQ,
    elsewhere=_AWQ_IN_TORCH,
    untrained=NO_WAY_BACK,
)
AUTO_AWQ: Final = Scheme(
    name="autoawq",  # as AutoAWQ held it, for transformers before 5: its GEMM layout
    parts=(Part(4, "element"), Part(4, "group", GROUP), Part(16, "group", GROUP)),
    replaces=MATRICES,
    product=Dequantized(AWQ_UNPACK_ROWS),
    stores_tied_head=True,
    slowdown=_AWQ,
)


def by_groups(scheme: Scheme, group: int) -> Scheme:
    """The scheme as it is held of a checkpoint in groups of so many inputs."""
    return scheme if group in MARLIN_GROUPS or scheme.elsewhere is None else scheme.elsewhere


def awq(group: int) -> Scheme:
    """AWQ in such groups. Raises UnsupportedError for groups that no kernel takes."""
    if group not in AWQ_GROUPS:
        raise UnsupportedError(
            f"awq in groups of {group} inputs: no kernel of gptqmodel 7.3 takes them; use a checkpoint in "
            "groups of 128, 64 or 32"
        )
    return by_groups(AWQ, group)
