"""Keys under which users of the guides' systems know things, turned into Ullage's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ullage.spec.capture import Capture
from ullage.spec.mistake import Mistake, Path, shorten
from ullage.spec.workload import Workload

ROLE_KEYS: Final = ("use_quantized", "quantization_bits", "quantization")
"""Accepted on a role beside its own fields."""
_BITS: Final = {4: "nf4", 8: "int8"}
_WORDS: Final = {"4bit": "nf4", "8bit": "int8"}


def name_models(data: dict[str, Any]) -> None:
    """A role given as the bare name of its model becomes a mapping, in place."""
    roles = data.get("roles")
    if not isinstance(roles, dict):
        return
    for name, role in roles.items():
        if isinstance(role, str):
            roles[name] = {"model": role}


def take_quantization(data: dict[str, Any]) -> Iterator[Mistake]:
    """Turns the quantization switches of every role into its precision, in place."""
    roles = data.get("roles")
    for name, role in roles.items() if isinstance(roles, dict) else ():
        if isinstance(role, dict):
            yield from _quantization(role, ("roles", name))


def _quantization(role: dict[str, Any], path: Path) -> Iterator[Mistake]:
    given = {key: role.pop(key) for key in ROLE_KEYS if key in role}
    used, bits, word = (given.get(key) for key in ROLE_KEYS)
    wrong = []
    if "use_quantized" in given and not isinstance(used, bool):
        wrong.append(("use_quantized", used, "true or false"))
    if "quantization_bits" in given and (not isinstance(bits, int) or bits not in _BITS):
        wrong.append(("quantization_bits", bits, "4 or 8"))
    if "quantization" in given and (not isinstance(word, str) or word not in _WORDS):
        wrong.append(("quantization", word, "4bit or 8bit"))
    for key, value, valid in wrong:
        yield Mistake((*path, key), f"{shorten(repr(value), 60)} is not {valid}")
    if wrong:
        return
    wanted = {_BITS[bits]} if bits is not None and used is not False else set()
    if word is not None:
        wanted.add(_WORDS[word])
    precision = role.get("precision", "auto")
    if used and not wanted and precision in ("auto", "fp32", "fp16", "bf16"):
        problem = "says nothing of the bits; add quantization_bits: 8 or 4"
        yield Mistake((*path, "use_quantized"), problem)
    if used is False and (word is not None or precision in _BITS.values()):
        other = "quantization" if word is not None else "precision"
        yield Mistake((*path, "use_quantized"), f"is false, but {other} quantizes; remove one")
    elif len(wanted) == 2:
        yield Mistake((*path, "quantization"), f"contradicts quantization_bits: {bits}; remove one")
    elif wanted:
        name = wanted.pop()
        if precision not in ("auto", name):
            problem = f"{shorten(repr(precision), 60)} contradicts the quantization switch, which "
            yield Mistake((*path, "precision"), f"{problem}means {name}; remove one")
        role["precision"] = name


def spread_memory(workload: Workload) -> Workload:
    """`precision_mode` for roles that leave theirs open, `activation_cache_filter` as a capture.

    What was spread stands nowhere else any more, so a workload written down and read again is the same.
    """
    memory = workload.memory
    changes: dict[str, Any] = {}
    if memory.precision_mode not in (None, "auto"):
        mode = {"precision": memory.precision_mode}
        changes["roles"] = {
            name: role.model_copy(update=mode) if role.precision == "auto" else role
            for name, role in workload.roles.items()
        }
    if memory.activation_cache_filter and not workload.captures:
        changes["captures"] = (Capture(sites=memory.activation_cache_filter),)
    if changes:
        spread = {"precision_mode": None, "activation_cache_filter": ()}
        changes["memory"] = memory.model_copy(update=spread)
    return workload.model_copy(update=changes) if changes else workload
