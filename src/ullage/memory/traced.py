"""What a pass was traced to take: made elsewhere, from the model's own code, and handed to the estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ullage.memory.needs import Need
from ullage.memory.temporaries import TEMPORARY_ROUNDING
from ullage.phases.phase import Work
from ullage.units import Interval

ON_PROCESSOR: Final = 101
ON_CARDS: Final = 115
"""High value of what was traced, percent. On a processor traces are within 1 % of what runs take (tests of
tracing); what a card's kernels take inside one call is not in a trace, nor measured."""


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


class Traced(NamedTuple):
    """Bytes on top of the weights: `live` at the fullest moment, which is in `stage` (the loss, or the layer
    that runs again), and of what, by component. Of those `kept` are what the forward pass kept, inputs of
    layers above all; `captures` are the states and gradients that are there when it is over. `parameters` is
    the model's own count."""

    live: int
    kept: int
    captures: int
    stage: str
    parameters: int
    components: tuple[tuple[str, int], ...] = ()


Tracer = Callable[[Asked], Traced]


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
