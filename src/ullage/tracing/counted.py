"""What a model is made of where no row describes its family: its weights, as transformers builds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from torch import nn
from transformers.pytorch_utils import Conv1D

from ullage.errors import UllageError, UnsupportedError
from ullage.facts.architecture import Weight, WeightRole
from ullage.facts.counted import Counted, Weights
from ullage.memory.traced import Asked
from ullage.phases.phase import Work
from ullage.runtime.layout import Layout, find_layout
from ullage.runtime.libraries import find_transformers, in_turn
from ullage.tracing.built import build, config_from, said_by
from ullage.tracing.kernels import as_on
from ullage.tracing.storages import Storages

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

_LINEAR: Final = (nn.Linear, Conv1D)
_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_STACKED: Final = 3
"""Axes of the weights of experts that are one parameter."""


@in_turn
def counted(config: Mapping[str, object], name: str) -> Counted:
    """The weights of a causal language model of `config`, built without values.

    Raises UnsupportedError where transformers builds none: its reason.
    """
    own = config_from(name, config)
    if type(own) not in find_transformers().AutoModelForCausalLM._model_mapping:
        raise UnsupportedError(f"{name}: {own.model_type} is no causal language model of transformers")
    asked = Asked(name, "bf16", "auto", Work("prefill"), processor=True)
    storages = Storages(lambda *_: 0)
    try:
        with storages, as_on(asked, storages):
            model = build(own, asked)
        layout = find_layout(model)
    except UllageError:
        raise
    except Exception as error:  # whatever the model's own code says of such a config
        raise UnsupportedError(
            f"{name}: transformers builds no such model: {type(error).__name__}: {said_by(error)}"
        ) from error
    text = own.get_text_config()
    embeddings, layers, final, head = _parts(model, layout)
    kinds = tuple(dict.fromkeys(layers))
    return Counted(
        own.model_type,
        _width(text, layout),
        layout.rows or int(getattr(text, "vocab_size", 0)),
        _positions(text),
        str(own.dtype or "float32").removeprefix("torch."),
        embeddings,
        kinds,
        tuple(map(kinds.index, layers)),
        final,
        head,
        f"transformers {find_transformers().__version__}",
    )


def _parts(model: PreTrainedModel, layout: Layout) -> tuple[Weights, list[Weights], Weights, Weights]:
    """Weights of the embeddings, of each layer, of the norm after them, and of the head; of tied ones the
    first."""
    paths = {id(module): path for path, module in model.named_modules()}
    places = {f"{paths[id(layer)]}.": number for number, layer in enumerate(layout.layers)}
    ends = [None if each is None else f"{paths[id(each)]}." for each in (layout.final_norm, layout.head)]
    inside: list[list[Weight]] = [[] for _ in layout.layers]
    before: list[Weight] = []
    outside: dict[str | None, list[Weight]] = {each: [] for each in ends}
    for path, weight in _weights(model, layout):
        within = next((place for place in places if path.startswith(place)), None)
        if within is not None:
            inside[places[within]].append(weight._replace(name=path.removeprefix(within)))
            continue
        end = next((each for each in ends if each is not None and path.startswith(each)), "")
        outside.get(end, before).append(weight)
    final, head = (tuple(outside[each]) if each is not None else () for each in ends)
    return tuple(before), [tuple(each) for each in inside], final, head


def _weights(model: nn.Module, layout: Layout) -> Iterator[tuple[str, Weight]]:
    """Each parameter once, by its path."""
    seen: set[int] = set()
    for path, module in model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                whole = f"{path}.{name}" if path else name
                yield whole, Weight(whole, tuple(tensor.shape), _role(module, whole, name, tensor, layout))


def _role(module: nn.Module, path: str, name: str, tensor: Tensor, layout: Layout) -> WeightRole:
    """What quantizers and plans take it for."""
    if name.endswith("bias"):
        return "bias"
    if module is layout.head:
        return "head"
    if isinstance(module, _LINEAR):
        return "linear"
    if isinstance(module, nn.Embedding):
        return "embedding"
    if isinstance(module, _CONVOLUTIONS):
        return "conv"
    if "expert" in path and tensor.ndim == _STACKED:
        return "experts"
    if "norm" in type(module).__name__.lower():
        return "norm"
    return "other"


def _width(config: PreTrainedConfig, layout: Layout) -> int:
    width: object = getattr(config, "hidden_size", None)
    if isinstance(width, int):
        return width
    shape: tuple[int, ...] = layout.embedding.weight.shape  # type: ignore[assignment]
    return shape[-1]


def _positions(config: PreTrainedConfig) -> int | None:
    """Where the window ends: what the config says, if it says it as transformers usually does."""
    found: object = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
