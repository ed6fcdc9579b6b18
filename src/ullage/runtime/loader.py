"""The one way a model gets into memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError, UnsupportedError
from ullage.facts.dtypes import TORCH_NAMES
from ullage.facts.families.rows import encoder_types
from ullage.facts.rope import parse_rope
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.planning.role_plan import RolePlan
from ullage.runtime.adapter import add_adapter, check_alone, check_peft
from ullage.runtime.device_map import AutoModels, computing, modules_on, torch_device
from ullage.runtime.kernels import SDPA_MATH, register_math
from ullage.runtime.libraries import find_transformers, in_turn
from ullage.runtime.quantization import (
    check_capability,
    dequantizing_config,
    quantization_config,
    unpacking_config,
)
from ullage.runtime.rope_scaling import check_applied, stretch
from ullage.runtime.source import base_named, is_adapter, is_pipeline, source_of
from ullage.runtime.tokenizer import Tokenizer, open_tokenizer
from ullage.spec.device_map import modules_in
from ullage.spec.role import Role

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

KERNELS: Final = {
    "auto": None,
    "sdpa": "sdpa",
    "sdpa-math": SDPA_MATH,
    "eager": "eager",
    "flash": "flash_attention_2",
}
"""transformers' names of the attention implementations."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory: the module in eval mode, its tokenizer where it has one, where its parts are.

    `device` is where token ids go, `offloaded` whether some weights wait in host memory.
    """

    model: nn.Module
    tokenizer: Tokenizer | None
    device_map: dict[str, str]
    device: str
    precision: ResolvedPrecision
    offloaded: bool


@in_turn
def load_model(role: Role, planned: RolePlan, *, base: Path | None = None, download: bool = False) -> Loaded:
    """Loads `role.model` as planned: its part, in its precision and kernel, its blocks where they belong.

    Only safetensors are read, never pickles; a hub model comes from the local cache unless `download`.
    Raises FormatError for a folder whose weights are missing, broken or not those of its config,
    UnsupportedError for what transformers cannot load.
    """
    source = source_of(role.model, base, download)
    if is_pipeline(source):
        return _pipeline(role, planned, source)
    adapter = source if is_adapter(source) else None
    if adapter is not None:
        check_peft(role)
        source = source_of(planned.base or base_named(adapter), base, download)
    check_alone(source, role)
    transformers = find_transformers()
    config = _config(transformers, source, role, download, planned.part.layers)
    kind = _kind(transformers, config, role, planned.part.head)
    where = [torch_device(name) for name in dict.fromkeys(planned.placement.device_map.values())]
    check_capability(role, planned.precision.scheme, where)
    options = _options(transformers, config, role, planned, source)
    options["local_files_only"] = not download
    options["device_map"] = _modules(role, planned, kind, config)
    if len(where) > 1:
        options["offload_folder"] = str(source)  # safetensors are read where they are
    model = _from_pretrained(kind, role, source, options)
    check_applied(model, role)
    if adapter is not None:
        add_adapter(model, adapter, role)
    return Loaded(
        model,
        _tokenizer(adapter, source, role, download),
        {str(name): str(device) for name, device in _map_of(model, where[0]).items()},
        computing(where),
        planned.precision,
        "disk" in where or (len(where) > 1 and "cpu" in where),
    )


def is_encoder(loaded: Loaded) -> bool:
    """Whether a model reads texts and writes none."""
    return getattr(getattr(loaded.model, "config", None), "model_type", "") in encoder_types()


@in_turn
def module_map(role: Role, planned: RolePlan, *, base: Path | None = None) -> dict[str, str]:
    """The modules of `role.model` by their names and the device each is loaded on (`cuda:0`, `cpu`, `disk`),
    as accelerate's `device_map`; `""` is the whole model. Its config alone is read.

    Raises FormatError and UnsupportedError as `load_model` does, and InputError for a model that is not here.
    """
    source = source_of(role.model, base, False)
    if is_pipeline(source):
        return {name: torch_device(where) for name, where in planned.placement.device_map.items()}
    if is_adapter(source):
        source = source_of(planned.base or base_named(source), base, False)
    transformers = find_transformers()
    config = _config(transformers, source, role, False, planned.part.layers)
    kind = _kind(transformers, config, role, planned.part.head)
    return _modules(role, planned, kind, config)


def _modules(role: Role, planned: RolePlan, kind: AutoModels, config: PreTrainedConfig) -> dict[str, str]:
    """accelerate's map. Raises InputError for modules in the file's own that the model does not have."""
    whole = planned.part.layers is None and planned.part.head
    named = [module for module, _ in modules_in(role.device_map or {}) if module and whole]
    try:
        return modules_on(kind, config, planned.placement.device_map, named)
    except InputError as error:
        raise InputError(f"{role.model}: {error}") from error


def _kind(transformers: ModuleType, config: PreTrainedConfig, role: Role, head: bool) -> AutoModels:
    """Whose `from_pretrained` makes the model: of one that takes pictures and is no causal language model for
    transformers, as LLaVA, the class that takes both."""
    found: AutoModels = transformers.AutoModel
    if role.labels:
        found = transformers.AutoModelForSequenceClassification
    elif head and config.model_type not in encoder_types():
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        )

        writes = config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        both = transformers.AutoModelForImageTextToText
        found = both if sees and not writes else transformers.AutoModelForCausalLM
    return found


def _pipeline(role: Role, planned: RolePlan, source: Path) -> Loaded:
    """Its networks, which a plan never splits, in its precision and where it has them."""
    from ullage.runtime.pipeline import load_networks

    (where,) = {torch_device(name) for name in planned.placement.device_map.values()}
    networks = load_networks(role, source, planned.precision.compute, where)
    places = dict.fromkeys(planned.placement.device_map, where)
    return Loaded(networks, None, places, where, planned.precision, False)


def _options(
    transformers: ModuleType, config: PreTrainedConfig, role: Role, planned: RolePlan, source: Path
) -> dict[str, object]:
    """What transformers is told beside where the parts go."""
    import torch

    options: dict[str, object] = {
        "config": config,
        "trust_remote_code": role.trust_remote_code,
        "output_loading_info": True,
        "dtype": getattr(torch, TORCH_NAMES[planned.precision.compute]),
    }
    unpacked = None
    if source.suffix == ".gguf":
        options["gguf_file"] = source.name
        unpacked = unpacking_config(transformers)
    else:
        options["use_safetensors"] = True
    kernel = _kernel(role, planned)
    if kernel == SDPA_MATH:
        register_math()
    if kernel is not None:
        options["attn_implementation"] = kernel
    quantization = unpacked or quantization_config(transformers, planned.precision)
    if quantization is None:
        stored = getattr(config, "quantization_config", None)
        quantization = dequantizing_config(transformers, stored, planned.precision)
    if quantization is not None:
        options["quantization_config"] = quantization
    return options


def _from_pretrained(
    kind: AutoModels, role: Role, source: Path, options: Mapping[str, object]
) -> PreTrainedModel:
    """The model in eval mode. Raises FormatError unless every tensor came from the checkpoint."""
    from safetensors import SafetensorError

    try:
        folder = source.parent if source.suffix == ".gguf" else source
        model, report = kind.from_pretrained(str(folder), **options)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        if is_memory_error(error):
            raise
        raise _cannot_load(role, error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise FormatError(
            f"{role.model}: the checkpoint lacks {len(missing)} tensors of the model, as {missing[0]}; "
            "it would run with random weights"
        )
    model.eval()
    return model


def is_memory_error(error: BaseException) -> bool:
    """Running out of memory while loading is told apart from a broken checkpoint."""
    from ullage.runtime.batching import is_out_of_memory

    return is_out_of_memory(error)


def _config(
    transformers: ModuleType, source: Path, role: Role, download: bool, layers: int | None
) -> PreTrainedConfig:
    options: dict[str, object] = {
        "local_files_only": not download,
        "trust_remote_code": role.trust_remote_code,
    }
    folder = source
    if source.suffix == ".gguf":
        options["gguf_file"] = source.name
        folder = source.parent
    try:
        config: PreTrainedConfig = transformers.AutoConfig.from_pretrained(str(folder), **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _cannot_load(role, error) from error
    if role.rope is not None:
        stretch(config, parse_rope(role.rope), role.model)
    config = config.get_text_config() if layers is not None else config
    if layers is not None:
        whole = config.num_hidden_layers
        for name, value in vars(config).items():
            if isinstance(value, list) and len(value) == whole and name.endswith("types"):
                setattr(config, name, value[:layers])
        config.num_hidden_layers = layers
    return config


def _kernel(role: Role, planned: RolePlan) -> str | None:
    """transformers' name of the planned kernel; None leaves the choice of its default to transformers."""
    if role.attention == "auto" and planned.kernel.name == "sdpa":
        return None
    return KERNELS[planned.kernel.name]


