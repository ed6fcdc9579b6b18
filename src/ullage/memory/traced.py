"""What a pass was traced to take: made elsewhere, from the model's own code, and handed to the estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ullage.memory.needs import ItemKind, Need
from ullage.memory.segments import ROUNDING, SPREAD, TENSORS
from ullage.memory.temporaries import TEMPORARY_ROUNDING
from ullage.phases.phase import Work
from ullage.spec.workload import Fidelity
from ullage.units import Interval

ON_PROCESSOR: Final = 101
ON_CARDS: Final = 115
"""High value of what was traced, percent. On a processor traces are within 1 % of what runs take (tests of
tracing); what a card's kernels take inside one call is not in a trace, nor measured."""
LOW: Final = 90
"""Low value of what a forward pass was traced to take, percent: prompts that need no mask take less."""


class Asked(NamedTuple):
    """A pass that is to be traced: what `work` says, through `model`, by the name its role gives it, in
    `compute` with the attention `kernel` (auto: transformers' choice), as a processor or a card does it.

    On a processor states and gradients of captures stay beside it, from a card they leave unless they are to
    stay. `scheme` is what weights are quantized with; `sampling` the temperature and the share of probability
    (top_p) that tokens are drawn with.
    """

    model: str
    compute: str
    kernel: str
    work: Work
    processor: bool
    scheme: str | None = None
    sampling: tuple[float, float] = (0.0, 1.0)


class Block(NamedTuple):
    """Bytes of one block of a model: `kept` of its cache when the phase is over, and `moment` at the fullest
    moment in it, beside what all blocks keep."""

    kept: int
    moment: int


class Traced(NamedTuple):
    """Bytes on top of the weights: `live` at the fullest moment, which is in `stage` (the loss, or the layer
    that runs again), and of what, by component. Of those `kept` are what the forward pass kept, inputs of
    layers above all; `captures` are the states and gradients that are there when it is over. `parameters` is
    the model's own count.

    Of a forward pass `blocks` are the embeddings, each layer, and what follows them. `unused` is what torch's
    allocator holds on a card beside what is alive, `widest` the largest tensor.
    """

    live: int
    kept: int
    captures: int
    stage: str
    parameters: int
    components: tuple[tuple[str, int], ...] = ()
    blocks: tuple[Block, ...] = ()
    unused: int = 0
    widest: int = 0


Tracer = Callable[[Asked], Traced]


class Tracing(NamedTuple):
    """How passes come to be known: by `fidelity`, as a workload's `memory` has it, traced by `trace`, and run
    by that version of `transformers` (None: not known). Where candidates are weighed, which are many, it does
    not say (`says`) how formulas stand."""

    trace: Tracer
    fidelity: Fidelity = "auto"
    transformers: str | None = None
    says: bool = True


def traced_needs(found: Traced, layers: int, processor: bool) -> list[Need]:
    """The needs of a traced pass, whose sum is its live peak."""
    held = min(found.captures, found.live)
    beside = found.live - held
    kept = min(found.kept, beside) if processor else 0
    needs = [Need("captures", (0,), Interval(0, held, held), "traced", note="states and gradients")]
    if kept:
        each = Interval(0, kept, kept)
        needs.append(Need("activations", (0,), each, "traced", note="inputs of layers, kept"))
    # On a card what is kept passes as the rest does, and leaves segments as that does.
    moment = beside - kept
    high = beside * ON_PROCESSOR // 100 if processor else beside * ON_CARDS // 100 + TEMPORARY_ROUNDING
    note = f"fullest in {found.stage}"
    every = tuple(range(layers + 2))
    needs.append(Need("activations", every, Interval(0, moment, high - kept), "traced", "max", note=note))
    return needs


def forward_needs(found: Traced, layers: int, processor: bool, logits: bool) -> list[Need]:
    """The needs of a traced forward pass of a model of so many loaded layers: what each block keeps, and the
    moments of all, of which a device pays the largest. On one device their sum is the live peak, captured
    states apart. The last block's moment is that of its `logits`, where there are any."""
    blocks = _loaded(found.blocks, layers)
    most = max(found.live - found.captures - sum(block.kept for block in blocks), 0)
    # What a processor's kernels take inside one call is in no trace: small, of small passes the most.
    share, room = ON_PROCESSOR if processor else ON_CARDS, TEMPORARY_ROUNDING
    needs = kept_needs(found, layers)
    for size, where in _alike(block.moment for block in blocks):
        # A moment before caches are full is not the peak that all of them would make of it.
        each = min(size, most)
        held = Interval(each * LOW // 100, each, max(size * share // 100 + room, each))
        last = where == (layers + 1,) and logits
        needs.append(Need("logits" if last else "activations", where, held, "traced", "max"))
    if not processor:
        needs.append(_segments(found, layers))
    return needs


def kept_needs(found: Traced, layers: int) -> list[Need]:
    """What the caches of a traced pass come to, block by block."""
    sizes = (block.kept for block in _loaded(found.blocks, layers))
    return [Need("kv_cache", where, Interval.exactly(size), "traced") for size, where in _alike(sizes)]


def training_needs(found: Traced, layers: int, processor: bool) -> list[Need]:
    """The needs of a span of a traced training step, on one device: what is there throughout it, and its
    fullest moment beside that."""
    sizes = dict(found.components)
    lasting: tuple[ItemKind, ...] = ("gradients", "optimizer")
    stays = {each: sizes[each] for each in lasting if sizes.get(each)}
    needs = [Need(each, (0,), Interval.exactly(size), "traced") for each, size in stays.items()]
    moment = found.live - sum(stays.values())
    share, room = (ON_PROCESSOR, 0) if processor else (ON_CARDS, TEMPORARY_ROUNDING)
    held = Interval(moment * LOW // 100, moment, moment * share // 100 + room)
    every = tuple(range(layers + 2))
    needs.append(Need("activations", every, held, "traced", "max", note=f"fullest in {found.stage}"))
    return needs if processor else [*needs, _segments(found, layers)]


def _segments(found: Traced, layers: int) -> Need:
    """What the allocator holds beside what is alive, as it was replayed."""
    high = found.unused * SPREAD[0] // SPREAD[1] + TENSORS * found.widest + ROUNDING
    note = "replayed through torch's allocator"
    every, size = tuple(range(layers + 2)), Interval(0, found.unused, high)
    return Need("fragmentation", every, size, "traced", "once", "reserved", note=note)


def _loaded(blocks: Sequence[Block], layers: int) -> list[Block]:
    """The blocks of a model of which so many layers are loaded: what follows them ends the pass."""
    rest = blocks[layers + 1 :]
    end = Block(sum(each.kept for each in rest), max((each.moment for each in rest), default=0))
    return [*blocks[: layers + 1], end]


def _alike(sizes: Iterable[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each size that is not 0, with the blocks that have it."""
    found: dict[int, tuple[int, ...]] = {}
    for block, size in enumerate(sizes):
        if size:
            found[size] = (*found.get(size, ()), block)
    return iter(found.items())
