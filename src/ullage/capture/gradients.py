"""What stands beside the states of a text that was read backward: gradients and its loss, by name."""

from __future__ import annotations

from typing import Final

GRADIENT: Final = "_grad"
"""Behind a site's name: the gradient there, as TransformerLens names it."""
LOSS: Final = "loss"
"""(1,) what a text's gradients are of, beside its states."""


def state_of(name: str) -> str:
    """The site at which a stored tensor, a state or a gradient, was taken."""
    return name.removesuffix(GRADIENT)


def is_gradient(name: str) -> bool:
    """Whether a stored tensor is a gradient."""
    return name.endswith(GRADIENT)


def is_pattern(name: str) -> bool:
    """Whether a stored tensor is an attention pattern, or a gradient of one: its shape is its text's own."""
    return state_of(name).endswith("hook_pattern")
