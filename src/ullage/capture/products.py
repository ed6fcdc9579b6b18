"""The products of queries and keys that a model computes, seen while it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(slots=True)
class Products:
    """What one block multiplied: queries and keys (batch, heads, tokens, width) whose product has a row and
    a column for each token, and patterns (batch, heads, tokens, tokens) with the values they weighed."""

    scores: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    weighed: list[tuple[Tensor, Tensor]] = field(default_factory=list)


@contextmanager
def multiplying(blocks: Sequence[nn.Module], batch: int, tokens: int) -> Iterator[Mapping[int, Products]]:
    """Gathers what each of `blocks` multiplies while this lasts, by its place in the list."""
    from torch.overrides import TorchFunctionMode

    found: dict[int, Products] = defaultdict(Products)
    inside: list[int] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self,
            function: Callable[..., Any],
            types: object,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            result = function(*args, **(kwargs or {}))
            if inside and getattr(function, "__name__", "") in _PRODUCTS:
                _note(found[inside[-1]], (*args, *(kwargs or {}).values()), result, (batch, tokens))
            return result

    def enter(index: int) -> Callable[..., None]:
        return lambda *_: inside.append(index)

    handles = []
    for index, block in enumerate(blocks):
        handles.append(block.register_forward_pre_hook(enter(index)))
        handles.append(block.register_forward_hook(lambda *_: (inside.pop(), None)[1]))
    try:
        with Watch():
            yield found
    finally:
        for handle in handles:
            handle.remove()


_PRODUCTS = frozenset({"matmul", "__matmul__", "bmm", "baddbmm", "einsum"})


def _note(found: Products, args: tuple[Any, ...], result: Any, sizes: tuple[int, int]) -> None:
    batch, tokens = sizes
    from torch import Tensor

    pair = [each for each in args if isinstance(each, Tensor)][-2:]
    if len(pair) != 2 or not isinstance(result, Tensor) or pair[0].ndim < 3:
        return
    left, right = pair
    if result.shape[-2:] == (tokens, tokens) and right.shape[-1] == tokens and left.shape[-2] == tokens:
        if left.shape[-1] != tokens:
            found.scores.append((_heads(left, batch), _heads(right.transpose(-1, -2), batch)))
    elif left.shape[-2:] == (tokens, tokens) and result.shape[-2] == tokens:
        found.weighed.append((_heads(left, batch), _heads(right, batch)))


def _heads(tensor: Tensor, batch: int) -> Tensor:
    """(batch, heads, tokens, width) of what may have batch and heads in one dimension, or heads in two."""
    return tensor.detach().clone().reshape(batch, -1, *tensor.shape[-2:])
