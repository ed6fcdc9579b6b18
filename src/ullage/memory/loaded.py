"""A role's model as it is held here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ullage.facts.architecture import Architecture, Model
from ullage.memory.needs import Basis
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.role import AttentionKernel, Cache

if TYPE_CHECKING:
    from ullage.memory.vllm.sizes import Served


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """All that a role's needs depend on, but where it lies and what it does.

    `model` is the part that is loaded of the `whole` one, which sites are numbered by; `served` is how an
    engine with a cache of its own holds it. Of the devices it knows what bears on needs, so that cards which
    are alike in it share them: whether a `processor` computes, and how the size of a `context` is known. Its
    `precision` gives no reason. Compared by identity: `loaded` gives one object for equal parts.
    """

    name: str
    model: Model
    whole: Model
    precision: ResolvedPrecision
    processor: bool
    context: tuple[Basis, str]
    attention: AttentionKernel
    cache: Cache
    served: Served | None = None

    @property
    def architecture(self) -> Architecture:
        """The loaded part of what is known to be a language model."""
        assert isinstance(self.model, Architecture)
        return self.model

    @property
    def numbered(self) -> Architecture:
        """The language model that sites are numbered by."""
        assert isinstance(self.whole, Architecture)
        return self.whole


loaded = lru_cache(maxsize=1024)(Loaded)
"""The one `Loaded` of its parts."""
