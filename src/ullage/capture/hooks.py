"""Listens at points of a model while it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ullage.capture.sites import Point

if TYPE_CHECKING:
    from torch import Tensor, nn

Sink = Callable[[Point, "Tensor"], None]


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

    def reached(here: list[Point], args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        nonlocal waiting
        for point in here:
            sink(point, point.tap.take(args, kwargs, output))
        waiting -= len(here)
        if stop and waiting == 0:
            waiting = len(points)
            raise PassEnded

    try:
        for (module, when), here in by_tap.items():
            if when == "begin":

                def begun(_m: nn.Module, args: Any, kwargs: Any, here: list[Point] = here) -> None:
                    reached(here, args, kwargs, None)

                handles.append(module.register_forward_pre_hook(begun, with_kwargs=True))
            else:

                def ended(_m: nn.Module, args: Any, kwargs: Any, out: Any, here: list[Point] = here) -> None:
                    reached(here, args, kwargs, out)

                handles.append(module.register_forward_hook(ended, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def run_pass(model: Callable[..., Any], **inputs: Any) -> Any:
    """One forward pass; None where listening ended it early."""
    try:
        return model(**inputs)
    except PassEnded:
        return None
