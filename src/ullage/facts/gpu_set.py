"""Sets of GPUs as a user names them."""

from __future__ import annotations

import re
from typing import Final

from ullage.errors import InputError
from ullage.facts.abilities import least
from ullage.facts.gpu import Gpu, GpuSet, find_gpu
from ullage.facts.machine import local_gpus, processor

LARGEST_SET: Final = 1024


def parse_gpu_set(text: str) -> GpuSet:
    """`2xA100-80GB`, `A100`, `4x RTX A6000`, `1xA100-80GB+2xL4` (a comma does as well); `cpu` for this
    machine without its GPUs, `local` for the GPUs it has.

    Raises InputError for another form and for cards of several makers, UnknownNameError for a card it does
    not know.
    """
    if text.strip().casefold() in ("cpu", "local"):
        return processor() if text.strip().casefold() == "cpu" else local_gpus()
    gpus: list[Gpu] = []
    for part in re.split(r"[+,]", text):
        match = re.fullmatch(r"\s*(?:(\d{1,6})\s*[x*]\s*)?(\S.*?)\s*", part)
        if match is None:
            raise InputError(f"{text!r} names no GPUs; write for example 2xA100-80GB or 1xH100+2xL4")
        count = int(match[1] or 1)
        if not count >= 1 or count + len(gpus) > LARGEST_SET:
            raise InputError(f"{text!r}: a set has 1 to {LARGEST_SET} GPUs")
        gpus += [find_gpu(match[2])] * count
    least(gpu.abilities for gpu in gpus)
    return GpuSet(tuple(gpus))
