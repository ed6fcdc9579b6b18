"""The `extract:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ullage.errors import InputError
from ullage.spec.installed import engines_that
from ullage.spec.mistake import Mistake, shorten
from ullage.spec.section import Section as BaseSection
from ullage.spec.site_patterns import names_patterns
from ullage.spec.value import Switch
from ullage.spec.workload import Workload
from ullage.units import parse_bytes

Temperature = Annotated[float, Field(strict=True, ge=0, le=10)]


class Section(BaseSection):
    """What to read, what to run over it besides the captures, and how states are stored."""

    input: str | None = Field(
        default=None, description="JSON lines with text or tokens, or a .txt of one text a line"
    )
    text_field: str = Field(
        default="text",
        description="the field that holds a record's text; records without it may hold chat `messages`",
    )
    special_tokens: Switch = Field(default=True, description="add those the tokenizer adds by itself")
    too_long: Literal["error", "truncate"] = Field(
        default="error", description="what becomes of texts of more than prompt_tokens tokens"
    )
    logits: Literal["none", "last", "all"] = Field(
        default="none", description="logits that are stored, of the last or of every position read"
    )
    backward: Switch = Field(
        default=False,
        description="also gradients of each text's next-token loss, every layer checkpointed",
    )
    use_reentrant: Switch = Field(
        default=True, description="of backward: torch's older way of checkpointing, or its newer one"
    )
    generate: Switch = Field(default=False, description="also capture while new_tokens are generated")
    temperature: Temperature = Field(default=0.0, description="of generation; 0 takes the likeliest token")
    seed: Annotated[int, Field(strict=True, ge=0, le=2**31)] = 0
    store: Literal["safetensors", "npy"] = Field(
        default="safetensors", description="shards with an index, or one .npy memory map a site"
    )
    shard: str = Field(default="64MiB", description="size at which a shard is written")

    def files(self) -> tuple[str, ...]:
        """The input."""
        return () if self.input is None else (self.input,)

    def heard(self, workload: Workload) -> tuple[str, ...]:
        """The one role there is."""
        return tuple(workload.roles)

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """One role, held here; stores that can hold what is asked."""
        if len(workload.roles) > 1:
            problem = f"kind extract takes one role, not {len(workload.roles)}"
            yield Mistake(("roles",), problem, at_key=True)
        for name, role in workload.roles.items():
            if not role.runs_with.captures:
                able = engines_that(lambda engine: engine.captures)
                problem = f"kind extract reads states, which only engine {able} gives"
                yield Mistake(("roles", name, "engine"), problem)
        if self.generate and workload.training is not None:
            problem = "a backward pass generates nothing; remove training or generate"
            yield Mistake(("extract", "generate"), problem)
        if self.generate and workload.new_tokens == 0:
            yield Mistake(("extract", "generate"), "is true, but new_tokens is 0; give new_tokens")
        if self.temperature and not self.generate:
            yield Mistake(("extract", "temperature"), "has no effect without generate: true")
        yield from self._probe_mistakes(workload)
        yield from self._backward_mistakes(workload)
        yield from self._store_mistakes(workload)

    def _probe_mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """Texts that probes score are read once, and nothing else is kept of them."""
        if not workload.probes:
            return
        problem = "probes score texts and keep no states; remove it, or probes"
        if workload.captures:
            yield Mistake(("captures",), problem, at_key=True)
        for name, given in (("generate", self.generate), ("backward", self.backward)):
            if given:
                yield Mistake(("extract", name), problem)
        if self.logits != "none":
            yield Mistake(("extract", "logits"), problem)
        if workload.training is not None:
            yield Mistake(("training",), problem, at_key=True)

    def _backward_mistakes(self, workload: Workload) -> Iterator[Mistake]:
        if not self.backward:
            if not self.use_reentrant:
                yield Mistake(("extract", "use_reentrant"), "has no effect without backward: true")
            return
        problem = "a backward pass "
        if self.generate:
            yield Mistake(("extract", "generate"), problem + "generates nothing; remove backward or generate")
        if workload.training is not None:
            yield Mistake(("training",), problem + "for gradients of states trains nothing", at_key=True)
        if workload.memory.streaming_chunk_size is not None:
            at = ("memory", "streaming_chunk_size")
            yield Mistake(at, problem + "reads its whole prompt at once; remove it", at_key=True)
        if self.logits != "none":
            yield Mistake(("extract", "logits"), "no gradient flows through stored logits; remove it")

    def _store_mistakes(self, workload: Workload) -> Iterator[Mistake]:
        try:
            if not 2**20 <= parse_bytes(self.shard) <= 2**34:
                yield Mistake(("extract", "shard"), "is not between 1MiB and 16GiB")
        except InputError:
            shown = shorten(repr(self.shard), 60)
            yield Mistake(("extract", "shard"), f"{shown} is no size; write for example 64MiB")
        if self.store != "npy":
            return
        if self.generate:
            problem = "needs lengths known in advance, which generating has not; use store: safetensors"
            yield Mistake(("extract", "store"), problem)
        for index, capture in enumerate(workload.captures):
            if names_patterns(capture.sites):
                problem = "attention patterns differ in shape, which .npy cannot hold; use store: safetensors"
                yield Mistake(("captures", index, "sites"), problem)
