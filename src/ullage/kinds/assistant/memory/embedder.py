"""Texts as vectors: by the states of a model that is loaded, or, without a model, by their words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.engines.engine import Embedding, Engine
from ullage.errors import EngineError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

WORDS: Final = "words"
"""The identity of `by_words`."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """`embed` makes of texts (texts, width) in fp32, each of length 1.

    `identity` names what makes them (a model and its revision), `precision` how it computes: vectors of
    another identity or precision cannot be compared with these.
    """

    identity: str
    precision: str
    embed: Callable[[Sequence[str]], Vectors]


def by_states(engine: Engine, identity: str, precision: str, most_tokens: int, batch: int = 8) -> Embedder:
    """Vectors that are the mean of a model's last states over a text's tokens (`Embedding.embed`).

    Of a text of more than `most_tokens` only the beginning is read, as far as it fits. Raises
    UnsupportedError for an engine that gives no states.
    """
    if not isinstance(engine, Embedding):
        raise UnsupportedError(
            f"memory: {identity} runs with an engine that gives no states; embed with a role of engine "
            "transformers"
        )

    def embed(texts: Sequence[str]) -> Vectors:
        begun = [beginning(engine, text, most_tokens) for text in texts]
        found = checked(engine.embed(begun, batch).numpy(), identity)
        return found

    return Embedder(identity, precision, embed)


def beginning(engine: Engine, text: str, most_tokens: int) -> str:
    """As much of a text, from its first character on, as takes up to `most_tokens`; one at least."""
    if engine.lengths([text])[0] <= most_tokens:
        return text
    fits, too_long = 1, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if engine.lengths([text[:middle]])[0] <= most_tokens:
            fits = middle
        else:
            too_long = middle
    return text[:fits]


def by_words(width: int = 256) -> Embedder:
    """Vectors that are sums of one random direction a word, for a talk without a model: texts that share
    words are alike, and nothing else is known of what they mean."""

    def embed(texts: Sequence[str]) -> Vectors:
        import numpy as np

        rows = []
        for text in texts:
            words = re.findall(r"\w+", text.casefold()) or [text]
            rows.append(np.sum([_direction(word, width) for word in words], axis=0))
        made = np.asarray(rows, np.float32).reshape(len(texts), width)
        return checked(made / np.linalg.norm(made, axis=1, keepdims=True), WORDS)

    return Embedder(f"{WORDS} ({width})", "fp32", embed)


def _direction(word: str, width: int) -> Vectors:
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(width, np.float32)


def checked(vectors: Vectors, identity: str) -> Vectors:
    """`vectors`. Raises EngineError where one is no direction: NaN, infinite or zero."""
    import numpy as np

    if not np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 0.01):
        raise EngineError(
            f"memory: {identity} made a vector of a text that is zero, infinite or NaN: its states overflow; "
            "give it another precision"
        )
    return vectors
