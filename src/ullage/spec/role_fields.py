"""The fields of a role as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ullage.spec.engine import Settings
    from ullage.spec.role import AttentionKernel, Cache, Residency


class RoleFields(TypedDict, total=False):
    """What may be said of a model beside its name: `Role`'s fields, the settings of Ullage's own engines, and
    the guides' quantization switches. Parts that are mappings in a file are mappings here too.
    """

    precision: str
    fallback_precisions: Sequence[str]
    engine: str
    attention: AttentionKernel
    placement: str | Sequence[str]
    max_memory: Mapping[str, str | int] | None
    device_map: Mapping[str, str | int] | None
    llm_int8_enable_fp32_cpu_offload: bool
    residency: Residency
    cache: Cache | Mapping[str, object]
    tensor_parallel: int
    vllm: Settings | Mapping[str, object]
    openai: Settings | Mapping[str, object]
    trust_remote_code: bool
    rope: str | None
    batch: int | None
    prompt_tokens: int | None
    new_tokens: int | None
    images: int
    image_size: tuple[int, int] | str
    steps: int
    use_quantized: bool
    quantization_bits: int
    quantization: str
