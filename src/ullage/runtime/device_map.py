"""accelerate's map from the modules of a model to devices, from the plan's map of its blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ullage.errors import InputError, nearest
from ullage.runtime.layout import find_layout

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


class AutoModels(Protocol):
    """What is used of transformers' `AutoModel` and `AutoModelForCausalLM`."""

    def from_config(self, config: PreTrainedConfig, **options: object) -> PreTrainedModel:
        """A model with weights of chance."""

    def from_pretrained(
        self, folder: str, **options: object
    ) -> tuple[PreTrainedModel, Mapping[str, Collection[str]]]:
        """A checkpoint's model; names of weights under `missing_keys`, as `output_loading_info` asks for."""


def torch_device(name: str) -> str:
    """A device of a plan as torch and accelerate call it."""
    return name if name in ("cpu", "disk") else "cuda:" + name.removeprefix("gpu:")


def computing(devices: Sequence[str]) -> str:
    """The device that computes what is offloaded: the first GPU, or the processor."""
    return next((name for name in devices if name.startswith("cuda")), "cpu")


def modules_on(
    kind: AutoModels, config: PreTrainedConfig, placement: Mapping[str, str], named: Collection[str] = ()
) -> dict[str, str]:
    """Modules by their names, and where each goes; `""`, the whole model, where all blocks of `placement` are
    on one device. The model is built without weights for its names.

    Raises InputError where it has none of a name that the file `named`.
    """
    blocks = [torch_device(name) for name in placement.values()]
    if len(set(blocks)) == 1 and not named:
        return {"": blocks[0]}
    from accelerate import init_empty_weights

    with init_empty_weights():
        empty = kind.from_config(config)
    layout = find_layout(empty)
    check_named(named, dict(empty.named_modules()), type(empty).__name__)
    if len(set(blocks)) == 1:
        return {"": blocks[0]}
    names = {id(module): name for name, module in empty.named_modules()}
    found = {names[id(layer)]: blocks[i + 1] for i, layer in enumerate(layout.layers)}
    for name, module in empty.named_modules():
        inside = any(name == key or name.startswith(key + ".") for key in found)
        if inside or any(module.children()):
            continue
        final = module is layout.final_norm or name.split(".")[-1] in ("lm_head", "embed_out")
        found[name] = blocks[-1] if final else blocks[0]
        if not any(True for _ in module.parameters()):
            found[name] = computing(blocks)
    return found


def check_named(named: Collection[str], modules: Mapping[str, object], what: str) -> None:
    """Raises InputError for a name that none of the modules of a model of class `what` has."""
    unknown = next((name for name in named if name not in modules), None)
    if unknown is not None:
        close = nearest(unknown, modules)
        hint = f"nearest: {', '.join(close)}" if close else f"it has {', '.join([*modules][1:6])}, ..."
        raise InputError(f"device_map: {unknown!r} is no module of {what}; {hint}")
