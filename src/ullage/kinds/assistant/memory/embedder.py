"""Texts as vectors: by the states of a model that is loaded, or, without a model, by their words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.engines.engine import Embedding, Engine
from ullage.errors import EngineError, UnsupportedError
from ullage.kinds.assistant.memory_section import WORDS_WIDTH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

WORDS: Final = "words"
"""The identity of `by_words`."""


STATEMENTS: Final = (
    "The train leaves at six in the evening.",
    "She bought a new umbrella yesterday.",
    "Water boils at a hundred degrees.",
    "He has lived next to the station for ten years.",
    "The meeting was moved to another room.",
    "They paint their kitchen green.",
    "It rained for most of the week.",
    "The book on the table belongs to a neighbour.",
)
QUESTIONS: Final = (
    "When does the train leave?",
    "What did she buy yesterday?",
    "At which temperature does water boil?",
    "How long has he lived next to the station?",
    "Where is the meeting now?",
    "Which colour will their kitchen have?",
    "What was the weather like?",
    "Whose book is on the table?",
)


@dataclass(frozen=True, slots=True)
class Embedder:
    """`embed` makes of notes, and `ask` of questions, (texts, width) in fp32, each of length 1.

    `identity` names what makes them (a model and its revision), `precision` how it computes: vectors of
    another identity or precision cannot be compared with these.
    """

    identity: str
    precision: str
    embed: Callable[[Sequence[str]], Vectors]
    ask: Callable[[Sequence[str]], Vectors]


def by_states(
    engine: Engine, identity: str, precision: str, most_tokens: int, shared: dict[str, Vectors] | None = None
) -> Embedder:
    """Vectors that are the mean of a model's last states over a text's tokens (`Embedding.embed`), less what
    all statements, or all questions, share: the mean vector of `STATEMENTS`, or of `QUESTIONS`.

    What texts share is most of a decoder's states (Ethayarajh 2019, arXiv:1909.00512; Mu and Viswanath 2018,
    arXiv:1702.01417, on taking it away), and a question shares more with others than with its answer. Of a
    text of more than `most_tokens` only the beginning is read, as far as it fits; texts are read one by one.
    Those mean vectors are taken from `shared`, or kept there: the same model need not read these texts again.
    Raises UnsupportedError for
    an engine that gives no states, EngineError where its states overflow.
    """
    if not isinstance(engine, Embedding):
        raise UnsupportedError(
            f"memory: {identity} runs with an engine that gives no states; embed with a role of engine "
            "transformers"
        )

    def states(texts: Sequence[str]) -> Vectors:
        begun = [beginning(engine, text, most_tokens) for text in texts]
        found: Vectors = engine.embed(begun, 1).numpy()
        return found

    means = {} if shared is None else shared

    def less(name: str, texts: Sequence[str]) -> Callable[[Sequence[str]], Vectors]:
        mean = means.get(name)
        if mean is None:
            mean = means[name] = states(texts).mean(0)
        unit(mean[None], identity)
        return lambda some: unit(states(some) - mean, identity)

    return Embedder(identity, precision, less("statements", STATEMENTS), less("questions", QUESTIONS))


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


def by_words(width: int = WORDS_WIDTH) -> Embedder:
    """Vectors that are sums of one random direction a word, for a talk without a model: texts that share
    words are alike, and nothing else is known of what they mean."""

    def embed(texts: Sequence[str]) -> Vectors:
        import numpy as np

        rows = []
        for text in texts:
            words = re.findall(r"\w+", text.casefold()) or [text]
            rows.append(np.sum([_direction(word, width) for word in words], axis=0))
        return unit(np.asarray(rows, np.float32).reshape(len(texts), width), WORDS)

    return Embedder(f"{WORDS} ({width})", "fp32", embed, embed)


def _direction(word: str, width: int) -> Vectors:
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(width, np.float32)


def unit(vectors: Vectors, identity: str) -> Vectors:
    """`vectors` at length 1. Raises EngineError where one has no direction: NaN, infinite or zero."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths) & (lengths > 1e-6)):
        raise EngineError(
            f"memory: {identity} made a vector of a text that is zero, infinite or NaN: its states overflow; "
            "give it another precision"
        )
    made: Vectors = vectors / lengths
    return made
