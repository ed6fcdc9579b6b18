"""Imports one library and has it do its first work; prints what came of it as JSON. Run as a program."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Final

from ullage.text import whole_text

COPIED: Final = 256 * 2**20
"""Bytes of a copy that is timed; a thousand of those a second would be beyond any bus."""
TIMES: Final = 4


def try_torch() -> dict[str, object]:
    """What it was built for, and each card as it sees it."""
    import torch

    told: dict[str, object] = {
        "cuda": torch.version.cuda or "",
        "hip": torch.version.hip or "",
        "kernels": list(torch.cuda.get_arch_list()),
        "cards": [],
        "problem": "",
    }
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            if torch.cuda.is_available():
                told["cards"] = [_card(index) for index in range(torch.cuda.device_count())]
            elif torch.version.cuda or torch.version.hip:
                torch.cuda.init()
        except Exception as error:  # whatever a driver or a build ends with
            told["problem"] = whole_text(error)
    if not told["cards"] and not told["problem"] and warned:
        told["problem"] = " ".join(str(warned[0].message).split())
    return {"torch": told, "works_on": ["cpu"]}


def _card(index: int) -> dict[str, object]:
    name, (major, minor) = _called(index)
    told = {"index": index, "name": name, "major": major, "minor": minor, "problem": "", "copies": None}
    try:
        _compute(index)
        told["copies"] = {"pinned": _rate(index, True), "pageable": _rate(index, False)}
    except Exception as error:  # no kernel for it, a card that is full, taken or broken
        told["problem"] = whole_text(error)
    return told


def _called(index: int) -> tuple[str, tuple[int, int]]:
    import torch

    return torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)


def _compute(index: int) -> None:
    import torch

    (torch.ones(8, device=f"cuda:{index}") * 2).sum().item()


def _rate(index: int, pinned: bool) -> float:
    """Bytes per second into a card, the best of a few copies."""
    import torch

    there = torch.empty(COPIED, dtype=torch.uint8, device=f"cuda:{index}")
    here = torch.zeros(COPIED, dtype=torch.uint8, pin_memory=pinned)
    best = 0.0
    for _ in range(TIMES):
        torch.cuda.synchronize(index)
        begun = time.perf_counter()
        there.copy_(here, non_blocking=pinned)
        torch.cuda.synchronize(index)
        best = max(best, COPIED / (time.perf_counter() - begun))
    return best


def try_torchvision() -> dict[str, object]:
    """Its compiled part is there for the torch beside it."""
    import torch
    import torchvision

    assert torchvision
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    torch.ops.torchvision.nms(boxes, torch.tensor([1.0]), 0.5)
    return {"works_on": ["cpu"]}


def try_bitsandbytes() -> dict[str, object]:
    """Weights come back from four bits, on the processor and on the first card."""
    import torch

    devices = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]
    works: list[str] = []
    problem = ""
    for device in devices:
        try:
            _quantize(device)
            works.append(device)
        except Exception as error:  # its own library lacks, or has none for this CUDA
            problem = f"on {device}: {whole_text(error)}"
    return {"works_on": works, "problem": problem}


def _quantize(device: str) -> None:
    import torch
    from bitsandbytes import functional

    weight = torch.linspace(-1, 1, 64 * 64, device=device, dtype=torch.bfloat16).reshape(64, 64)
    packed, state = functional.quantize_4bit(weight, quant_type="nf4")
    back = functional.dequantize_4bit(packed, state)
    error = (back.float() - weight.float()).abs().max().item()
    if not error < 0.2:
        raise ArithmeticError(f"weights that were quantized to nf4 come back {error:g} away")


def try_flash_attn() -> dict[str, object]:
    """It is built for the torch beside it."""
    from flash_attn import flash_attn_func

    assert flash_attn_func
    return {"works_on": []}


TRIALS: Final[Mapping[str, Callable[[], dict[str, object]]]] = {
    "torch": try_torch,
    "torchvision": try_torchvision,
    "bitsandbytes": try_bitsandbytes,
    "flash_attn": try_flash_attn,
}
"""By module."""


def tried(name: str) -> dict[str, object]:
    """What came of a library, as it is printed."""
    begun = time.monotonic()
    found: dict[str, object] = {"name": name, "problem": "", "works_on": []}
    try:
        found |= TRIALS[name]()
    except Exception as error:  # that is what it is tried for
        found["problem"] = whole_text(error)
    return {**found, "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is none of the answer
    os.write(out, json.dumps(tried(sys.argv[1])).encode())
    os._exit(0)
