"""Every scheme that is described, by the name a file gives its precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ullage.errors import UnsupportedError
from ullage.facts.architecture import StoredQuantization
from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.grouped import AUTO_AWQ, AWQ, auto_gptq, awq, by_groups, gptq
from ullage.facts.quantization.scheme import (
    EVERY_MATRIX,
    LINEAR,
    MATRICES,
    Dequantized,
    OnLoad,
    Part,
    QuantizedInput,
    Scheme,
    Slowdown,
)

CODE_BOOK: Final = Part(16 * 32, "matrix")
"""The 16 values of a 4-bit code, fp32."""
TRADE_8: Final = "LLM.int8() is slower and changes answers (by none to 1 %, arXiv 2208.07339)"
TRADE_FP8: Final = "fp8 weights and inputs change answers (hardly measurable in arXiv 2411.02355)"
TRADE_4: Final = "4-bit weights change answers (one to a few percent, arXiv 2305.14314)"
INT8: Final = Scheme(
    name="int8",  # LLM.int8(), arXiv 2208.07339: an fp32 scale per output row
    parts=(Part(8, "element"), Part(32, "row")),
    replaces=LINEAR,
    methods=frozenset({"bitsandbytes", "compressed-tensors"}),
    # Tokens of 1 to 128 sequences through 8 layers of 4,096 beside an H200 took 3.7 to 4.6 times as long as
    # in bf16, prompts 1.9 times (benchmarks/results/gpu-NVIDIA-H200.json), of 80 beside an H100 3.3 times
    # what is usual in bf16 (benchmarks/measured/bitsandbytes-0.45-speed.csv); at which rate it reads is
    # assumed. Of the parts of a product those for outliers are two fifths: transformers' threshold is 6.0,
    # and 0.0 leaves them out (same source).
    slowdown=Slowdown(host=3.5, memory=0.6, compute=2.0, of="an H200"),
    product=QuantizedInput(input=1, result=4, gives="fp16"),  # backends/cuda/ops.py of bitsandbytes 0.50
    least_capability=(7, 5),  # bitsandbytes 0.50, installation guide
    offloads=False,  # transformers 5.19, quantizers/quantizer_bnb_8bit.py
    on_load=OnLoad(
        "BitsAndBytesConfig", (("load_in_8bit", True),), "bitsandbytes", loss=0.01, trade=TRADE_8, bits=8
    ),
    packages=("bitsandbytes",),
)


def _on_load(loss: float, double: bool, bits: int | None = None) -> OnLoad:
    """NF4 as bitsandbytes makes it. Not in vLLM, which left it to a plugin in 0.28 (its pull request
    43529)."""
    quantized = (("bnb_4bit_quant_type", "nf4"), ("bnb_4bit_use_double_quant", double))
    options = (("load_in_4bit", True), *quantized)
    compute = "bnb_4bit_compute_dtype"
    return OnLoad("BitsAndBytesConfig", options, "bitsandbytes", loss, TRADE_4, compute, bits=bits)


_FOUR_BITS: Final = Dequantized(rows=2, fuses=True)
"""For more than one row of input, and from bitsandbytes 0.50 on for more than 4 to 512, by card and matrix
(`_gemm_4bit_use_custom_cuda` of its backends/cuda/ops.py)."""
NF4: Final = Scheme(
    name="nf4",  # an fp32 absmax per 64 elements
    parts=(Part(4, "element"), Part(32, "block", 64), CODE_BOOK),
    replaces=LINEAR,
    methods=frozenset({"bitsandbytes"}),
    # 8 layers of 4,096 on an H200: a token 1.1 ms a layer, for 0.85 in bf16. To dequantize first took an
    # H100's host 0.46 ms more (benchmarks/measured/bitsandbytes-0.45-speed.csv). Prompts of 512 tokens on an
    # A100 took 43 ms more than in fp16, in batches of 1 and of 16 (bitsandbytes-others-speed.csv): that is
    # dequantizing, and the product takes no longer. At which rate what is stored is multiplied is assumed.
    slowdown=Slowdown(host=1.3, memory=0.65, compute=1.0, unpacking=0.55, of="an H100"),
    product=_FOUR_BITS,
    on_load=_on_load(0.03, double=False, bits=4),
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
    # Of the host: one token on an H100, and batches (same source).
    slowdown=Slowdown(host=1.5, memory=0.65, compute=1.0, unpacking=0.55, of="an H100"),
    product=_FOUR_BITS,
    on_load=_on_load(0.035, double=True),
    least_capability=(6, 0),
    offloads=False,
    packages=("bitsandbytes",),
)


REFUSED_BY_TRAINER: Final = "transformers 5.19 refuses to train a model in it, with adapters too"
"""`validate_quantization_for_training` of trainer_utils.py, where `is_trainable` of a quantizer is False."""
FP8: Final = Scheme(
    name="fp8",  # an fp32 scale per output row, or per 128x128 block where stored so
    parts=(Part(8, "element"), Part(32, "tile")),
    replaces=MATRICES,
    methods=frozenset({"fp8", "compressed-tensors"}),
    dequantizes_on_request=True,
    keeps_tied_head=True,
    least_capability=(8, 9),  # transformers 5.19, quantizers/quantizer_finegrained_fp8.py
    # Weights alone below 8.9, by Marlin (vLLM 0.32, model_executor/layers/quantization/online/base.py).
    least_in_vllm=(7, 5),
    on_load=OnLoad(None, (), "vllm", loss=0.005, trade=TRADE_FP8, vllm="fp8_per_tensor"),
    # 5,418 tokens/s where 16 bits wrote 3,708 (vllm-project/vllm issue 16515); its peak is twice theirs.
    tensor_cores=Slowdown(host=1.0, memory=1.0, compute=3708 / 5418, of="an RTX 5090"),
    untrained=REFUSED_BY_TRAINER,
)
MXFP4: Final = Scheme(
    name="mxfp4",  # OCP MX: one 8-bit scale per 32
    parts=(Part(4, "element"), Part(8, "block", 32)),
    replaces=frozenset({"experts"}),
    methods=frozenset({"mxfp4"}),
    dequantizes_on_request=True,
    least_capability=(7, 5),  # transformers 5.19, quantizers/quantizer_mxfp4.py
    packages=("kernels", "triton"),
    untrained=REFUSED_BY_TRAINER,
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
    "gptq": lambda stored: by_groups(gptq(stored.bits), stored.group),
    "awq": lambda stored: awq(stored.group),
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


def by_transformers() -> dict[str, OnLoad]:
    """Those of them that transformers turns weights into."""
    return {name: made for name, made in on_the_fly().items() if made.config is not None}


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
