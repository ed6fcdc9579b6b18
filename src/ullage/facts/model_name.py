"""What a model's name says of its shape: that of another whose name differs in words that leave it alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

VARIANTS: Final = frozenset(
    (
        *("instruct", "chat", "it", "pt", "base", "hf", "sft", "dpo", "reasoning", "thinking"),
        *("gguf", "ggml", "mlx", "awq", "gptq", "bnb", "exl2", "unsloth", "quantized", "dynamic"),
        *("3bit", "4bit", "6bit", "8bit", "int4", "int8", "w4a16", "w8a8"),
        *("bf16", "fp16", "fp8", "nvfp4", "mxfp4"),
    )
)
"""Words that say how a model was trained on, or how it is stored."""


_STORED: Final = (
    ({"gptq", "int8"}, "gptq-int8"),
    ({"gptq", "8bit"}, "gptq-int8"),
    ({"gptq"}, "gptq-int4"),
    ({"awq"}, "awq"),
    ({"bnb", "4bit"}, "nf4"),
    ({"bnb", "8bit"}, "int8"),
    ({"fp8"}, "fp8"),
    ({"mxfp4"}, "mxfp4"),
)
"""Words that together name a precision of `ullage plan`; the first that are all there."""


def precision_by_name(name: str) -> str:
    """The precision that a model is stored in by the words of its name; "" where they do not say."""
    words = _words(name)
    return next((stored for needed, stored in _STORED if needed <= words), "")


def alike(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Those of `known` that are called as `name` is but for whose they are and for VARIANTS; first the ones
    that share most of these words.

    `unsloth/Llama-3.1-8B-bnb-4bit` is called as `meta-llama/Llama-3.1-8B` is.
    """
    words = _words(name)
    stem = words - VARIANTS
    found = [each for each in known if _words(each) - VARIANTS == stem]
    return tuple(sorted(found, key=lambda each: len(_words(each) ^ words)))


def _words(name: str) -> frozenset[str]:
    """The words behind the slash; a scheme may follow a point (`quantized.w8a8`)."""
    tail = name.casefold().rsplit("/", 1)[-1].replace("_", "-").replace(".w", "-w")
    return frozenset(tail.removeprefix("meta-").split("-"))
