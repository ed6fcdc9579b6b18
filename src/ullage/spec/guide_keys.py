"""Keys under which users of the guides' systems know things, turned into Ullage's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.known import on_the_fly
from ullage.spec.capture import Capture
from ullage.spec.mistake import Mistake, Path, shorten
from ullage.spec.site_patterns import EVERY
from ullage.spec.workload import Workload

ROLE_KEYS: Final = ("use_quantized", "quantization_bits", "quantization")
"""Accepted on a role beside its own fields."""


def switches() -> dict[int, str]:
    """The scheme that each number of bits stands for, fewest first: `quantization_bits: 4`."""
    return dict(sorted((each.bits, name) for name, each in on_the_fly().items() if each.bits is not None))


def name_models(data: dict[str, object]) -> None:
    """A role given as the bare name of its model becomes a mapping, in place."""
    roles = data.get("roles")
    if not isinstance(roles, dict):
        return
    for name, role in roles.items():
        if isinstance(role, str):
            roles[name] = {"model": role}


def take_quantization(data: dict[str, object]) -> Iterator[Mistake]:
    """Turns the quantization switches of every role into its precision, in place."""
    roles = data.get("roles")
    for name, role in roles.items() if isinstance(roles, dict) else ():
        if isinstance(role, dict):
            yield from _quantization(role, ("roles", name))


def _quantization(role: dict[str, object], path: Path) -> Iterator[Mistake]:
    given = {key: role.pop(key) for key in ROLE_KEYS if key in role}
    used, bits, word = (given.get(key) for key in ROLE_KEYS)
    by_bits = switches()
    by_word = {f"{number}bit": name for number, name in by_bits.items()}
    wrong = []
    if "use_quantized" in given and not isinstance(used, bool):
        wrong.append(("use_quantized", used, "true or false"))
    if "quantization_bits" in given and (not isinstance(bits, int) or bits not in by_bits):
        wrong.append(("quantization_bits", bits, " or ".join(map(str, by_bits))))
    if "quantization" in given and (not isinstance(word, str) or word not in by_word):
        wrong.append(("quantization", word, " or ".join(by_word)))
    for key, value, valid in wrong:
        yield Mistake((*path, key), f"{shorten(repr(value), 60)} is not {valid}")
    if wrong:
        return
    wanted = {by_bits[bits]} if isinstance(bits, int) and used is not False else set()
    if isinstance(word, str):
        wanted.add(by_word[word])
    precision = role.get("precision", "auto")
    if used and not wanted and precision in ("auto", *DTYPES):
        offered = " or ".join(map(str, reversed(by_bits)))
        problem = f"says nothing of the bits; add quantization_bits: {offered}"
        yield Mistake((*path, "use_quantized"), problem)
    if used is False and (word is not None or precision in by_bits.values()):
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


def take_filter(data: dict[str, Any], overrides: Iterable[str]) -> None:
    """`activation_cache_filter` of a file's data as a capture already, where an override changes that."""
    memory = data.get("memory")
    if not isinstance(memory, dict) or memory.get("activation_cache_filter") is None or data.get("captures"):
        return
    if any(each.strip().startswith("captures.") for each in overrides):
        data["captures"] = [{"sites": memory.pop("activation_cache_filter") or [EVERY]}]


def spread_memory(workload: Workload, overrides: Iterable[str] = ()) -> Workload:
    """`precision_mode` for roles that leave theirs open and of which no override sets it,
    `activation_cache_filter` as a capture.

    What was spread stands nowhere else any more, so a workload written down and read again is the same.
    """
    memory = workload.memory
    changes: dict[str, object] = {}
    if memory.precision_mode not in (None, "auto"):
        mode = {"precision": memory.precision_mode}
        said = {each.partition("=")[0].strip() for each in overrides}
        changes["roles"] = {
            name: role.model_copy(update=mode)
            if role.precision == "auto" and f"roles.{name}.precision" not in said
            else role
            for name, role in workload.roles.items()
        }
    if memory.activation_cache_filter is not None and not workload.captures:
        changes["captures"] = (Capture(sites=memory.activation_cache_filter or (EVERY,)),)
    if changes:
        spread = {"precision_mode": None, "activation_cache_filter": None}
        changes["memory"] = memory.model_copy(update=spread)
    return workload.model_copy(update=changes) if changes else workload
