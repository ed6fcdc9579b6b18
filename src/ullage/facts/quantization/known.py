"""Every scheme that is described, by the name a file gives its precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ullage.errors import UnsupportedError
from ullage.facts.architecture import StoredQuantization
from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.scheme import (
    Dequantized,
    OnLoad,
    Part,
    QuantizedInput,
    Scheme,
    Slowdown,
)

LINEAR: Final = frozenset({"linear"})
"""bitsandbytes replaces nn.Linear modules alone: fused expert tensors stay 16-bit (transformers 5.19,
integrations/bitsandbytes.py), and the head is skipped by get_keys_to_not_convert."""
MATRICES: Final = LINEAR | {"experts"}
EVERY_MATRIX: Final = MATRICES | {"embedding", "head"}
CODE_BOOK: Final = Part(16 * 32, "matrix")
"""The 16 values of a 4-bit code, fp32."""
TRADE_8: Final = "LLM.int8() is slower and changes answers (by none to 1 %, arXiv 2208.07339)"
TRADE_4: Final = "4-bit weights change answers (one to a few percent, arXiv 2305.14314)"
GROUP: Final = 128
"""Inputs that share a scale in GPTQ and AWQ checkpoints that do not say."""
GPTQ_UNPACK_ROWS: Final = 129
"""AutoGPTQ's CUDA kernel for 8 bits unpacks whole weights above 128 rows (`kernel_switch_threshold`,
auto_gptq 0.6-0.7): to int32, and then to 16 bits."""
AWQ_UNPACK_ROWS: Final = 1024
"""AutoAWQ's GEMM layer dequantizes the weight from this many rows on (awq/modules/linear/gemm.py)."""

INT8: Final = Scheme(
    name="int8",  # LLM.int8(), arXiv 2208.07339: an fp32 scale per output row
    parts=(Part(8, "element"), Part(32, "row")),
    replaces=LINEAR,
    methods=frozenset({"bitsandbytes", "compressed-tensors"}),
    # 64 tokens through 8 layers of 4,096 on an H200 took 3.3 times as long as in bf16, and 8,192 read 2.2
    # times (benchmarks/results/gpu-NVIDIA-H200.json); at which rate it reads is assumed. Of the parts of a
    # product those for outliers are two fifths: transformers' threshold is 6.0, and 0.0 leaves them out
    # (benchmarks/measured/bitsandbytes-0.45-speed.csv).
    slowdown=Slowdown(host=3.3, memory=0.6, compute=2.2),
    product=QuantizedInput(input=1, result=4, gives="fp16"),  # backends/cuda/ops.py of bitsandbytes 0.50
    least_capability=(7, 5),  # bitsandbytes 0.50, installation guide
    offloads=False,  # transformers 5.19, quantizers/quantizer_bnb_8bit.py
    on_load=OnLoad(
        "BitsAndBytesConfig", (("load_in_8bit", True),), "bitsandbytes", loss=0.01, trade=TRADE_8, bits=8
    ),
    packages=("bitsandbytes",),
)


def _on_load(loss: float, double: bool, vllm: str | None = None, bits: int | None = None) -> OnLoad:
    """NF4 as bitsandbytes makes it."""
    quantized = (("bnb_4bit_quant_type", "nf4"), ("bnb_4bit_use_double_quant", double))
    options = (("load_in_4bit", True), *quantized)
    compute = "bnb_4bit_compute_dtype"
    return OnLoad("BitsAndBytesConfig", options, "bitsandbytes", loss, TRADE_4, compute, vllm, bits)


