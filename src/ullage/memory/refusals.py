"""What is asked of a role that its engine, its model or the card cannot do."""

from __future__ import annotations

from typing import Final

from ullage.errors import UnsupportedError
from ullage.facts.abilities import Abilities, of_capability
from ullage.facts.architecture import Architecture, Model
from ullage.facts.diffusion import Pipeline
from ullage.facts.rope import way_to
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import TRAINING, Work
from ullage.spec.device_map import devices_in
from ullage.spec.installed import engines_that
from ullage.spec.role import Role
from ullage.spec.training import Lora

OWN_CACHE: Final = ("auto", "fp8", "fp16", "bf16")
"""Precisions of a cache that is an engine's own, of those that vLLM has (`CacheDType` of 0.32)."""
FP8_CACHE: Final = (8, 0)


WITHOUT_FLASH: Final = frozenset(
    {"bloom", "codegen", "deepseek_v32", "falcon_mamba", "glm_moe_dsa", "gpt_neox_japanese", "gpt_oss"}
    | {"granite_swa", "granitemoe_swa", "llama4", "llama4_text", "mamba", "mamba2", "mimo_v2_flash"}
    | {"minimax_m3_vl_text", "mpt", "xglm"}
)
"""Types of which transformers 5.19 runs no flash-attn 2 (`_supports_flash_attn` is False, or
`_compatible_flash_implementations` names others)."""
DRAFTS_SPLIT_ALIKE: Final = (0, 8)
"""Versions before may keep a model that writes drafts whole on one rank (vllm/config/speculative.py
`_verify_and_get_draft_tp`, vllm/v1/spec_decode/draft_model.py `_raise_if_draft_tp_mismatch`)."""


def check_role(
    name: str, role: Role, model: Model, precision: ResolvedPrecision, abilities: Abilities
) -> None:
    """Raises UnsupportedError where a role asks for what its engine, model or card cannot do."""
    engine = role.runs_with
    if isinstance(model, Pipeline) and engine.memory != "pipeline":
        raise _pipeline(name, model)
    if not isinstance(model, Pipeline) and engine.memory == "pipeline":
        raise UnsupportedError(
            f"role {name}: {model.name} is no diffusion pipeline; do not use engine: {engine.name}"
        )
    if role.tensor_parallel > 1 and not engine.tensor_parallel:
        raise UnsupportedError(
            f"role {name}: engine {engine.name} splits no tensors; give a placement over several GPUs, which "
            f"splits the layers, or engine: {engines_that(lambda each: each.tensor_parallel)}"
        )
    if isinstance(model, Architecture) and model.counted and engine.memory != "process":
        raise UnsupportedError(
            f"role {name}: no row describes model_type {model.model_type!r}, and how engine {engine.name} "
            "holds it is not known; use engine: transformers, where its code is traced"
        )
    if isinstance(model, Architecture) and model.adapter is not None:
        _check_adapter(name, role, model, precision)
    if isinstance(model, Architecture) and engine.memory == "process":
        _check_file(name, role, model, precision)
    if isinstance(model, Pipeline) and precision.scheme is not None:
        raise UnsupportedError(
            f"role {name}: pipelines are planned in fp32, fp16 and bf16; {precision.storage} is not described"
        )
    if engine.memory == "process" and role.cache.precision != "auto" and role.cache.kind != "quantized":
        raise UnsupportedError(
            f"role {name}: cache.precision {role.cache.precision} needs cache.kind: quantized"
        )
    if engine.memory == "own cache":
        _check_own_cache(name, role, abilities)
        if role.placement == "cpu" and not abilities.processor:
            raise UnsupportedError(
                f"role {name}: placement cpu: engine {role.engine} computes on cards; leave "
                "placement out, or use engine: transformers"
            )
    if role.attention == "flash" and engine.memory == "process":
        _check_flash(name, model, precision, abilities)


def _check_own_cache(name: str, role: Role, abilities: Abilities) -> None:
    """An engine's own cache grows in pages of 16 bits, or of fp8, which no kernel of vLLM's reads before
    Ampere (0.32, attention/backends/triton_attn.py and flashinfer.py)."""
    if role.cache.precision == "fp8" and not abilities.reaches(FP8_CACHE):
        raise UnsupportedError(
            f"role {name}: vLLM reads no cache in fp8 on {abilities.what}; it needs "
            f"{of_capability(FP8_CACHE)}: leave cache.precision out"
        )
    if role.cache.kind != "dynamic":
        raise UnsupportedError(
            f"role {name}: cache.kind {role.cache.kind} is of transformers; engine {role.engine} has its "
            "cache in pages: leave cache.kind out"
        )
    if role.cache.precision not in OWN_CACHE:
        asked, known = role.cache.precision, ", ".join(OWN_CACHE)
        raise UnsupportedError(
            f"role {name}: engine {role.engine} keeps no cache in {asked}; use a cache.precision of {known}"
        )


def _check_file(name: str, role: Role, model: Architecture, precision: ResolvedPrecision) -> None:
    """What transformers does not do with a GGUF file (5.19, quantizers/quantizer_gguf.py)."""
    if model.checkpoint is None or model.checkpoint.format != "gguf":
        return
    if precision.scheme is not None:
        raise UnsupportedError(
            f"role {name}: {model.name} is a GGUF file, which transformers turns into 16 bits as it loads it "
            f"and not into {precision.storage}; use precision: auto, or name the model it was made from"
        )
    if "disk" in devices_in(role.device_map or {}) or "disk" in (role.max_memory or {}):
        raise UnsupportedError(
            f"role {name}: {model.name} is a GGUF file, of which transformers leaves nothing on disk; "
            "use cpu in place of disk, or name the model it was made from"
        )


