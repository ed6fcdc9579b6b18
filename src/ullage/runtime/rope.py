"""Rotary frequencies that depend on how long a text is, kept from depending on its neighbours.

transformers picks the frequencies of `longrope` (Phi-3 128k) and `dynamic` rope by the largest position of a
pass, so a short text in a batch with a long one, or the first chunk of a long one, would get others than
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ullage.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True)
class LengthRule:
    """longrope has one set of frequencies for texts of up to `original` tokens and one for longer ones;
    dynamic rope another one for each length beyond it."""

    kind: Literal["longrope", "dynamic"]
    original: int

    def same(self, length: int) -> int:
        """Texts of which this is equal have the same frequencies."""
        return int(length > self.original) if self.kind == "longrope" else max(length, self.original)


def length_rule(config: PreTrainedConfig) -> LengthRule | None:
    """The rule of a decoder's config; None where frequencies are the same for every length."""
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, Mapping):
        return None
    for each in (rope, *(value for value in rope.values() if isinstance(value, Mapping))):
        kind = each.get("rope_type")
        if kind == "longrope":
            original = each.get("original_max_position_embeddings") or config.max_position_embeddings
            return LengthRule("longrope", int(original))
        if kind == "dynamic":
            return LengthRule("dynamic", int(config.max_position_embeddings))
    return None


def goes_on(config: PreTrainedConfig, prompt: int, whole: int) -> bool:
    """Whether a text of `prompt` tokens keeps its frequencies while it grows to `whole`."""
    rule = length_rule(config)
    return rule is None or rule.same(prompt) == rule.same(whole)


def check_written(config: PreTrainedConfig, prompts: Sequence[int], new_tokens: int) -> None:
    """Raises UnsupportedError where what is written would change the frequencies of what was read."""
    rule = length_rule(config)
    for length in prompts:
        if rule is not None and not goes_on(config, length, length + new_tokens):
            raise UnsupportedError(
                f"{rule.kind} rope changes all positions when a text grows beyond {rule.original} tokens; "
                f"one of {length} cannot go on by {new_tokens} with the states it has: shorten it, or read "
                "what was written"
            )


def groups(config: PreTrainedConfig, lengths: Sequence[int]) -> list[list[int]]:
    """Places of the texts that may share a pass: all of them, but where frequencies depend on length."""
    rule = length_rule(config)
    found: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        found.setdefault(0 if rule is None else rule.same(length), []).append(place)
    return list(found.values())


@contextmanager
def frequencies_of(model: nn.Module, config: PreTrainedConfig, length: int) -> Iterator[None]:
    """Every pass inside has the frequencies of a text of `length` tokens, whatever part of it is read."""
    if length_rule(config) is None:
        yield
        return
    handles = []
    for module in model.modules():
        if not hasattr(module, "rope_type"):
            continue

        def longer(
            own: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if hasattr(own, "max_seq_len_cached"):
                rotary: Any = own
                rotary.max_seq_len_cached = 0  # dynamic rope would go on from the longest text it has seen
            if len(args) > 1:
                return (args[0], _with_last(args[1], length), *args[2:]), kwargs
            return args, {**kwargs, "position_ids": _with_last(kwargs["position_ids"], length)}

        def without(_module: nn.Module, _args: object, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(each[..., :-1, :] for each in output)

        handles.append(module.register_forward_pre_hook(longer, with_kwargs=True))
        handles.append(module.register_forward_hook(without))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _with_last(positions: object, length: int) -> Tensor:
    import torch

    assert isinstance(positions, torch.Tensor)
    return torch.cat([positions, torch.full_like(positions[..., :1], length - 1)], dim=-1)
