"""A router by likeness: the final states of a request beside those of the examples in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ullage.engines.engine import Embedding
from ullage.kinds.assistant.routing.labels import Asking
from ullage.kinds.assistant.routing.route import Chosen

if TYPE_CHECKING:
    from torch import Tensor

LIKEST: Final = 5
"""Examples of a specialist whose likeness is averaged: it may be asked for things unlike one another."""
SCALES: Final = tuple(2.0**power for power in range(11))
"""What likeness is multiplied by before it becomes probabilities: the one that makes the examples, each left
out in its turn, most probable."""


class ExampleRouter:
    """Chooses the specialist whose likest examples a request is most like, by the cosine of states as the
    router reads them under its instructions, less the mean of all examples: what they share tells nothing."""

    def __init__(
        self, engine: Embedding, asking: Asking, examples: Mapping[str, Sequence[str]], batch: int
    ) -> None:
        import torch

        self._engine, self._asking, self._batch = engine, asking, batch
        self._words = tuple(examples)
        texts = [text for each in examples.values() for text in each]
        self._owners = torch.tensor([at for at, each in enumerate(examples.values()) for _ in each])
        states = self._states(texts)
        self._middle = states.mean(0)
        self._examples = self._centred(states)
        self._scale = self._likeliest_scale()

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """The likest specialist for each text."""
        likeness = self._likeness(self._centred(self._states(texts)) @ self._examples.T)
        found = []
        for row in (self._scale * likeness).softmax(-1).tolist():
            named = dict(zip(self._words, row, strict=True))
            label = max(named, key=named.__getitem__)
            found.append(Chosen(label, named[label], named))
        return found

    def _states(self, texts: Sequence[str]) -> Tensor:
        """(texts, width), each of length 1."""
        return self._engine.embed([self._asking.prompt(text) for text in texts], self._batch)

    def _centred(self, states: Tensor) -> Tensor:
        import torch

        return torch.nn.functional.normalize(states - self._middle, dim=-1)

    def _likeness(self, cosines: Tensor) -> Tensor:
        """(texts, specialists) of cosines (texts, examples): the mean of each one's likest examples."""
        import torch

        found = []
        for at in range(len(self._words)):
            own = cosines[:, self._owners == at]
            found.append(own.topk(min(LIKEST, own.shape[1]), dim=1).values.mean(1))
        return torch.stack(found, 1)

    def _likeliest_scale(self) -> float:
        """By the examples, each as unlike itself as can be, so that it does not tell its own specialist."""
        import torch

        cosines = (self._examples @ self._examples.T).fill_diagonal_(-1)
        likeness = self._likeness(cosines)
        losses = [
            torch.nn.functional.cross_entropy(scale * likeness, self._owners).item() for scale in SCALES
        ]
        return SCALES[losses.index(min(losses))]