NF4: Final = Scheme(
    name="nf4",  # an fp32 absmax per 64 elements; dequantized whole for more than one row of input
    parts=(Part(4, "element"), Part(32, "block", 64), CODE_BOOK),
    replaces=LINEAR,
    methods=frozenset({"bitsandbytes"}),
    # 8 layers of 4,096 on an H200: a token 1.1 ms a layer, for 0.85 in bf16; 8,192 read as fast. At which
    # rate it dequantizes: batches of 8 on an H100 (benchmarks/measured/bitsandbytes-0.45-speed.csv).
    slowdown=Slowdown(host=1.3, memory=0.65, compute=1.1),
    product=Dequantized(rows=2),
    on_load=_on_load(0.03, double=False, vllm="bitsandbytes", bits=4),
    least_capability=(6, 0),  # bitsandbytes 0.50, installation guide
    offloads=False,  # transformers 5.19, quantizers/quantizer_bnb_4bit.py
    packages=("bitsandbytes",),
)
NF4_DOUBLE: Final = Scheme(
    name="nf4-dq",  # a uint8 absmax, an fp32 scale per 256 of them, an offset, a code book for each
    parts=(
        Part(4, "element"),
        Part(8, "block", 64),
        Part(32, "block", 64 * 256),
        Part(32, "matrix"),
        CODE_BOOK,
        Part(256 * 32, "matrix"),
    ),
    replaces=LINEAR,
    methods=frozenset({"bitsandbytes"}),
    slowdown=Slowdown(host=1.5, memory=0.65, compute=1.1),  # of the host: one token on an H100, same source
    product=Dequantized(rows=2),
    on_load=_on_load(0.035, double=True),
    least_capability=(6, 0),
    offloads=False,
    packages=("bitsandbytes",),
)


GPTQ_PACKAGES: Final = ("optimum", "gptqmodel")
MARLIN_BITS: Final = (4, 8)
MARLIN_LOCKS: Final = Part(128 * 32, "matrix")
"""Marlin's workspace of each matrix: an int32 for each multiprocessor, and no fewer than 128
(gptqmodel/utils/marlin.py `marlin_make_workspace_new`, 7.3)."""
_GPTQ_8: Final = Slowdown(host=1.3, memory=0.57, compute=1.0)
_GPTQ_4: Final = Slowdown(host=0.95, memory=0.39, compute=1.0)
_AWQ: Final = Slowdown(host=1.28, memory=0.39, compute=1.0)
"""Tokens per second beside those of BF16 in Qwen2.5's speed benchmark (auto_gptq 0.6, AutoAWQ, A100). Prompts
are too small a part of its figures to tell what they take. They stand in for gptqmodel's kernels too, which
nobody has published figures of."""


@lru_cache
def gptq(bits: int) -> Scheme:
    """GPTQ as transformers 5 loads it: through gptqmodel, whose Marlin kernel multiplies what is stored.

    It lays matrices out anew once all are loaded, and lets go of their zeros and of the order of their inputs
    (gptqmodel/nn_modules/qlinear/marlin.py, `post_init`, 7.3). Other widths run in torch, which keeps both
    and dequantizes (torch.py there).
    """
    packed = (Part(bits, "element"), Part(16, "group", GROUP))
    beside = (Part(bits, "group", GROUP), Part(32, "column"))
    if bits not in MARLIN_BITS:
        return Scheme(
            name=f"gptq-int{bits}",
            parts=packed + beside,
            replaces=MATRICES,
            methods=frozenset({"gptq"}),
            product=Dequantized(1, unpacked=4),
            packages=GPTQ_PACKAGES,
        )
    return Scheme(
        name=f"gptq-int{bits}",
        parts=(*packed, MARLIN_LOCKS),
        replaces=MATRICES,
        methods=frozenset({"gptq"}),
        loading=beside,
        packages=GPTQ_PACKAGES,
        slowdown=_GPTQ_8 if bits == 8 else _GPTQ_4,
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
)
AUTO_AWQ: Final = Scheme(
    name="autoawq",  # as AutoAWQ held it, for transformers before 5: its GEMM layout
    parts=(Part(4, "element"), Part(4, "group", GROUP), Part(16, "group", GROUP)),
    replaces=MATRICES,
    product=Dequantized(AWQ_UNPACK_ROWS),
    stores_tied_head=True,
    slowdown=_AWQ,
)
FP8: Final = Scheme(
    name="fp8",  # an fp32 scale per output row, or per 128x128 block where stored so
    parts=(Part(8, "element"), Part(32, "tile")),
    replaces=MATRICES,
    methods=frozenset({"fp8", "compressed-tensors"}),
    dequantizes_on_request=True,
    keeps_tied_head=True,
    least_capability=(8, 9),  # transformers 5.19, quantizers/quantizer_finegrained_fp8.py
)
MXFP4: Final = Scheme(
    name="mxfp4",  # OCP MX: one 8-bit scale per 32
    parts=(Part(4, "element"), Part(8, "block", 32)),
    replaces=frozenset({"experts"}),
    methods=frozenset({"mxfp4"}),
    dequantizes_on_request=True,
    least_capability=(7, 5),  # transformers 5.19, quantizers/quantizer_mxfp4.py
    packages=("kernels", "triton"),
)


