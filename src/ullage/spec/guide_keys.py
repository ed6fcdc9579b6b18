"""Keys under which users of the guides' systems know things, turned into Ullage's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

_BITS: Final = {4: "nf4", 8: "int8"}
_WORDS: Final = {"4bit": "nf4", "8bit": "int8"}


def accept_guide_keys(data: dict[str, Any], mistake: Callable[[tuple[str | int, ...], str], None]) -> None:
    """Rewrites `data` in place: quantization switches, precision_mode, activation_cache_filter."""
    given = data.get("roles")
    roles: dict[str, Any] = given if isinstance(given, dict) else {}
    for name, role in roles.items():
        if isinstance(role, str):
            roles[name] = role = {"model": role}
        if isinstance(role, dict):
            _quantization(role, ("roles", name), mistake)
    memory = data.get("memory")
    if not isinstance(memory, dict):
        return
    mode = memory.get("precision_mode")
    if mode in ("fp32", "fp16", "bf16"):
        for role in roles.values():
            if isinstance(role, dict) and role.get("precision", "auto") == "auto":
                role["precision"] = mode
    sites = memory.get("activation_cache_filter")
    if isinstance(sites, list) and sites and not data.get("captures"):
        data["captures"] = [{"sites": sites}]


def _quantization(
    role: dict[str, Any],
    path: tuple[str | int, ...],
    mistake: Callable[[tuple[str | int, ...], str], None],
) -> None:
    wanted = None
    used, bits = role.pop("use_quantized", None), role.pop("quantization_bits", None)
    word = role.pop("quantization", None)
    if used not in (None, True, False):
        mistake((*path, "use_quantized"), f"{used!r} must be true or false")
        return
    if bits is not None and bits not in _BITS:
        mistake((*path, "quantization_bits"), f"{bits!r} must be 4 or 8")
        return
    if word is not None and word not in _WORDS:
        mistake((*path, "quantization"), f"{word!r} must be 4bit or 8bit")
        return
    if used or (bits is not None and used is None):
        wanted = _BITS[bits or 8]
    if word is not None:
        wanted = _WORDS[word]
    if wanted is None:
        return
    given = role.get("precision", "auto")
    if given not in ("auto", wanted):
        mistake((*path, "precision"), f"{given!r} contradicts the quantization switch ({wanted})")
    role["precision"] = wanted
