"""Forward passes as engines and captures run them: their own loops on fake tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from ullage.capture.backward import reached
from ullage.capture.choosing import Choosing
from ullage.capture.listener import Listener, ReadSequence
from ullage.capture.proofs import proven_points
from ullage.capture.reader import Reader
from ullage.capture.sites import Point
from ullage.capture.transfer import Transfer
from ullage.engines.branching import window_of
from ullage.engines.engine import Sampling
from ullage.engines.prefix import SHORTEST_PREFIX, Beginning, SharedPrefix
from ullage.engines.row import new_row
from ullage.engines.scoring import Scorer
from ullage.engines.writing import Writer
from ullage.memory.traced import Asked
from ullage.runtime.layout import Layout
from ullage.tracing.storages import Storages

if TYPE_CHECKING:
    from torch import nn

Points = tuple[Point, ...]
PREFIX: Final = "prefix"
PREFILL: Final = "prefill"
DECODE: Final = "decode"
FILLING: Final = "filling the cache"
LAST: Final = "the last steps"
EVERY_STEP: Final = 8
"""Steps up to which each is traced; of more the first ones and the last ones."""
_MARKS: Final = 16
"""Elements of a cache's tensor that is no state: whether it was initialised, and such."""


class Away(Transfer):
    """Sends tensors to host memory, whose bytes are not a card's."""

    def __init__(self, storages: Storages) -> None:
        super().__init__()
        self._storages = storages

    def send(self, tensor: Tensor) -> Tensor:
        with self._storages.uncounted():
            return torch.empty_like(tensor)


def points_of(layout: Layout, asked: Asked) -> tuple[Point, ...]:
    """Where states are read, held by the family's proof: made outside of fake modes."""
    work, depth = asked.work, len(layout.layers)
    if not work.captures:
        return ()
    ways = (work.chunk_tokens is not None, False) if not work.caches else (False, True)
    if work.activity == "backward":
        ways = False, False
    found = proven_points(work.captures, layout, name=asked.model, depth=depth, ways=ways)
    return reached(found) if work.activity == "backward" else found


