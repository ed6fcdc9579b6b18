"""A router by likeness: the final states of a request beside those of the examples in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ullage.engines.engine import Embedding
from ullage.kinds.assistant.routing.route import Chosen

if TYPE_CHECKING:
    from torch import Tensor

SCALES: Final = tuple(2.0**power for power in range(13))
"""What similarities are multiplied by before they become probabilities: the one that makes the examples, each
left out in its turn, most probable."""


class ExampleRouter:
    """Chooses the specialist whose examples a request is most like, in the mean of their cosines."""

    def __init__(self, engine: Embedding, examples: Mapping[str, Sequence[str]], batch: int) -> None:
        self._engine, self._batch = engine, batch
        self._words = tuple(examples)
        states = [engine.embed(list(texts), batch) for texts in examples.values()]
        self._means = [each.mean(0) for each in states]
        self._scale = _scale(states)

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """The likest specialist for each text."""
        import torch

        likeness = self._engine.embed(list(texts), self._batch) @ torch.stack(self._means).T
        found = []
        for row in (self._scale * likeness).softmax(-1).tolist():
            named = dict(zip(self._words, row, strict=True))
            label = max(named, key=named.__getitem__)
            found.append(Chosen(label, named[label], named))
        return found


def _scale(states: Sequence[Tensor]) -> float:
    """The scale under which examples (count, width) of each specialist are likeliest theirs, as if each were
    not among them; the least where no specialist has two."""
    import torch

    sums, counts = [each.sum(0) for each in states], [len(each) for each in states]
    rows, truths = [], []
    for own, some in enumerate(states):
        if counts[own] < 2:
            continue
        means = torch.stack([total / count for total, count in zip(sums, counts, strict=True)])
        likeness = some @ means.T
        likeness[:, own] = (some @ sums[own] - (some * some).sum(-1)) / (counts[own] - 1)
        rows.append(likeness)
        truths += [own] * counts[own]
    if not rows:
        return SCALES[0]
    likeness, truth = torch.cat(rows), torch.tensor(truths)
    losses = [torch.nn.functional.cross_entropy(scale * likeness, truth).item() for scale in SCALES]
    return SCALES[losses.index(min(losses))]
