"""Sets of GPUs as a user names or describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ullage.errors import InputError
from ullage.facts.abilities import least
from ullage.facts.described_gpu import read_description, split_set
from ullage.facts.gpu import Gpu, GpuSet
from ullage.facts.gpu_catalog import find_gpus
from ullage.facts.machine import local_gpus, processor

LARGEST_SET: Final = 1024


def parse_gpu_set(text: str, own: Mapping[str, Gpu] | None = None) -> GpuSet:
    """`2xA100-80GB`, `A100`, `4x RTX A6000`, `1xA100-80GB+2xL4` (a comma does as well), and cards by their
    figures, `2x(24GiB, 936GB/s, 71TFLOPS, sm86)`; `cpu` for this machine without its GPUs, `local` for the
    GPUs it has. `own` are cards by names that the user gave them.

    Raises InputError for another form and for cards of several makers, UnknownNameError for a card it does
    not know, AmbiguousNameError for a name of several.
    """
    if text.strip().casefold() in ("cpu", "local"):
        return processor() if text.strip().casefold() == "cpu" else local_gpus()
    gpus: list[Gpu] = []
    for part in split_set(text):
        match = re.fullmatch(r"\s*(?:(\d{1,6})\s*[x*]\s*)?(\S.*?)\s*", part)
        if match is None:
            raise InputError(f"{text!r} names no GPUs; write for example 2xA100-80GB or 1xH100+2xL4")
        count = int(match[1] or 1)
        if count < 1 or count + len(gpus) > LARGEST_SET:
            raise InputError(f"{text!r}: a set has 1 to {LARGEST_SET} GPUs")
        gpus += _members(match[2], own or {}) * count
    if len(gpus) > LARGEST_SET:
        raise InputError(f"{text!r}: a set has 1 to {LARGEST_SET} GPUs")
    if least(gpu.abilities for gpu in gpus).platform == "apple" and len(gpus) > 1:
        raise InputError(f"{text!r}: a Mac has one GPU, whose memory is its processor's too")
    return GpuSet(tuple(gpus))


def _members(name: str, own: Mapping[str, Gpu]) -> tuple[Gpu, ...]:
    for each, card in own.items():
        if each.casefold() == name.casefold():
            return (card,)
    if name.startswith("("):
        return (read_description(name),)
    return find_gpus(name)