def _gguf(name: str, elements: int, bytes_: int) -> Scheme:
    """One block of ggml's type traits (ggml.c)."""
    return Scheme(name, (Part(8 * bytes_, "block", elements),), EVERY_MATRIX)


SCHEMES: Final[dict[str, Scheme]] = {
    scheme.name: scheme
    for scheme in (
        INT8,
        NF4,
        NF4_DOUBLE,
        gptq(8),
        gptq(4),
        AWQ,
        FP8,
        MXFP4,
        _gguf("q2_k", 256, 84),
        _gguf("q3_k", 256, 110),
        _gguf("q4_0", 32, 18),
        _gguf("q4_k", 256, 144),
        _gguf("q5_k", 256, 176),
        _gguf("q6_k", 256, 210),
        _gguf("q8_0", 32, 34),
    )
}
"""In the order in which a file's schema lists them."""


def _bitsandbytes(stored: StoredQuantization) -> Scheme:
    if stored.bits == 8:
        return INT8
    return NF4_DOUBLE if stored.double else NF4


@lru_cache
def _compressed(bits: int) -> Scheme:
    """compressed-tensors: packed with 16-bit group scales, or 8 bits with one fp32 scale a row."""
    scale = Part(32, "row") if bits >= 8 else Part(16, "group")
    return Scheme(
        "compressed-tensors",
        (Part(min(bits, 8), "element"), scale),
        MATRICES,
        packages=("compressed_tensors",),
    )


METHODS: Final[dict[str, Callable[[StoredQuantization], Scheme]]] = {
    "gptq": lambda stored: gptq(stored.bits),
    "awq": lambda stored: AWQ,
    "fp8": lambda stored: FP8,
    "mxfp4": lambda stored: MXFP4,
    "compressed-tensors": lambda stored: _compressed(stored.bits),
    "bitsandbytes": _bitsandbytes,
}
"""The scheme of a checkpoint, by its `quant_method`."""
BEFORE: Final[dict[str, Callable[[StoredQuantization], Scheme]]] = {
    "autogptq": lambda stored: auto_gptq(stored.bits),
    "autoawq": lambda stored: AUTO_AWQ,
}
"""How loaders of transformers 4 held two of them, for figures measured then: no file names these."""


def on_the_fly() -> dict[str, OnLoad]:
    """Schemes that 16-bit weights can be turned into while they load, least loss first."""
    made = {name: scheme.on_load for name, scheme in SCHEMES.items() if scheme.on_load is not None}
    return dict(sorted(made.items(), key=lambda item: item[1].loss))


def scheme_of(storage: str, stored: StoredQuantization | None = None) -> Scheme | None:
    """What `storage` stands for: a precision, or the `quant_method` of a checkpoint `stored` so.

    None for a plain dtype; raises UnsupportedError for what is not described.
    """
    if storage in DTYPES:
        return None
    if stored is not None and storage == stored.method and storage in METHODS | BEFORE:
        return (METHODS | BEFORE)[storage](stored)
    if storage in SCHEMES:
        return SCHEMES[storage]
    known = ", ".join(dict.fromkeys([*SCHEMES, *METHODS]))
    raise UnsupportedError(f"quantization {storage!r} is not described; known: {known}")
