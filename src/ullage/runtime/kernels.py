"""Attention kernels that transformers has no name for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

SDPA_MATH: Final = "sdpa-math"
"""torch's scaled_dot_product_attention, held to its reference: scores of every query with every key."""
Given = ParamSpec("Given")
Result = TypeVar("Result")


def register_math() -> None:
    """Makes SDPA_MATH a name that transformers loads a model with; masks are those of its `sdpa`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(SDPA_MATH, _by_reference(sdpa_attention_forward))
    AttentionMaskInterface.register(SDPA_MATH, sdpa_mask)


def _by_reference(attend: Callable[Given, Result]) -> Callable[Given, Result]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def forward(*arguments: Given.args, **options: Given.kwargs) -> Result:
        with sdpa_kernel(SDPBackend.MATH):
            return attend(*arguments, **options)

    return forward