def check_served(name: str, role: Role, model: Architecture, draft: Architecture | None) -> None:
    """Raises UnsupportedError where vLLM refuses a length of `model`, or what writes drafts for it."""
    own, ranks = role.settings.own_cache(), role.tensor_parallel
    asked, most = own.max_model_len, model.max_positions
    if asked is not None and most is not None and asked > most:
        raise UnsupportedError(
            f"role {name}: {role.engine}.max_model_len {asked} is more than the {most} positions of "
            f"{model.name}, which vLLM refuses; give no more{way_to(model, asked)}"
        )
    if draft is None:
        return
    if draft.vocab_size != model.vocab_size:
        raise UnsupportedError(
            f"role {name}: {draft.name} writes drafts of {draft.vocab_size:,} words and {model.name} has "
            f"{model.vocab_size:,}: vLLM refuses such a pair; name one that has as many, or use method: ngram"
        )
    same = ranks if own.version is None or own.version >= DRAFTS_SPLIT_ALIKE else 1
    if own.draft_ranks not in (None, same, ranks):
        raise UnsupportedError(
            f"role {name}: draft_tensor_parallel_size {own.draft_ranks}: vLLM splits what writes drafts "
            f"as the role's own, over {ranks}; leave it out"
        )


def _check_adapter(name: str, role: Role, model: Architecture, precision: ResolvedPrecision) -> None:
    merged = "or merge it into its base (peft's merge_and_unload) and name the result"
    if role.runs_with.memory != "process":
        raise UnsupportedError(
            f"role {name}: {model.name} is an adapter, which engine {role.engine} is not given; use engine: "
            f"transformers, {merged}"
        )
    file = model.checkpoint is not None and model.checkpoint.format == "gguf"
    if file or precision.quantization is not None:
        raise UnsupportedError(
            f"role {name}: {model.name} is an adapter of a model that is stored quantized; it is run beside "
            f"weights in fp32, fp16, bf16, int8 and nf4 alone: name an unquantized base, {merged}"
        )


def _check_flash(name: str, model: Model, precision: ResolvedPrecision, abilities: Abilities) -> None:
    if isinstance(model, Architecture) and model.model_type in WITHOUT_FLASH:
        raise UnsupportedError(
            f"role {name}: attention: flash is not what transformers runs {model.model_type} with; use "
            "attention: sdpa, or auto"
        )
    if precision.compute != "fp32" and abilities.flash:
        return
    number = abilities.capability
    here = abilities.what if number is None else f"{number[0]}.{number[1]}"
    raise UnsupportedError(
        f"role {name}: attention: flash needs 16-bit arithmetic and compute capability 8.0; here it is "
        f"{precision.compute} on {here}. Use attention: sdpa"
    )


def check_training(
    name: str, architecture: Architecture, precision: ResolvedPrecision, work: Work, role: Role
) -> None:
    """Raises UnsupportedError where an engine takes no backward pass, weights no gradient, or a model no such
    adapters."""
    if work.activity not in TRAINING:
        return
    if not role.runs_with.trains:
        able = engines_that(lambda engine: engine.trains)
        raise UnsupportedError(f"role {name}: a backward pass runs with engine: {able} alone")
    training = work.training
    if precision.scheme is not None and (training is None or training.whole):
        raise UnsupportedError(
            f"role {name}: weights in {precision.storage} take no gradient; train adapters beside them "
            "(training.lora={r: 16}), or use another precision"
        )
    if precision.scheme is not None and precision.scheme.untrained:
        raise UnsupportedError(
            f"role {name}: {precision.scheme.name}: {precision.scheme.untrained}; {_trainable(precision)}"
        )
    if training is not None and training.lora is not None:
        _check_targets(name, architecture, training.lora)


def _trainable(precision: ResolvedPrecision) -> str:
    """What to use instead of weights that nothing is trained beside."""
    scheme, stored = precision.scheme, precision.quantization is not None
    if scheme is not None and scheme.dequantizes_on_request:
        return "use precision: bf16" if stored else "use precision: bf16, int8 or nf4"
    if stored:
        return "name the model that it was made from, with precision: int8 or nf4"
    return "use precision: int8 or nf4"


def _check_targets(name: str, architecture: Architecture, lora: Lora) -> None:
    weights = [weight for layer in architecture.layers for weight in layer.weights]
    named = [weight.name.removesuffix(".weight") for weight in weights if weight.role == "linear"]
    found = {each.split(".")[-1] for each in named}
    linear = ", ".join(sorted(found))
    if lora.target_modules == "all-linear":
        if any(weight.role in ("experts", "router") for weight in weights):
            raise UnsupportedError(
                f"role {name}: what all-linear is of a model with experts differs by family and release of "
                f"peft; name its linear layers: --set 'training.lora.target_modules=[{linear}]', or fewer"
            )
        return
    unknown = [
        each for each in lora.target_modules if not any(f".{name}".endswith(f".{each}") for name in named)
    ]
    if unknown:
        raise UnsupportedError(
            f"role {name}: training.lora.target_modules: {architecture.name} has no linear layer called "
            f"{unknown[0]}{' in every block' * ('.' in unknown[0])}; it has {linear}"
        )


def _pipeline(role: str, model: Pipeline) -> UnsupportedError:
    able = engines_that(lambda engine: engine.memory == "pipeline")
    return UnsupportedError(f"role {role}: {model.name} is a diffusion pipeline; use engine: {able}")
