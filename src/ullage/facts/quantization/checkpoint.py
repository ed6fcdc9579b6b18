"""How a checkpoint says it is quantized: `quantization_config`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.architecture import StoredQuantization
from ullage.facts.quantization.known import METHODS


def read_quantization(config: object, name: str) -> StoredQuantization | None:
    """The scheme of a `quantization_config`, None where there is none.

    Raises UnsupportedError for a method whose storage is not described.
    """
    if config is None or config == {}:
        return None
    if not isinstance(config, dict):
        raise FormatError(f"{name}: quantization_config is {type(config).__name__}, not an object")
    method = config.get("quant_method")
    if method is None and ("load_in_4bit" in config or "load_in_8bit" in config):
        method = "bitsandbytes"
    skipped = tuple(
        re.sub(r"[^\w.]", "", str(item).removeprefix("re:")).strip(".")
        for item in config.get("modules_to_not_convert") or config.get("ignore") or ()
    )
    skipped = tuple(item for item in skipped if item)
    if method in ("gptq", "awq"):
        bits = _bits(config.get("bits", 4), name)
        group = config.get("group_size", 128)
        return StoredQuantization(method, bits, group if isinstance(group, int) else 128, skipped)
    if method in ("fp8", "fbgemm_fp8"):
        blocks = config.get("weight_block_size")
        group = blocks[0] if isinstance(blocks, list) and blocks else 0
        return StoredQuantization("fp8", 8, group if isinstance(group, int) else 0, skipped)
    if method == "mxfp4":
        return StoredQuantization("mxfp4", 4, 32, skipped)
    if method == "compressed-tensors":
        bits, group = _compressed(config, name)
        return StoredQuantization("compressed-tensors", bits, group, skipped)
    if method == "bitsandbytes":
        double = bool(config.get("bnb_4bit_use_double_quant"))
        bits = 8 if config.get("load_in_8bit") else 4
        return StoredQuantization("bitsandbytes", bits, 64, skipped, double)
    raise UnsupportedError(
        f"{name}: quantization method {method!r} is not described; known: {', '.join(METHODS)}"
    )


def _bits(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= 8:
        return value
    raise FormatError(f"{name}: quantization_config.bits is {value!r}; it must be 2 to 8")


def _compressed(config: Mapping[str, object], name: str) -> tuple[int, int]:
    """Bits and group of the first config group's weights; W8A8 where it is not said."""
    groups = config.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        return 8, 0
    first = next(iter(groups.values()))
    weights = first.get("weights") if isinstance(first, dict) else None
    if not isinstance(weights, dict):
        return 8, 0
    group = weights.get("group_size")
    return _bits(weights.get("num_bits", 8), name), group if isinstance(group, int) and group > 0 else 0