def read_forward(
    storages: Storages, model: nn.Module, layout: Layout, asked: Asked, points: Points
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Runs what is asked for; the stages of its phase, and the captured states that are left."""
    work = asked.work
    with _labelled(storages, model, layout):
        if not work.caches:
            return (PREFILL,), _states(_read(storages, model, layout, asked, points))
        if work.logits == "none":
            return (PREFIX,), _prefix(storages, layout, asked)
        if not work.new_tokens:
            # Of prompts that share nothing that is known, what they begin with is read in the same phase.
            stages = (PREFILL,) if work.cached_tokens else (PREFIX, PREFILL)
            return stages, _score(storages, layout, asked, points)
        return _write(storages, model, layout, asked, points)


def texts(layout: Layout, asked: Asked) -> list[tuple[int, ...]]:
    """The ids of each sequence of a batch: what the work has cached is what all begin with, no more. What is
    scored begins alike in any case, as a template has it, so that a cache is kept."""
    work, rows = asked.work, layout.rows or 2
    begins = work.cached_tokens
    if work.activity == "prefill" and work.caches and not work.new_tokens and not begins:
        begins = min(SHORTEST_PREFIX, work.prompt_tokens - 1)
    shared = tuple(place % rows for place in range(begins))
    length = work.cached_tokens + work.prompt_tokens - begins
    found = []
    for number in range(work.batch):
        own = (number // rows % rows, *[place % rows for place in range(1, length)])
        found.append((*shared, number % rows, *own[: length - 1]))
    return found


def _read(
    storages: Storages, model: nn.Module, layout: Layout, asked: Asked, points: Points
) -> list[ReadSequence]:
    """As `extract` reads given texts: no cache, right padding, over once the last site was read."""
    work = asked.work
    storages.stage = PREFILL
    reader = Reader(model, layout, points, work.chunk_tokens, transfer=_transfer(storages, asked))
    return reader.read(texts(layout, asked), spans_of(asked))


def spans_of(asked: Asked) -> list[tuple[int, int]]:
    """The span of each text, as long as the longest that a capture speaks of."""
    work = asked.work
    widest = [each.span_tokens or 1 for each in work.captures if each.positions == "span"]
    return [(0, min(max(widest), work.prompt_tokens))] * work.batch if widest else []


def _prefix(storages: Storages, layout: Layout, asked: Asked) -> list[Tensor]:
    """What the prompts of all batches begin with: read once, in one row."""
    with torch.inference_mode():
        prefix = SharedPrefix(layout.base, "cpu", asked.work.chunk_tokens, lambda: _stage(storages, PREFIX))
        prefix.cache(texts(layout, asked)[0], 1)
    return []


def _score(storages: Storages, layout: Layout, asked: Asked, points: Points) -> list[Tensor]:
    work = asked.work
    listener = _listener(storages, layout, asked, points)
    scorer = Scorer(layout, "cpu", work.chunk_tokens, lambda: _stage(storages, PREFIX))
    storages.stage = PREFILL
    with torch.inference_mode():
        scorer.scores(texts(layout, asked), [[(0,), (1,)]] * work.batch, listener)
    return _states(listener.finish()) if listener is not None else []


def _write(
    storages: Storages, model: nn.Module, layout: Layout, asked: Asked, points: Points
) -> tuple[tuple[str, ...], list[Tensor]]:
    """As engines write. Of a long reply the first steps are traced, and after a prompt that is longer by all
    but the last of them, those."""
    work = asked.work
    decodes = work.activity == "decode"
    few = min(work.new_tokens, EVERY_STEP + 1) if decodes else 1
    states = _reply(storages, model, layout, asked, points, few, (PREFILL, DECODE))
    if not decodes:
        return (PREFILL,), states
    if few == work.new_tokens:
        return (DECODE,), states
    del states
    # The first step after a prompt still holds what slid out of windows; the second is like all others.
    more = work.new_tokens - 3
    longer = asked._replace(work=work.but(prompt_tokens=work.prompt_tokens + more))
    return (DECODE, LAST), _reply(storages, model, layout, longer, points, 3, (FILLING, FILLING, LAST))


def _reply(
    storages: Storages,
    model: nn.Module,
    layout: Layout,
    asked: Asked,
    points: Points,
    new_tokens: int,
    stages: Sequence[str],
) -> list[Tensor]:
    """Writes so many tokens; `stages` are those of reading the prompt, of each step, the last for all that
    follow."""
    listener = _listener(storages, layout, asked, points)
    beginning = None
    if window_of(layout.config) is None:
        beginning = Beginning(layout, "cpu", asked.work.chunk_tokens)
    writer = Writer(model, "cpu", frozenset(), lambda _: "", asked.work.chunk_tokens, beginning=beginning)
    prompts = texts(layout, asked)
    if len(prompts) > 1 and len(prompts[-1]) > 2:
        prompts[-1] = prompts[-1][:-1]  # as texts are: of several lengths, so that a mask bars padding
    rows = [new_row(ids, 0) for ids in prompts]
    temperature, top_p = asked.sampling
    storages.stage = stages[0]
    for step, _ in enumerate(writer.steps(rows, Sampling(new_tokens, temperature, top_p), listener), 1):
        storages.stage = stages[min(step, len(stages) - 1)]
    return _states(listener.finish()) if listener is not None else []


def _listener(storages: Storages, layout: Layout, asked: Asked, points: Points) -> Listener | None:
    """What hears a batch that is written or weighed, where states are kept of it."""
    work = asked.work
    if not points:
        return None
    return Listener(
        points,
        layout,
        Choosing(work.batch),
        transfer=_transfer(storages, asked),
        to_the_end=bool(work.probed),
    )


def _transfer(storages: Storages, asked: Asked) -> Transfer | None:
    return None if asked.processor else Away(storages)


def _states(read: Sequence[ReadSequence]) -> list[Tensor]:
    return [tensor for each in read for tensor in each.states.values()]


@contextmanager
def _stage(storages: Storages, name: str) -> Iterator[None]:
    before, storages.stage = storages.stage, name
    try:
        yield
    finally:
        storages.stage = before


@contextmanager
def _labelled(storages: Storages, model: nn.Module, layout: Layout) -> Iterator[None]:
    """Says of each pass's cache and logits that they are."""

    def passed(_module: nn.Module, _args: object, output: object) -> None:
        cache = getattr(output, "past_key_values", None) or getattr(output, "cache_params", None)
        if cache is not None:
            storages.say(_tensors_of(cache), "kv_cache")

    def headed(_module: nn.Module, _args: object, output: object) -> None:
        if isinstance(output, Tensor):
            storages.say([output], "logits")

    with ExitStack() as stack:
        for module in {model, layout.base}:
            stack.callback(module.register_forward_hook(passed).remove)
        if layout.head is not None:
            stack.callback(layout.head.register_forward_hook(headed).remove)
        yield


def _tensors_of(cache: object) -> Iterator[Tensor]:
    """Every state that a cache of any class holds."""
    for holder in (cache, *getattr(cache, "layers", ())):
        for value in vars(holder).values():
            held = list(value.values()) if isinstance(value, dict) else value
            for each in held if isinstance(held, list | tuple) else [held]:
                if isinstance(each, Tensor) and each.numel() > _MARKS:
                    yield each
