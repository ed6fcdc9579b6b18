"""Plain dtypes, by the names a workload file gives them."""

from __future__ import annotations

from typing import Final

DTYPES: Final = {"fp32": 4, "fp16": 2, "bf16": 2}
"""Bytes of an element."""
TORCH_NAMES: Final = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
SHORT_NAMES: Final = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp32"}
"""What a checkpoint's dtype is loaded as."""
