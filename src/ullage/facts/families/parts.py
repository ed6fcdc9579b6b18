"""Weights of the parts that layers are made of."""

from __future__ import annotations

from collections.abc import Callable

from ullage.facts.architecture import Layer, Weight, WeightRole

Weights = tuple[Weight, ...]


def linear(name: str, outputs: int, inputs: int, bias: bool = False) -> Weights:
    """An nn.Linear: weight (outputs, inputs) and its bias."""
    weight = Weight(f"{name}.weight", (outputs, inputs), "linear")
    return (weight, Weight(f"{name}.bias", (outputs,), "bias")) if bias else (weight,)


def norm(name: str, width: int, bias: bool = False) -> Weights:
    """An RMSNorm, or with `bias` a LayerNorm."""
    weight = Weight(f"{name}.weight", (width,), "norm")
    return (weight, Weight(f"{name}.bias", (width,), "bias")) if bias else (weight,)


def single(name: str, shape: tuple[int, ...], role: WeightRole = "other") -> Weights:
    return (Weight(name, shape, role),)


def gated_weights(
    hidden: int, width: int, prefix: str = "mlp", bias: bool = False, fused: bool = False
) -> Weights:
    """Gate, up and down projection (SwiGLU, GeGLU: arXiv 2002.05202)."""
    if fused:
        weights = linear(f"{prefix}.gate_up_proj", 2 * width, hidden, bias)
    else:
        weights = linear(f"{prefix}.gate_proj", width, hidden, bias)
        weights += linear(f"{prefix}.up_proj", width, hidden, bias)
    return weights + linear(f"{prefix}.down_proj", hidden, width, bias)


def expert_weights(
    hidden: int,
    experts: int,
    width: int,
    prefix: str,
    gated: bool = True,
    bias: bool = False,
    transposed: bool = False,
) -> Weights:
    """Routed experts as transformers 5 fuses them: (experts, outputs, inputs), or `transposed`."""
    first = "gate_up_proj" if gated else "up_proj"
    wide = 2 * width if gated else width
    shapes = [(experts, wide, hidden), (experts, hidden, width)]
    if transposed:
        shapes = [(count, inputs, outputs) for count, outputs, inputs in shapes]
    weights = single(f"{prefix}.{first}", shapes[0], "experts")
    weights += single(f"{prefix}.down_proj", shapes[1], "experts")
    if bias:
        weights += single(f"{prefix}.{first}_bias", (experts, wide), "bias")
        weights += single(f"{prefix}.down_proj_bias", (experts, hidden), "bias")
    return weights


class Once:
    """Builds each distinct layer once, so that equal layers are one object."""

    def __init__(self) -> None:
        self._built: dict[object, Layer] = {}

    def layer(self, key: object, build: Callable[[], Layer]) -> Layer:
        if key not in self._built:
            self._built[key] = build()
        return self._built[key]
