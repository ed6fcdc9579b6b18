"""A model's part in a workload."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ullage.spec.precision import Precision
from ullage.spec.value import Count, Switch, Tokens, Value

Engine = Literal["transformers", "vllm", "openai", "diffusers", "scripted"]
AttentionKernel = Literal["auto", "flash", "sdpa", "sdpa-math", "eager"]
Residency = Literal["auto", "persistent", "swapped", "host", "disk"]
CacheKind = Literal["dynamic", "static", "quantized"]
CachePrecision = Literal["auto", "fp32", "fp16", "bf16", "fp8", "int8", "int4", "int2"]


Price = Annotated[float, Field(strict=True, ge=0)]


class Cache(Value):
    """The key-value cache of a role."""

    kind: CacheKind = "dynamic"
    precision: CachePrecision = Field(default="auto", description="auto: the compute dtype")


class Vllm(Value):
    """Settings of a vLLM engine, under vLLM's own names; None leaves vLLM's default to the plan."""

    gpu_memory_utilization: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    max_model_len: Count | None = None
    max_num_seqs: Count | None = None
    max_num_batched_tokens: Count | None = None
    enforce_eager: Switch = False
    block_size: Count = 16


class Remote(Value):
    """A server that speaks OpenAI's protocol. The key is read from the environment, never from the file."""

    base_url: str | None = Field(default=None, description="None: OpenAI's own")
    key_env: str = Field(default="OPENAI_API_KEY", description="the environment variable with the key")
    timeout_seconds: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 120.0
    retries: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        default=5, description="of one request, with growing pauses"
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=1024)] = 8
    requests_per_minute: Count | None = None
    logprobs: Switch = Field(default=True, description="ask for the probability of every token")
    price_per_million: tuple[Price, Price] | None = Field(
        default=None, description="USD for a million prompt tokens and new tokens"
    )


class Role(Value):
    """One model and how it is to be held and run.

    `placement` is `auto` (one GPU where it fits), `balanced` (over all GPUs, as accelerate's), one device
    (`gpu:0`, `cpu`) or a list of GPUs the layers are split over.
    `max_memory` bounds what the role may take per device, as accelerate's option of that name.
    Work left None falls back to the workload's own.
    """

    model: str = Field(description="ullage:tiny, a catalog name, hub id, folder, config.json or .gguf file")
    precision: Precision = "auto"
    fallback_precisions: tuple[Precision, ...] = Field(
        default=(), description="tried in this order where the plan does not fit: as [int8, nf4]"
    )
    engine: Engine = "transformers"
    attention: AttentionKernel = "auto"
    placement: str | tuple[str, ...] = "auto"
    max_memory: dict[str, str | Annotated[int, Field(strict=True)]] | None = None
    residency: Residency = "auto"
    cache: Cache = Cache()
    tensor_parallel: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    vllm: Vllm = Vllm()
    openai: Remote = Remote()
    trust_remote_code: Switch = False

    batch: Count | None = None
    prompt_tokens: Tokens | None = None
    new_tokens: Tokens | None = None
    images: Annotated[int, Field(strict=True, ge=0, le=10_000)] = Field(default=0, description="per sequence")
    image_size: tuple[Count, Count] = Field(default=(1024, 1024), description="width, height in pixels")
    steps: Count = Field(default=4, description="denoising steps of a diffusion role")
