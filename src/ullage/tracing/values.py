"""True values of the small whole numbers of a pass: token ids, masks, positions and what is counted of them.

A model's code asks whether a mask bars anything, or how long a text is, and goes on accordingly. Tensors of
whole numbers that are made of nothing but such tensors are computed beside their fakes, so it is answered as
in a run. States and what is chosen by them have no values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves, tree_map_only

LARGEST: Final = 2**22
"""Elements of a tensor that is computed: the ids of 128 texts of 32,768 tokens, and no mask of all pairs."""
_TRUE: Final = "_ullage_true"


class UnknownError(Exception):
    """Code asks for a value that a fake tensor does not have."""


def true_value(tensor: Tensor) -> Tensor | None:
    """The tensor with its values; None where they are not known. A tensor that is no fake is its own."""
    if not isinstance(tensor, FakeTensor):
        return tensor
    found: Tensor | None = getattr(tensor, _TRUE, None)
    return found


def note_values(
    func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object], found: object
) -> None:
    """Computes what `found` is the fake of, where that is known and small enough; what an unknown was written
    into is known no more."""
    if all(true_value(each) is not None for each in _tensors(args, kwargs)):
        made = [each for each in tree_leaves(found) if isinstance(each, FakeTensor)]
        if made and all(_is_small(each) for each in made):
            pairs = zip(made, _computed(func, args, kwargs), strict=True)
            for fake, true in pairs:
                setattr(fake, _TRUE, true)
            return
    if func._schema.is_mutable:
        for each in _tensors(args, kwargs):
            if isinstance(each, FakeTensor) and hasattr(each, _TRUE):
                delattr(each, _TRUE)


def computed(func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """What an operation gives whose result depends on values, with true tensors. Raises UnknownError."""
    if any(true_value(each) is None for each in _tensors(args, kwargs)):
        raise UnknownError("its code asks for a value, which only a run has")
    return _run(func, args, kwargs)


def fake_of(true: Tensor) -> Tensor:
    """A new fake with these values; inside a fake mode."""
    fake = torch.empty_strided(true.shape, true.stride(), dtype=true.dtype)
    setattr(fake, _TRUE, true)
    return fake


def _computed(func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> Iterator[Tensor]:
    found = _run(func, args, kwargs)
    yield from (each for each in tree_leaves(found) if isinstance(each, Tensor))


def _run(func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    true, named = tree_map_only(Tensor, true_value, (tuple(args), dict(kwargs)))
    return func(*true, **named)


def _is_small(tensor: Tensor) -> bool:
    """Whether a tensor is computed: of whole numbers, or a single number."""
    whole = not (tensor.dtype.is_floating_point or tensor.dtype.is_complex) or not tensor.dim()
    return whole and tensor.device.type == "cpu" and tensor.numel() <= LARGEST


def _tensors(args: Sequence[object], kwargs: Mapping[str, object]) -> Iterator[Tensor]:
    for each in (*args, *kwargs.values()):
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from (one for one in each if isinstance(one, Tensor))