def _map_of(model: nn.Module, first: str) -> dict[str, object]:
    found: Mapping[str, object] = getattr(model, "hf_device_map", None) or {"": first}
    return {name or "(whole model)": device for name, device in found.items()}


@in_turn
def load_tokenizer(role: Role, base: Path | None = None, download: bool = False) -> Tokenizer | None:
    """The tokenizer of `role.model` alone, None where it has none: texts are counted before weights load.

    Raises FormatError for one that is broken.
    """
    source = source_of(role.model, base, download)
    if is_adapter(source):
        return _tokenizer(source, source_of(base_named(source), base, download), role, download)
    return open_tokenizer(source, role, download)


def _tokenizer(adapter: Path | None, source: Path, role: Role, download: bool) -> Tokenizer | None:
    """An adapter's own tokenizer where it has one, else its base's."""
    own = None if adapter is None else open_tokenizer(adapter, role, download)
    return open_tokenizer(source, role, download) if own is None else own


def _cannot_load(role: Role, error: BaseException) -> InputError:
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return UnsupportedError(
            f"{role.model}: needs code from its own repository; if you trust that code, set "
            "trust_remote_code: true for the role"
        )
    shown = text if len(text) < 400 else text[:400] + "..."
    return FormatError(f"{role.model}: cannot be loaded: {shown}")
