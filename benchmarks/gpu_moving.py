"""More sections of gpu.py: weights that come and go, as a pool of models moves them; states read beside a
bare forward; gradients of states.

The model that moves has the shape of Llama-3.1-8B with 8 layers in bf16 (4.1 GiB); the one that is read is
the 124M-parameter GPT-2's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

MIB = 2**20
PAIRS = 30
BATCH, TOKENS = 32, 128

Row = dict[str, Any]
Todo = Iterator[tuple[str, Callable[[], Row]]]


def pool(folder: Path, saved: Callable[[Path], Path]) -> Todo:
    """Ways of bringing one model's weights onto the card: seconds, GB/s, and what each holds."""
    for name, way in WAYS.items():
        for busy in (False, True):
            yield (
                f"{name}{', beside products' if busy else ''}",
                partial(moved, saved, folder, way, busy),
            )
    yield "pinning", partial(pinned_buffer, 4 << 30)


def moved(saved: Callable[[Path], Path], folder: Path, way: Callable[..., Any], busy: bool) -> Row:
    """Seconds of one move after a first, which warms the allocator; live and reserved peaks in MiB."""
    import torch

    path = saved(folder)
    host, count = weights_at(path)
    held = way(host, None)
    square = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    side = torch.cuda.Stream()
    found = []
    for _ in range(3):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        if busy:
            for _ in range(60):
                square @ square
        begun = time.perf_counter()
        with torch.cuda.stream(side):
            there = way(host, held)
        side.synchronize()
        found.append(time.perf_counter() - begun)
        peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        del there
        torch.cuda.synchronize()
    seconds = statistics.median(found)
    return {
        "figures": {
            "bytes": count,
            "seconds": round(seconds, 4),
            "GB/s": round(count / seconds / 1e9, 1),
            "live, MiB": round(peaks[0] / MIB, 1),
            "reserved, MiB": round(peaks[1] / MIB, 1),
        }
    }


@cache
def weights_at(path: Path) -> tuple[dict[str, Any], int]:
    """A model's tensors in pageable memory, and their bytes."""
    from safetensors.torch import load_file

    host = {
        name: each.clone()
        for file in sorted(path.glob("*.safetensors"))
        for name, each in load_file(file).items()
    }
    return host, sum(each.nbytes for each in host.values())


def pageable(host: dict[str, Any], _held: Any) -> Any:
    return [each.to("cuda") for each in host.values()]


def pinned_each(host: dict[str, Any], held: Any) -> Any:
    """Every tensor pinned by itself (torch rounds each to a power of two)."""
    if held is None:
        return [each.pin_memory() for each in host.values()]
    return [each.to("cuda", non_blocking=True) for each in held]


def pinned_flat(host: dict[str, Any], held: Any) -> Any:
    """All tensors in one pinned buffer, copied piece by piece to tensors of their own."""
    import torch

    if held is None:
        buffer = torch.empty(sum(each.nbytes for each in host.values()), dtype=torch.uint8, pin_memory=True)
        views, at = [], 0
        for each in host.values():
            view = buffer[at : at + each.nbytes].view(each.dtype).view(each.shape)
            view.copy_(each)
            views.append(view)
            at += each.nbytes
        return views
    return [each.to("cuda", non_blocking=True) for each in held]


def one_copy(host: dict[str, Any], held: Any) -> Any:
    """One pinned buffer to one buffer on the card, of which tensors are views."""
    import torch

    if held is None:
        return torch.empty(sum(each.nbytes for each in host.values()), dtype=torch.uint8, pin_memory=True)
    return held.to("cuda", non_blocking=True)


