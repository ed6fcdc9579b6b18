"""Whether a text gives the same states alone, in a batch, in chunks and token by token."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ullage.capture.choosing import Choosing
from ullage.capture.coverage import Coverage, Part, left_padded
from ullage.capture.identities import TOLERANCE, Broken, far
from ullage.capture.listener import Listener, ReadSequence, States
from ullage.capture.reader import Reader
from ullage.capture.sites import Point
from ullage.capture.taps import PATTERN
from ullage.runtime.layout import Layout
from ullage.runtime.rope import frequencies_of, goes_on, groups
from ullage.runtime.shrunk import ORIGINAL

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH, STREAMED, GENERATED = "alone = in a batch", "alone = streamed", "alone = generated"
CHUNK: Final = 7
NEW: Final = 3

Differences = dict[str, Broken]


def compare_readings(
    model: nn.Module, layout: Layout, ids: Tensor, points: Sequence[Point]
) -> tuple[Differences, Differences, Differences]:
    """What differs between texts alone and in a batch, streamed and generated: by hook, what is broken.

    The texts are rows of `ids`, one whole, the others cut: longer than windows, and shorter than an original
    length.
    """
    texts = [row[:length] for row, length in zip(ids.tolist(), (ids.shape[1], 25, ORIGINAL - 4), strict=True)]
    growing = [k for k, text in enumerate(texts) if goes_on(layout.config, len(text) - NEW, len(text))]
    plain = tuple(point for point in points if point.site.hook != PATTERN)
    sets = [plain] if len(plain) == len(points) else [plain, tuple(p for p in points if p not in plain)]
    found: tuple[Differences, Differences, Differences] = ({}, {}, {})
    for each in sets:
        if not each:
            continue
        alone = _one_by_one(Reader(model, layout, each), texts)
        ways: tuple[Callable[[], list[States]], ...] = (
            partial(_together, Reader(model, layout, each), texts),
            partial(_one_by_one, Reader(model, layout, each, chunk_tokens=CHUNK), texts),
            partial(_generated, model, layout, each, [texts[place] for place in growing]),
        )
        for differences, identity, read in zip(found, (BATCH, STREAMED, GENERATED), ways, strict=True):
            known = [alone[place] for place in growing] if identity == GENERATED else alone
            differences.update(_differences(identity, known, read, each))
    return found


def _together(reader: Reader, texts: Sequence[Sequence[int]]) -> list[States]:
    return _states(reader.read(texts))


def _one_by_one(reader: Reader, texts: Sequence[Sequence[int]]) -> list[States]:
    return [_states(reader.read([text]))[0] for text in texts]


def _states(read: Sequence[ReadSequence]) -> list[States]:
    return [each.states for each in read]


def _differences(
    identity: str, alone: Sequence[States], read: Callable[[], list[States]], points: Sequence[Point]
) -> Differences:
    try:
        other = read()
    except Exception as error:  # whatever the model says of a pass that it cannot make
        said = " ".join(str(error).split())[:200]
        return {point.site.hook: Broken(identity, math.inf, said) for point in points}
    worst: dict[str, float] = {}
    for one, two in zip(alone, other, strict=True):
        for point in points:
            hook = point.site.hook
            worst[hook] = max(worst.get(hook, 0.0), far(two[point.name], one[point.name]))
    return {hook: Broken(identity, error) for hook, error in worst.items() if error > TOLERANCE}


def _generated(
    model: nn.Module, layout: Layout, points: tuple[Point, ...], texts: Sequence[Sequence[int]]
) -> list[States]:
    """Texts as a generation reads them, those together that may be."""
    found: dict[int, States] = {}
    for places in groups(layout.config, [len(text) for text in texts]):
        own = [texts[place] for place in places]
        found |= zip(places, _written(model, layout, points, own), strict=True)
    return [found[place] for place in range(len(texts))]


def _written(
    model: nn.Module, layout: Layout, points: tuple[Point, ...], texts: Sequence[Sequence[int]]
) -> list[States]:
    """A batch padded on the left, then its last tokens one by one."""
    import torch

    listener = Listener(points, layout, Choosing(len(texts)))
    eager = {"output_attentions": True} if any(p.site.hook == PATTERN for p in points) else {}
    lengths = [len(text) - NEW for text in texts]
    longest = max(lengths)
    ids = torch.tensor([[0] * (longest - n) + list(text[:n]) for text, n in zip(texts, lengths, strict=True)])
    mask = torch.tensor([[0] * (longest - n) + [1] * n for n in lengths])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache: object = None
    with torch.inference_mode(), frequencies_of(model, layout.config, max(map(len, texts))):
        for step in range(NEW + 1):
            coverage = left_padded(lengths, 0, longest) if step == 0 else _newest(lengths, step)
            with listener.during(coverage):
                out = model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    **eager,
                )
            cache = out.past_key_values
            if step == NEW:
                break
            ids = torch.tensor([[text[n + step]] for text, n in zip(texts, lengths, strict=True)])
            mask = torch.cat([mask, mask.new_ones(len(texts), 1)], dim=1)
            positions = positions[:, -1:] + 1
    listener.ended(texts, lengths)
    return _states(listener.finish())


def _newest(lengths: Sequence[int], step: int) -> Coverage:
    parts = tuple(Part(row, 0, row, n + step - 1, n + step) for row, n in enumerate(lengths))
    return Coverage(len(lengths), parts)
