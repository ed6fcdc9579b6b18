"""A role's engine, made ready to be asked."""

from __future__ import annotations

from typing import Any

from ullage.engines.engine import Engine
from ullage.engines.openai import OpenAIEngine
from ullage.engines.scripted import ScriptedEngine
from ullage.engines.transformers import TransformersEngine
from ullage.engines.vllm import VllmEngine, start_vllm
from ullage.errors import UnsupportedError
from ullage.facts.dtypes import TORCH_NAMES
from ullage.facts.quantization.known import on_the_fly
from ullage.memory.vllm.sizes import LEAST_TOKENS, cache_block
from ullage.phases.blocks import base_work
from ullage.runtime.loader import source_of
from ullage.runtime.session import Session


def open_engine(session: Session, name: str) -> Engine:
    """Role `name`'s engine; a local model is loaded where the plan puts it unless it is there already."""
    role = session.workload.roles[name]
    if role.engine == "scripted":
        return ScriptedEngine(session.path(role.model))
    if role.engine == "openai":
        return OpenAIEngine(role.model, role.openai)
    if role.engine == "vllm":
        return _vllm_engine(session, name)
    if role.engine != "transformers":
        raise UnsupportedError(f"roles.{name}: engine {role.engine} neither writes nor weighs text")
    loaded = session.loaded.get(name) or session.load(name)
    return TransformersEngine(loaded, role.model, session.reading_done)


def _vllm_engine(session: Session, name: str) -> VllmEngine:
    """Role `name`'s engine, started in phase `name load` unless it runs already.

    What its weights and cache take is measured, and how many tokens the cache holds is said where they are
    fewer than its sequences may need: vLLM then does fewer at a time.
    """
    running = session.serving.get(name)
    if isinstance(running, VllmEngine):
        return running
    role = session.workload.roles[name]
    options = _vllm_options(session, name)
    device = next(item.device for item in session.plan.bill.items if item.role == name)
    with session.loading(name):
        folder = source_of(role.model, session.plan.base, session.download)
        engine = VllmEngine(start_vllm(str(folder), options), role.model)
        session.serving[name] = engine
        for component, size in engine.held().items():
            session.hold(name, device, component, size)
    sequences = min(options["max_num_seqs"], base_work(name, session.workload).batch)
    needed = sequences * options["max_model_len"]
    session.outcome.setdefault("vllm", {})[name] = {"cache_tokens": engine.cache_tokens, "needed": needed}
    if engine.cache_tokens < needed:
        session.say(
            f"{name}: vLLM's cache holds {engine.cache_tokens:,} tokens, a whole batch takes up to {needed:,}"
        )
    return engine


def _vllm_options(session: Session, name: str) -> dict[str, Any]:
    """What the plan and the file say, under vLLM's own names.

    Raises UnsupportedError for a precision vLLM cannot turn weights into while it loads them.
    """
    role, work = session.workload.roles[name], base_work(name, session.workload)
    plan = session.plan
    precision, share = plan.roles[name].precision, plan.roles[name].share
    assert share is not None
    longest = max(
        phase.work.cached_tokens + phase.work.prompt_tokens + max(phase.work.new_tokens, LEAST_TOKENS)
        for phase in plan.phases
        if phase.running == name
    )
    options: dict[str, Any] = {
        "dtype": TORCH_NAMES[precision.compute],
        "max_model_len": role.vllm.max_model_len or longest,
        "max_num_seqs": role.vllm.max_num_seqs or work.batch,
        "gpu_memory_utilization": role.vllm.gpu_memory_utilization or share.taken,
        "tensor_parallel_size": role.tensor_parallel,
        "enforce_eager": role.vllm.enforce_eager,
        "block_size": cache_block(role, plan.gpus.abilities),
        "trust_remote_code": role.trust_remote_code,
    }
    if plan.gpus.abilities.processor:
        # On a processor the share would have to cover everything else in this process.
        caches = (
            item.bytes.high for item in plan.bill.items if (item.role, item.component) == (name, "kv_cache")
        )
        options["kv_cache_memory_bytes"] = max(caches)
    if role.vllm.max_num_batched_tokens is not None:
        options["max_num_batched_tokens"] = role.vllm.max_num_batched_tokens
    if precision.quantization is None and precision.scheme is not None:
        made = precision.scheme.on_load
        if made is None or made.vllm is None or plan.gpus.abilities.processor:
            turned = [scheme for scheme, each in on_the_fly().items() if each.vllm is not None]
            other = "fp32 or bf16" if plan.gpus.abilities.processor else " or ".join(turned)
            raise UnsupportedError(
                f"roles.{name}: vLLM cannot turn weights into {precision.storage} here while it loads them; "
                f"use precision: {other}, or a checkpoint stored quantized"
            )
        options["quantization"] = made.vllm
    return options
