"""Bytes per element of compute and storage dtypes, and which precision a role runs in."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture, Model, StoredQuantization
from ullage.facts.gpu import CPU
from ullage.spec.role import Role

ELEMENT_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
SHORT_NAMES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp32"}

BF16_CAPABILITY = (8, 0)
"""First compute capability with bf16 tensor cores (Ampere)."""
FP16_CAPABILITY = (5, 3)
"""First compute capability with fp16 arithmetic."""


@dataclass(frozen=True, slots=True)
class ResolvedPrecision:
    """How weights are stored on the device and what the arithmetic runs in.

    `storage` is `fp32`, `fp16`, `bf16` or a quantization scheme's name; `compute` one of the first
    three; `quantization` the checkpoint's own where that is what runs.
    """

    storage: str
    compute: str
    reason: str
    quantization: StoredQuantization | None = None

    @property
    def element_bytes(self) -> int:
        """Bytes of one activation element."""
        return ELEMENT_BYTES[self.compute]


DEQUANTIZED_ON_REQUEST = frozenset({"fp8", "mxfp4"})
"""Checkpoints that transformers turns into 16 bits on load (`dequantize=True` of their configs)."""


def resolve_precision(role: Role, model: Model, capability: tuple[int, int]) -> ResolvedPrecision:
    """The precision chain: what the file says, else the checkpoint's own, else what the card can.

    On a card that lacks a dtype the chain falls back bf16 -> fp16 -> fp32 and says so in the reason.
    Raises UnsupportedError for a precision that a quantized checkpoint cannot be loaded in.
    """
    quantization = model.quantization if isinstance(model, Architecture) else None
    half, why = _half(capability)
    asked = role.precision
    if asked in ("auto", "stored") and quantization is not None:
        name = f"the checkpoint is {quantization.method} at {quantization.bits} bits"
        return ResolvedPrecision(quantization.method, half, name, quantization)
    checkpoint = model.checkpoint
    if asked in ("auto", "stored") and checkpoint is not None and checkpoint.format == "gguf":
        why = "transformers dequantizes a GGUF file as it loads it; q4_k and its like count it as stored"
        return ResolvedPrecision(half, half, why)
    if asked == "stored":
        stored = SHORT_NAMES.get(model.dtype, "fp32")
        return ResolvedPrecision(stored, stored, f"the checkpoint stores {model.dtype}")
    if asked == "auto":
        return ResolvedPrecision(half, half, why)
    if capability == CPU and asked in ("fp16", "bf16"):
        return ResolvedPrecision(asked, asked, "as the file says; processors compute it slowly")
    if asked == "bf16" and half != "bf16":
        return ResolvedPrecision(half, half, f"bf16 was asked for, but {why}")
    if asked == "fp16" and half == "fp32":
        return ResolvedPrecision(half, half, f"fp16 was asked for, but {why}")
    if asked in ("fp32", "fp16", "bf16"):
        if quantization is not None and quantization.method not in DEQUANTIZED_ON_REQUEST:
            raise UnsupportedError(
                f"{model.name} is stored as {quantization.method}, which is not dequantized on load; use "
                "precision: stored"
            )
        return ResolvedPrecision(asked, asked, "as the file says")
    if isinstance(model, Architecture) and quantization is not None:
        same = (asked, quantization.method) in _SAME_SCHEME
        if not same:
            raise UnsupportedError(
                f"{model.name} is stored as {quantization.method}; it cannot be loaded as {asked}. "
                "Use precision: stored, or an unquantized checkpoint"
            )
        return ResolvedPrecision(quantization.method, half, "as the file says", quantization)
    return ResolvedPrecision(asked, half, "as the file says")


_SAME_SCHEME = {
    ("gptq-int4", "gptq"),
    ("gptq-int8", "gptq"),
    ("awq", "awq"),
    ("fp8", "fp8"),
    ("fp8", "compressed-tensors"),
    ("int8", "compressed-tensors"),
    ("mxfp4", "mxfp4"),
    ("nf4", "bitsandbytes"),
    ("nf4-dq", "bitsandbytes"),
    ("int8", "bitsandbytes"),
}


def _half(capability: tuple[int, int]) -> tuple[str, str]:
    if capability == CPU:
        return "fp32", "there is no GPU, and a processor computes fp32 best"
    number = f"{capability[0]}.{capability[1]}"
    if capability >= BF16_CAPABILITY:
        return "bf16", f"compute capability {number} has bf16"
    if capability >= FP16_CAPABILITY:
        return "fp16", f"compute capability {number} lacks bf16 (it needs 8.0)"
    return "fp32", f"compute capability {number} lacks fp16 arithmetic (it needs 5.3)"
