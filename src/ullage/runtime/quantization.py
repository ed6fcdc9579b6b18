"""A quantization scheme as transformers is told of it, and whether a card computes with it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ullage.errors import MissingExtraError, UnsupportedError
from ullage.facts.dtypes import TORCH_NAMES
from ullage.facts.quantization.known import by_transformers
from ullage.facts.quantization.scheme import Scheme
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.role import Role

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers.utils.quantization_config import QuantizationConfigMixin


def quantization_config(
    transformers: ModuleType, precision: ResolvedPrecision
) -> QuantizationConfigMixin | None:
    """How weights are quantized while they load; None where they load as they are stored.

    Raises UnsupportedError for a scheme that only checkpoints hold, MissingExtraError without what does it.
    """
    scheme = precision.scheme
    if precision.quantization is not None or scheme is None:
        return None
    made = scheme.on_load
    if made is None or made.config is None:
        raise UnsupportedError(
            f"weights cannot be turned into {precision.storage} while they load; name a checkpoint stored "
            f"in it, or use precision: {' or '.join(by_transformers())}"
        )
    try:
        import_module(made.package)
    except ImportError as error:
        raise MissingExtraError(made.package, "run", f"precision: {precision.storage}") from error
    import torch

    options: dict[str, object] = dict(made.options)
    if made.compute is not None:
        options[made.compute] = getattr(torch, TORCH_NAMES[precision.compute])
    if precision.keeps_waiting:
        options["llm_int8_enable_fp32_cpu_offload"] = True
    config: QuantizationConfigMixin = getattr(transformers, made.config)(**options)
    return config


def unpacking_config(transformers: ModuleType) -> QuantizationConfigMixin | None:
    """Tells that a GGUF file is turned into 16 bits, as it is planned: where the package `kernels` is there,
    transformers keeps its blocks since 5.19. None of versions that know no other way."""
    if not hasattr(transformers, "GgufConfig"):
        return None
    config: QuantizationConfigMixin = transformers.GgufConfig(dequantize=True)
    return config


def dequantizing_config(
    transformers: ModuleType, stored: object, precision: ResolvedPrecision
) -> QuantizationConfigMixin | None:
    """Tells that a checkpoint whose config says it is `stored` quantized is turned into 16 bits, where that
    is planned: transformers itself goes by the first card alone. None where nothing is to be told."""
    if precision.scheme is not None or not isinstance(stored, dict):
        return None
    names = {"fp8": "FineGrainedFP8Config", "mxfp4": "Mxfp4Config"}
    name = names.get(str(stored.get("quant_method")))
    if name is None:
        return None
    skipped = stored.get("modules_to_not_convert")
    config: QuantizationConfigMixin = getattr(transformers, name)(
        dequantize=True, modules_to_not_convert=skipped
    )
    return config


def weights_of(model: nn.Module) -> Iterator[Tensor]:
    """Every tensor that weights are stored in: parameters, and the scales, code books and offsets that
    bitsandbytes keeps beside its own."""
    for parameter in model.parameters():
        yield parameter
        yield from _tensors(getattr(parameter, "quant_state", None))
        yield from _tensors(getattr(parameter, "SCB", None))


def _tensors(held: object) -> Iterator[Tensor]:
    """Those of a quantization state, and of the state its own scales are quantized in."""
    import torch

    if isinstance(held, torch.Tensor):
        yield held
    elif held is not None:
        for name in ("absmax", "code", "offset", "state2"):
            yield from _tensors(getattr(held, name, None))


def check_capability(role: Role, scheme: Scheme | None, devices: list[str]) -> None:
    """Raises UnsupportedError for a card that does not compute with `scheme`.

    transformers would turn such a checkpoint into 16 bits, which takes more than was planned.
    """
    import torch

    least = scheme.least_capability if scheme is not None else None
    if scheme is None or least is None or torch.version.hip is not None:
        return
    for device in devices:
        if not device.startswith("cuda"):
            continue
        found = torch.cuda.get_device_capability(device)
        if found < least:
            other = "bf16 or fp16" if scheme.dequantizes_on_request else "fp16"
            raise UnsupportedError(
                f"{role.model}: {scheme.name} needs compute capability {least[0]}.{least[1]}, {device} has "
                f"{found[0]}.{found[1]}; use another card, or precision: {other}"
            )
