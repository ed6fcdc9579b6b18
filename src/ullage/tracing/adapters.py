"""Low-rank adapters beside a model's layers on fake tensors, as peft puts them there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from ullage.errors import MissingExtraError, UnsupportedError
from ullage.facts.quantization.known import scheme_of
from ullage.facts.quantization.scheme import Dequantized
from ullage.memory.traced import Asked

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from ullage.runtime.layout import Layout
    from ullage.spec.training import Lora
    from ullage.tracing.storages import Storages


def add_adapters(
    storages: Storages, model: PreTrainedModel, layout: Layout, asked: Asked, lora: Lora
) -> None:
    """Puts adapters into the model, which alone are trained then; beside quantized weights all others are
    cast to fp32 first, where the file says so (`prepare_model_for_kbit_training`).

    Raises UnsupportedError for a scheme whose way back is not known, and for what peft refuses;
    MissingExtraError where it is not installed.
    """
    if find_spec("peft") is None:
        raise MissingExtraError("peft", "peft", "tracing how adapters are trained")
    from peft import LoraConfig, get_peft_model

    if asked.scheme is not None:
        scheme = scheme_of(asked.scheme)
        if scheme is None or not isinstance(scheme.product, Dequantized):
            raise UnsupportedError(
                f"{asked.model}: a way back through weights in {asked.scheme} is not traced; use nf4"
            )
        if lora.prepare_model_for_kbit_training:
            with storages:
                _cast(model, layout)
    if asked.work.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": asked.work.reentrant})
    targets = lora.target_modules if lora.target_modules == "all-linear" else list(lora.target_modules)
    config = LoraConfig(
        r=lora.r, target_modules=targets, lora_dropout=lora.lora_dropout, task_type="CAUSAL_LM"
    )
    try:
        get_peft_model(model, config, low_cpu_mem_usage=True)
    except ValueError as error:
        raise UnsupportedError(f"{asked.model}: peft adds no adapters: {error}") from error
    usual = next(each for each in model.parameters() if not each.is_meta).dtype
    with storages:
        _fill(model, torch.float32 if lora.autocast_adapter_dtype else usual)


def _cast(model: nn.Module, layout: Layout) -> None:
    """Casts to fp32 what is not quantized; a tensor that two modules share stays shared."""
    from torch import nn

    found: dict[int, nn.Parameter] = {}
    for module in model.modules():
        if type(module) is nn.Linear and module is not layout.head:
            continue
        for name, each in module.named_parameters(recurse=False):
            if id(each) not in found:
                found[id(each)] = nn.Parameter(each.to(torch.float32), requires_grad=False)
            module.register_parameter(name, found[id(each)])


def _fill(model: nn.Module, dtype: torch.dtype) -> None:
    """Gives adapters, which peft left without a device, tensors of their own."""
    from torch import nn

    for module in model.modules():
        for name, each in module.named_parameters(recurse=False):
            if each.is_meta:
                made = torch.empty(each.shape, dtype=dtype)
                module.register_parameter(name, nn.Parameter(made, each.requires_grad))
