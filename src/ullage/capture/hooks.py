"""Listens at points of a model while it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from ullage.capture.taps import PATTERN, Seen, Tap, pattern_seen

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ullage.capture.sites import Point

Sink = Callable[["Point", "Tensor"], None]
Args = tuple[object, ...]
Kwargs = dict[str, object]


class PassEnded(Exception):
    """Every point of this pass has been read: what comes after them need not run."""


@contextmanager
def listening(
    points: Iterable[Point], sink: Sink, *, stop: bool, at_least: Tap | None = None
) -> Iterator[None]:
    """Calls `sink(point, tensor)` for each point of each pass, in the order in which they are reached.

    With `stop`, PassEnded is raised inside the model once all points of a pass have been read, and `at_least`
    has been reached; the caller of the model catches it (`run_pass`). All hooks are gone when the block
    ends, however it ends.
    """
    points = tuple(points)
    count = len(points) + (at_least is not None)
    waiting = count
    by_tap: dict[tuple[nn.Module, str, bool], list[Point]] = defaultdict(list)
    for point in points:
        by_tap[point.tap.module, point.tap.when, point.site.hook == PATTERN].append(point)

    def reached(here: list[Point], seen: Seen) -> None:
        for point in here:
            sink(point, point.tap.take(seen))
        done(len(here))

    def reached_patterns(here: list[Point], seen: Seen) -> object:
        reached(here, seen)
        return _without_pattern(seen)

    def done(reached: int) -> None:
        nonlocal waiting
        waiting -= reached
        if stop and waiting == 0:
            waiting = count
            raise PassEnded

    with ExitStack() as stack:
        for (*_, of_patterns), here in by_tap.items():
            heard = partial(reached_patterns if of_patterns else reached, here)
            stack.enter_context(listening_at(here[0].tap, heard, first=of_patterns))
        if at_least is not None:
            stack.enter_context(listening_at(at_least, lambda _: done(1)))
        yield


@contextmanager
def listening_at(tap: Tap, heard: Callable[[Seen], object], *, first: bool = False) -> Iterator[None]:
    """Calls `heard` whenever the tap's module begins or ends, as the tap says, while this lasts; `first`
    before other hooks do. What it returns of an end, if anything, stands for the module's output."""

    def begun(_module: nn.Module, args: Args, kwargs: Kwargs) -> None:
        heard(Seen(args, kwargs))

    def ended(_module: nn.Module, args: Args, kwargs: Kwargs, output: object) -> object:
        return heard(Seen(args, kwargs, output))

    if tap.when == "begin":
        handle = tap.module.register_forward_pre_hook(begun, with_kwargs=True)
    else:
        handle = tap.module.register_forward_hook(ended, with_kwargs=True, prepend=first)
    try:
        yield
    finally:
        handle.remove()


def _without_pattern(seen: Seen) -> object:
    """A module's output once its pattern was listened to: transformers would keep every layer's until the
    pass has ended."""
    pattern, output = pattern_seen(seen), seen.output
    assert isinstance(output, tuple | list)
    return type(output)(None if each is pattern else each for each in output)


def run_pass(model: nn.Module, **inputs: object) -> None:
    """One forward pass, which listening may end early; what it gives is what was listened to."""
    with suppress(PassEnded):
        model(**inputs)
