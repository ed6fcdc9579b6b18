"""Listens at points of a model while it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ullage.capture.sites import Point
from ullage.capture.taps import Seen

if TYPE_CHECKING:
    from torch import Tensor, nn

Sink = Callable[[Point, "Tensor"], None]
Args = tuple[object, ...]
Kwargs = dict[str, object]


class PassEnded(Exception):
    """Every point of this pass has been read: what comes after them need not run."""


@contextmanager
def listening(points: Iterable[Point], sink: Sink, *, stop: bool) -> Iterator[None]:
    """Calls `sink(point, tensor)` for each point of each pass, in the order in which they are reached.

    With `stop`, PassEnded is raised inside the model once all points of a pass have been read; the caller
    of the model catches it (`run_pass`). All hooks are gone when the block ends, however it ends.
    """
    points = tuple(points)
    waiting = len(points)
    handles = []
    by_tap: dict[tuple[nn.Module, str], list[Point]] = defaultdict(list)
    for point in points:
        by_tap[point.tap.module, point.tap.when].append(point)

    def reached(here: list[Point], seen: Seen) -> None:
        nonlocal waiting
        for point in here:
            sink(point, point.tap.take(seen))
        waiting -= len(here)
        if stop and waiting == 0:
            waiting = len(points)
            raise PassEnded

    try:
        for (module, when), here in by_tap.items():
            if when == "begin":

                def begun(_m: nn.Module, args: Args, kwargs: Kwargs, here: list[Point] = here) -> None:
                    reached(here, Seen(args, kwargs))

                handles.append(module.register_forward_pre_hook(begun, with_kwargs=True))
            else:

                def ended(
                    _m: nn.Module, args: Args, kwargs: Kwargs, output: object, here: list[Point] = here
                ) -> None:
                    reached(here, Seen(args, kwargs, output))

                handles.append(module.register_forward_hook(ended, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def run_pass(model: nn.Module, **inputs: object) -> None:
    """One forward pass, which listening may end early; what it gives is what was listened to."""
    with suppress(PassEnded):
        model(**inputs)
