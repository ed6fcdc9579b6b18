"""Engine vllm: a vLLM engine in this process, which sizes its own cache and is told what the plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypedDict

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ullage.errors import UnsupportedError
from ullage.spec.engine import EngineDescription, OwnCache, Version
from ullage.spec.engine import Settings as EngineSettings
from ullage.spec.value import Count, Switch, Value

if TYPE_CHECKING:
    from ullage.engines.engine import Engine
    from ullage.engines.vllm_engine import VllmEngine
    from ullage.runtime.session import Session
    from ullage.spec.role import Role

LAYER_SECONDS: Final = 0.04e-3
"""Host time per layer and decode step with CUDA graphs; assumed."""
BLOCK: Final = 16
"""Tokens of a block of the cache, which attention kernels on GPUs take multiples of ("Block size must be a
multiple of 16", vllm/v1/attention/backends/flash_attn.py; Triton's, FlashInfer's and FlexAttention's too)."""


class Options(TypedDict, total=False):
    """What a vLLM engine is started with, under vLLM's own names."""

    dtype: str
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    tensor_parallel_size: int
    enforce_eager: bool
    block_size: int
    trust_remote_code: bool
    kv_cache_memory_bytes: int
    kv_cache_dtype: str
    quantization: str
    hf_overrides: dict[str, object]
    speculative_config: dict[str, object]


def parse_version(text: str) -> Version:
    """The first two numbers of a version, as 0.19.1."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


class Speculation(Value):
    """Tokens that are written ahead and then checked, under vLLM's own names.

    Its `method` is that of a whole `model` that writes drafts, or `ngram`, which looks them up in the prompt
    and takes no memory of a card.
    """

    model: str | None = None
    method: Literal["draft_model", "ngram"] | None = None
    num_speculative_tokens: Count = Field(
        default=5, description="tokens ahead; vLLM has no default of its own"
    )
    draft_tensor_parallel_size: Count | None = None
    prompt_lookup_max: Count | None = None
    prompt_lookup_min: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _modelled(cls, given: object) -> object:
        method = given.get("method") if isinstance(given, Mapping) else None
        if isinstance(method, str) and method not in ("draft_model", "ngram"):
            raise PydanticCustomError(
                "speculation",
                "method {method} is not modelled: its heads and caches are not described; use method: "
                "draft_model with a model, or ngram",
                {"method": method},
            )
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.model is None) != (self.method == "ngram"):
            raise PydanticCustomError("speculation", "give a model that writes drafts, or method: ngram")
        return self


class Settings(EngineSettings):
    """Settings of a vLLM engine, under vLLM's own names; None leaves vLLM's default to the plan."""

    gpu_memory_utilization: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    max_model_len: Count | None = None
    max_num_seqs: Count | None = None
    max_num_batched_tokens: Count | None = None
    enforce_eager: Switch = False
    block_size: Count = Field(default=BLOCK, multiple_of=BLOCK)
    speculative_config: Speculation | None = Field(
        default=None, description="a model that writes drafts, or method: ngram"
    )
    version: Annotated[str, Field(pattern=r"^\d+\.\d+(\.|$)")] | None = Field(
        default=None, description="vLLM's, as 0.19.1: narrows what its start-up is planned to take"
    )

    @field_validator("max_num_batched_tokens")
    @classmethod
    def _holds_its_sequences(cls, tokens: int | None, info: ValidationInfo) -> int | None:
        """As vLLM's scheduler checks it (vllm/config/scheduler.py, `verify_max_model_len`)."""
        sequences = info.data.get("max_num_seqs")
        if tokens is not None and sequences is not None and tokens < sequences:
            raise PydanticCustomError(
                "scheduler",
                "vLLM refuses fewer than max_num_seqs, {sequences}: each sequence takes a token of a step",
                {"sequences": sequences},
            )
        return tokens

    def own_cache(self) -> OwnCache:
        """What sizes vLLM's own cache."""
        drafted = self.speculative_config
        return OwnCache(
            gpu_memory_utilization=self.gpu_memory_utilization,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            enforce_eager=self.enforce_eager,
            block_size=self.block_size,
            version=None if self.version is None else parse_version(self.version),
            draft_ranks=None if drafted is None else drafted.draft_tensor_parallel_size,
        )

    def drafts(self) -> str | None:
        """The model of `speculative_config`, where that is one."""
        return None if self.speculative_config is None else self.speculative_config.model

    def naming(self, names: Mapping[str, str]) -> Self:
        """These settings, with the model that writes drafts under another name."""
        drafted = self.speculative_config
        if drafted is None or drafted.model is None:
            return self
        named = drafted.model_copy(update={"model": names.get(drafted.model, drafted.model)})
        return self.model_copy(update={"speculative_config": named})


ENGINE: Final = EngineDescription(
    name="vllm",
    memory="own cache",
    settings=Settings,
    needs=("vllm",),
    install="ullage[vllm]",
    opener="ullage.engines.vllm",
    writes=True,
    weighs=True,
    states=False,
    captures=False,
    trains=False,
    quantizes=lambda scheme: scheme.vllm is not None,
    splits_layers=False,
    tensor_parallel=True,
    finds_prefixes=True,
    compiles=True,
    phases=("serve",),
    layer_seconds=LAYER_SECONDS,
)


def open_engine(session: Session, name: str) -> Engine:
    """Role `name`'s engine, started in phase `name load` unless it runs already.

    What its weights and cache take is measured, and how many tokens the cache holds is said where they are
    fewer than its sequences may need: vLLM then does fewer at a time.
    """
    from ullage.engines.vllm_engine import VllmEngine
    from ullage.phases.blocks import base_work

    running = session.residents.here().get(name)
    if isinstance(running, VllmEngine):
        return running
    options, begin = _options(session, name), starter(session, name)
    engine = session.serve(name, begin)
    assert isinstance(engine, VllmEngine)
    sequences = min(options["max_num_seqs"], base_work(name, session.workload).batch)
    needed = sequences * options["max_model_len"]
    told = session.outcome.setdefault("vllm", {})
    assert isinstance(told, dict)
    told[name] = {"cache_tokens": engine.cache_tokens, "needed": needed}
    if engine.cache_tokens < needed:
        session.say(
            f"{name}: vLLM's cache holds {engine.cache_tokens:,} tokens, a whole batch takes up to {needed:,}"
        )
    return engine


def starter(session: Session, name: str) -> Callable[[], VllmEngine]:
    """What starts role `name`'s engine. Raises UnsupportedError for what vLLM cannot be told to do."""
    from ullage.engines.vllm_engine import VllmEngine, start_vllm
    from ullage.runtime.rope_scaling import overrides
    from ullage.runtime.source import source_of

    role = session.workload.roles[name]
    options, speculation = _options(session, name), _speculation(session, role)
    device = next(item.device for item in session.plan.bill.items if item.role == name)

    def start() -> VllmEngine:
        folder = source_of(role.model, session.plan.base, session.download)
        if speculation is not None:
            options["speculative_config"] = speculation
        if role.rope is not None:
            options["hf_overrides"] = overrides(folder, role)
        started = VllmEngine(start_vllm(str(folder), options), role.model)
        for component, size in started.held().items():
            session.hold(name, device, component, size)
        return started

    return start


def _speculation(session: Session, role: Role) -> dict[str, object] | None:
    """`speculative_config` as vLLM takes it, its model where it is on this machine."""
    from ullage.runtime.source import source_of

    assert isinstance(role.settings, Settings)
    asked = role.settings.speculative_config
    if asked is None:
        return None
    told = asked.model_dump(exclude_none=True)
    if asked.model is not None:
        told["model"] = str(source_of(asked.model, session.plan.base, session.download))
    return told


def _options(session: Session, name: str) -> Options:
    """What the plan and the file say, under vLLM's own names.

    Raises UnsupportedError for a precision vLLM cannot turn weights into while it loads them.
    """
    from ullage.facts.dtypes import TORCH_NAMES
    from ullage.facts.quantization.known import on_the_fly
    from ullage.memory.vllm.needs import longest_sequence
    from ullage.memory.vllm.sizes import cache_block
    from ullage.phases.blocks import base_work
    from ullage.spec.rope import model_of

    role, work = session.workload.roles[name], base_work(name, session.workload)
    own, plan = role.settings.own_cache(), session.plan
    precision, share = plan.roles[name].precision, plan.roles[name].share
    assert share is not None
    window = getattr(model_of(role, plan.models), "max_positions", None)
    longest = max(
        longest_sequence(phase.work, phase.work.prompt_tokens, window)
        for phase in plan.phases
        if phase.running == name
    )
    options: Options = {
        "dtype": TORCH_NAMES[precision.compute],
        "max_model_len": own.max_model_len or longest,
        "max_num_seqs": own.max_num_seqs or work.batch,
        "gpu_memory_utilization": own.gpu_memory_utilization or share.taken,
        "tensor_parallel_size": role.tensor_parallel,
        "enforce_eager": own.enforce_eager,
        "block_size": cache_block(own, plan.gpus.abilities),
        "trust_remote_code": role.trust_remote_code,
    }
    if plan.gpus.abilities.processor or own.gpu_memory_utilization is None:
        # A cache of the size that is planned, which vLLM then has whatever its share would leave: on a
        # processor that would have to cover everything else in this process, and on a card it would be more.
        caches = (
            item.bytes.high for item in plan.bill.items if (item.role, item.component) == (name, "kv_cache")
        )
        options["kv_cache_memory_bytes"] = max(caches)
    if role.cache.precision != "auto":
        options["kv_cache_dtype"] = TORCH_NAMES.get(role.cache.precision, role.cache.precision)
    if own.max_num_batched_tokens is not None:
        options["max_num_batched_tokens"] = own.max_num_batched_tokens
    if precision.quantization is None and precision.scheme is not None:
        made = precision.scheme.on_load
        if made is None or made.vllm is None or plan.gpus.abilities.processor:
            turned = [scheme for scheme, each in on_the_fly().items() if ENGINE.quantizes(each)]
            other = "fp32 or bf16" if plan.gpus.abilities.processor else " or ".join(turned)
            raise UnsupportedError(
                f"roles.{name}: vLLM cannot turn weights into {precision.storage} here while it loads them; "
                f"use precision: {other}, or a checkpoint stored quantized"
            )
        options["quantization"] = made.vllm
    return options