def staged(host: dict[str, Any], held: Any) -> Any:
    """Pageable tensors through two pinned pieces of 64 MiB."""
    import torch

    if held is None:
        pieces = [torch.empty(64 * MIB, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
        return [(piece, torch.cuda.Event()) for piece in pieces]
    made, turn = [], 0
    for each in host.values():
        there = torch.empty(each.nbytes, dtype=torch.uint8, device="cuda")
        flat = each.reshape(-1).view(torch.uint8)
        for at in range(0, each.nbytes, 64 * MIB):
            piece, done = held[turn % 2]
            done.synchronize()
            part = flat[at : at + 64 * MIB]
            piece[: len(part)].copy_(part)
            there[at : at + len(part)].copy_(piece[: len(part)], non_blocking=True)
            done.record()
            turn += 1
        made.append(there)
    return made


WAYS = {
    "pageable, tensor by tensor": pageable,
    "pinned, tensor by tensor": pinned_each,
    "one pinned buffer, tensor by tensor": pinned_flat,
    "one pinned buffer, one copy": one_copy,
    "pageable through two pinned pieces": staged,
}


def pinned_buffer(size: int) -> Row:
    """What pinning takes: seconds, and GB/s, of a new buffer and of memory that is there already."""
    import torch

    begun = time.perf_counter()
    buffer = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    new = time.perf_counter() - begun
    plain = torch.ones(size, dtype=torch.uint8)
    begun = time.perf_counter()
    code = torch.cuda.cudart().cudaHostRegister(plain.data_ptr(), plain.nbytes, 0)
    registered = time.perf_counter() - begun
    del buffer
    return {"figures": {"new, s": round(new, 3), "registered, s": round(registered, 3), "code": int(code)}}


def reading(_folder: Path) -> Todo:
    """The last position after the middle layer: Extractor beside a forward that stops there; gradients."""
    for dtype in ("float32", "bfloat16"):
        yield f"read beside a stopped forward, {dtype}", partial(beside, dtype)
    for family in ("llama", "gemma2", "gpt_neox"):
        yield f"gradients, {family}", partial(gradients, family)


def beside(dtype: str) -> Row:
    """Median of the ratio of seconds over interleaved pairs, with all but the extremes; and what differs."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config

    import ullage

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(GPT2Config(), dtype=getattr(torch, dtype)).cuda().eval()
    texts = torch.randint(3, 50_000, (BATCH, TOKENS)).tolist()
    extractor = ullage.Extractor(model, ["blocks.5.hook_resid_post"], positions="last")

    def bare() -> Any:
        with torch.inference_mode(), stopping(model.transformer.h[5]) as kept:
            try:
                model(input_ids=torch.tensor(texts, device="cuda"), use_cache=False)
            except Stop:
                return kept[0][:, -1:].cpu()

    def own() -> Any:
        read = extractor.read(texts)
        return torch.stack([each.states["blocks.5.hook_resid_post"].cpu() for each in read])

    ratios, times = [], []
    difference = float((own().float() - bare().float()).abs().max())
    for turn in range(PAIRS + 3):
        taken = {}
        for name, work in (("bare", bare), ("own", own))[:: 1 if turn % 2 else -1]:
            torch.cuda.synchronize()
            begun = time.perf_counter()
            work()
            taken[name] = time.perf_counter() - begun
        if turn >= 3:
            ratios.append(taken["own"] / taken["bare"])
            times.append(taken["own"])
    ratios.sort()
    return {
        "figures": {
            "pairs": PAIRS,
            "ratio, median": round(statistics.median(ratios), 3),
            "ratio, interval": [round(ratios[9], 3), round(ratios[-10], 3)],
            "ms a batch": round(1000 * statistics.median(times), 2),
            "largest difference": difference,
        }
    }


class Stop(Exception):
    pass


class stopping:
    """A hook that keeps a block's output and ends the pass."""

    def __init__(self, block: Any) -> None:
        self._block = block

    def __enter__(self) -> list[Any]:
        kept: list[Any] = []

        def stop(_module: Any, _inputs: Any, output: Any) -> None:
            kept.append(output[0] if isinstance(output, tuple) else output)
            raise Stop

        self._hook = self._block.register_forward_hook(stop)
        return kept

    def __exit__(self, *_: Any) -> None:
        self._hook.remove()


def gradients(family: str) -> Row:
    """Extractor.backward beside plain autograd: largest difference over the largest gradient, and peaks."""
    import small_models
    import torch

    import ullage

    model = small_models.build(family, hidden=512, heads=8, kv_heads=4, layers=6).cuda()
    ids = torch.randint(3, 90, (1024,)).tolist()
    site = "blocks.2.hook_resid_post"
    kept: list[Any] = []
    block = {"llama": "model.layers.2", "gemma2": "model.layers.2", "gpt_neox": "gpt_neox.layers.2"}[family]

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)
        kept[0].retain_grad()

    hook = model.get_submodule(block).register_forward_hook(keep)
    read = torch.tensor([ids], device="cuda")
    torch.cuda.reset_peak_memory_stats()
    model(input_ids=read, labels=read, use_cache=False).loss.backward()
    plain_peak = torch.cuda.max_memory_allocated()
    hook.remove()
    wanted = kept[0].grad.detach().reshape(len(ids), -1).clone()
    kept.clear()
    model.zero_grad(set_to_none=True)
    torch.cuda.reset_peak_memory_stats()
    (found,) = ullage.Extractor(model, [site]).backward([ids])
    peak = torch.cuda.max_memory_allocated()
    got = found.states[f"{site}_grad"].to(wanted.device).reshape(wanted.shape)
    return {
        "figures": {
            "relative difference": float((got - wanted).abs().max() / wanted.abs().max()),
            "live, MiB": round(peak / MIB, 1),
            "live of plain autograd with weights' gradients, MiB": round(plain_peak / MIB, 1),
        }
    }
