"""What an engine is, said without loading it: what planning and parsing ask of one."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from ullage.facts.quantization.scheme import OnLoad
from ullage.spec.value import Value

Accounting = Literal["process", "own cache", "pipeline", "none"]
"""How memory is counted: tensors of this process, layer by layer; weights, start-up profile and a cache
that the engine sizes itself, as vLLM does; a diffusion pipeline's networks; not at all, for the model is
elsewhere."""
Step = Literal["prefill", "decode", "serve", "denoise"]


Version = tuple[int, int]
"""Of an engine: the first two numbers."""


class OwnCache(NamedTuple):
    """What an engine with a cache of its own is told at its start, under vLLM's names.

    None leaves the share of the card and the longest sequence to the plan, the others to vLLM's defaults.
    `version` is the engine's where that is known; `draft_ranks` over how many GPUs a model that writes drafts
    is split, None: over as many as the role's own.
    """

    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    enforce_eager: bool = False
    block_size: int = 16
    version: Version | None = None
    draft_ranks: int | None = None


class Settings(Value):
    """An engine's own part of a role, under the key named like the engine. This one has no keys."""

    def own_cache(self) -> OwnCache:
        """What these settings say of the engine's own cache, where its memory is counted by that."""
        return OwnCache()

    def drafts(self) -> str | None:
        """The name of a model that the engine holds beside the role's own, to write drafts for it."""
        return None

    def naming(self, names: Mapping[str, str]) -> "Settings":
        """These settings, with the models they name under other names."""
        return self

    def at_once(self) -> int:
        """How many prompts a remote engine is best given at once."""
        return 1

    def lacks(self) -> str:
        """What is not here that it cannot do without, and what to do; "" where nothing is missing."""
        return ""

    def prices(self) -> tuple[float, float] | None:
        """USD for a million prompt tokens and new tokens; None: it costs nothing, or nobody knows."""
        return None


class EngineDescription(NamedTuple):
    """One engine. Everything is stated, nothing has a default, so that nothing is forgotten.

    `needs` are modules that must be importable, which `install` (a requirement, as `ullage[run]`) brings.
    `opener` names the module whose `open_engine(session, role's name)` makes it ready (`open_painter` where
    its memory is a pipeline's), "" for an engine that can be planned but not run. What it can do: `writes`
    replies, `weighs` choices, gives the final `states`
    of texts; lets `captures` be taken and `trains`; `quantizes` tells of a scheme whether it can turn weights
    into it while it loads them; `splits_layers` over devices, host memory among them; splits tensors
    (`tensor_parallel`); `finds_prefixes` that prompts share by itself. `compiles`: it traces models, which
    watched tensor operations would break. `phases` are what one generation consists of, decode left out where
    no token is written. `layer_seconds` is its host time for a layer and decode step.
    """

    name: str
    memory: Accounting
    settings: type[Settings]
    needs: tuple[str, ...]
    install: str
    opener: str
    writes: bool
    weighs: bool
    states: bool
    captures: bool
    trains: bool
    quantizes: Callable[[OnLoad], bool]
    splits_layers: bool
    tensor_parallel: bool
    finds_prefixes: bool
    compiles: bool
    phases: tuple[Step, ...]
    layer_seconds: float

    @property
    def local(self) -> bool:
        """Whether weights are ever held here."""
        return self.memory != "none"
