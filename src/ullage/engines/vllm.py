"""Engine vllm: a vLLM engine in this process, which sizes its own cache and is told what the plan says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypedDict

from pydantic import Field

from ullage.errors import UnsupportedError
from ullage.spec.engine import EngineDescription, OwnCache
from ullage.spec.engine import Settings as EngineSettings
from ullage.spec.value import Count, Switch

if TYPE_CHECKING:
    from ullage.engines.engine import Engine
    from ullage.runtime.session import Session

LAYER_SECONDS: Final = 0.04e-3
"""Host time per layer and decode step with CUDA graphs; assumed."""


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
    quantization: str
    hf_overrides: dict[str, object]


class Settings(EngineSettings):
    """Settings of a vLLM engine, under vLLM's own names; None leaves vLLM's default to the plan."""

    gpu_memory_utilization: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    max_model_len: Count | None = None
    max_num_seqs: Count | None = None
    max_num_batched_tokens: Count | None = None
    enforce_eager: Switch = False
    block_size: Count = 16

    def own_cache(self) -> OwnCache:
        """What sizes vLLM's own cache."""
        return OwnCache(
            gpu_memory_utilization=self.gpu_memory_utilization,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            enforce_eager=self.enforce_eager,
            block_size=self.block_size,
        )


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
    from ullage.engines.vllm_engine import VllmEngine, start_vllm
    from ullage.phases.blocks import base_work
    from ullage.runtime.rope_scaling import overrides
    from ullage.runtime.source import source_of

    running = session.residents.here().get(name)
    if isinstance(running, VllmEngine):
        return running
    role = session.workload.roles[name]
    options = _options(session, name)
    device = next(item.device for item in session.plan.bill.items if item.role == name)

    def start() -> VllmEngine:
        folder = source_of(role.model, session.plan.base, session.download)
        if role.rope is not None:
            options["hf_overrides"] = overrides(folder, role)
        started = VllmEngine(start_vllm(str(folder), options), role.model)
        for component, size in started.held().items():
            session.hold(name, device, component, size)
        return started

    engine = session.serve(name, start)
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


def _options(session: Session, name: str) -> Options:
    """What the plan and the file say, under vLLM's own names.

    Raises UnsupportedError for a precision vLLM cannot turn weights into while it loads them.
    """
    from ullage.facts.dtypes import TORCH_NAMES
    from ullage.facts.quantization.known import on_the_fly
    from ullage.memory.vllm.sizes import LEAST_TOKENS, cache_block
    from ullage.phases.blocks import base_work

    role, work = session.workload.roles[name], base_work(name, session.workload)
    own, plan = role.settings.own_cache(), session.plan
    precision, share = plan.roles[name].precision, plan.roles[name].share
    assert share is not None
    longest = max(
        phase.work.cached_tokens + phase.work.prompt_tokens + max(phase.work.new_tokens, LEAST_TOKENS)
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
    if plan.gpus.abilities.processor:
        # On a processor the share would have to cover everything else in this process.
        caches = (
            item.bytes.high for item in plan.bill.items if (item.role, item.component) == (name, "kv_cache")
        )
        options["kv_cache_memory_bytes"] = max(caches)
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
