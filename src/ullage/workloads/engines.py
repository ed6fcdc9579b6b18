"""A role's engine, made ready to be asked."""

from __future__ import annotations

from typing import Any, Final

from ullage.engines.engine import Engine
from ullage.engines.openai import OpenAIEngine
from ullage.engines.scripted import ScriptedEngine
from ullage.engines.transformers import TransformersEngine
from ullage.engines.vllm import VllmEngine, start_vllm
from ullage.errors import UnsupportedError
from ullage.facts.bundled import local_path
from ullage.memory.dtypes import resolve_precision
from ullage.planning.engine_share import share_of
from ullage.runtime.batching import Limits
from ullage.runtime.session import Session
from ullage.workloads.stages import base_work, is_local

REMOTE_BATCHES: Final = 4
"""A remote engine's batch is so many times its concurrency, so that few requests wait for the slowest."""
DTYPES: Final = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def open_engine(session: Session, name: str, decoding: str = "") -> Engine:
    """Role `name`'s engine; a local model is loaded where the plan puts it unless it is there already.

    `decoding` is the plan's phase of writing, which begins whenever a batch's prompts have been read.
    """
    role = session.workload.roles[name]
    if role.engine == "scripted":
        return ScriptedEngine(session.path(role.model))
    if role.engine == "openai":
        return OpenAIEngine(role.model, role.openai)
    if role.engine == "vllm":
        return VllmEngine(start_vllm(str(_folder(session, name)), _vllm_options(session, name)), role.model)
    if role.engine != "transformers":
        raise UnsupportedError(f"roles.{name}: engine {role.engine} neither writes nor weighs text")
    loaded = session.loaded.get(name) or session.load(name, head=True, eager=False)
    return TransformersEngine(loaded, role.model, lambda: session.monitor.enter(decoding))


def batch_limits(session: Session, name: str, longest: int) -> Limits:
    """What a batch of role `name` may hold, planned for prompts of up to `longest` tokens."""
    role, work = session.workload.roles[name], base_work(name, session.workload)
    if not is_local(role):
        return Limits(2**62, max(work.batch, REMOTE_BATCHES * role.openai.concurrency))
    return Limits(work.batch * longest, work.batch)


def _folder(session: Session, name: str) -> Any:
    """The model's folder; a hub name stays one, for vLLM finds those itself in the local cache."""
    model = session.workload.roles[name].model
    folder = local_path(model, session.base)
    return folder if folder.exists() else model


def _vllm_options(session: Session, name: str) -> dict[str, Any]:
    """What the plan and the file say, under vLLM's own names.

    Raises UnsupportedError for a precision vLLM cannot turn weights into while it loads them.
    """
    role, work = session.workload.roles[name], base_work(name, session.workload)
    precision = resolve_precision(role, session.models[role.model], session.plan.gpus.capability)
    longest = max(
        phase.work.cached_tokens + phase.work.prompt_tokens + phase.work.new_tokens
        for phase in session.plan.phases
        if phase.running == name
    )
    options: dict[str, Any] = {
        "dtype": DTYPES[precision.compute],
        "max_model_len": role.vllm.max_model_len or longest + 1,
        "max_num_seqs": role.vllm.max_num_seqs or work.batch,
        "gpu_memory_utilization": role.vllm.gpu_memory_utilization or share_of(session.plan, name),
        "tensor_parallel_size": role.tensor_parallel,
        "enforce_eager": role.vllm.enforce_eager,
        "block_size": role.vllm.block_size,
        "trust_remote_code": role.trust_remote_code,
    }
    if role.vllm.max_num_batched_tokens is not None:
        options["max_num_batched_tokens"] = role.vllm.max_num_batched_tokens
    if precision.quantization is None and precision.storage not in DTYPES:
        if precision.storage != "nf4":
            raise UnsupportedError(
                f"roles.{name}: vLLM cannot turn weights into {precision.storage} while it loads them; use "
                "precision: nf4, or a checkpoint stored quantized"
            )
        options["quantization"] = "bitsandbytes"
    return options
