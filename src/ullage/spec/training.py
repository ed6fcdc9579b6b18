"""A training step: what is trained, by which optimizer, in which dtypes."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from ullage.spec.mistake import Mistake, Path
from ullage.spec.value import Count, Switch, Value

WHOLE: Final = 1.0
REFUSED: Final = {
    "torch_compile": "what a compiler keeps and computes anew is its own choice, which no formula gives; "
    "without it a step takes more: leave it out, and what is planned is enough",
    "use_liger_kernel": "its loss makes the logits piece by piece, in sizes that its release chooses, and "
    "was not held against a step; without it a step takes more: leave it out, and what is planned is enough",
    "activation_offload": "what is kept crosses to host memory while layers run, and how much of it is still "
    "on its way was not measured; leave it out, or use memory.enable_gradient_checkpointing",
    "optimizer_in_backward": "a gradient that is gone before the next is made was not held against a step; "
    "leave it out: without it a step takes all gradients at once",
}
"""Settings of training software that are known and not modelled, each with its reason."""
REFUSED_IN_LORA: Final = {
    "use_dora": "norms of whole weights are computed at each step, which was not held against one; leave it "
    "out",
    "modules_to_save": "whole modules are trained beside adapters, which was not held against a step; leave "
    "it out",
}


def _as_named_here(value: object) -> object:
    """transformers writes adamw_torch, adamw_8bit, paged_adamw_8bit, and adamw_torch_fused for adamw."""
    if value == "adamw_torch_fused":
        return "adamw"
    return value.replace("_", "-") if isinstance(value, str) else value


def _yaml_no(value: object) -> object:
    """`no` without quotes is false to YAML."""
    return "no" if value is False else value


Optimizer = Literal["none", "sgd", "adamw", "adamw-torch", "adamw-8bit", "paged-adamw-8bit"]


class Lora(Value):
    """Low-rank adapters, by the names of peft's LoraConfig and of its functions: beside a weight (out, in)
    two trained ones, (r, in) and (out, r) (Hu et al. 2021, arXiv:2106.09685)."""

    r: Count = 8
    target_modules: Annotated[Literal["all-linear"] | tuple[str, ...], Field(union_mode="left_to_right")] = (
        Field(
            default="all-linear", description="names of linear layers, as q_proj; peft's own default is fewer"
        )
    )
    lora_dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    autocast_adapter_dtype: Switch = Field(default=True, description="adapters of 16-bit models in fp32")
    prepare_model_for_kbit_training: Switch = Field(
        default=True, description="embedding, norms and output layer beside quantized weights in fp32"
    )
    use_dora: Switch = Field(default=False, description="refused")
    modules_to_save: tuple[str, ...] = Field(default=(), description="refused")


class Training(Value):
    """A training step as transformers' Trainer takes it. All weights are trained, or with `lora` adapters
    beside them; `trainable_fraction` stands for adapters of which only their share is known."""

    optimizer: Annotated[Optimizer, BeforeValidator(_as_named_here)] = Field(
        default="adamw",
        description="adamw: fused, as Trainer makes it; adamw-torch: torch.optim.AdamW as it is without that",
    )
    lora: Lora | None = None
    mixed_precision: Annotated[Literal["auto", "no", "fp16", "bf16"], BeforeValidator(_yaml_no)] = Field(
        default="auto", description="autocast; auto: in the compute dtype where that has 16 bits"
    )
    gradient_accumulation_steps: Count = 1
    gradient_dtype: Literal["weights", "fp32"] = "weights"
    master_weights: bool | None = Field(
        default=None,
        strict=True,
        description="an fp32 copy of 16-bit weights; by default where all are trained",
    )
    shifted_logits: Switch = Field(
        default=False, description="the loss of a shifted fp32 copy, as transformers of 2024 made it"
    )
    trainable_fraction: Annotated[float, Field(strict=True, ge=0, le=1)] = WHOLE
    torch_compile: Switch = Field(default=False, description="refused")
    use_liger_kernel: Switch = Field(default=False, description="refused")
    activation_offload: Switch = Field(default=False, description="refused")
    optimizer_in_backward: Switch = Field(default=False, description="refused")

    @property
    def whole(self) -> bool:
        """Whether the weights themselves are trained, all of them."""
        return self.lora is None and self.trainable_fraction == WHOLE


def mistakes_in_training(training: Training) -> Iterator[Mistake]:
    """Settings that are refused, and those that exclude one another."""
    path: Path = ("training",)
    for name, why in REFUSED.items():
        if getattr(training, name):
            yield Mistake((*path, name), f"is not modelled: {why}", at_key=True)
    lora = training.lora
    if lora is None:
        return
    for name, why in REFUSED_IN_LORA.items():
        if getattr(lora, name):
            yield Mistake((*path, "lora", name), f"is not modelled: {why}", at_key=True)
    if lora.target_modules == ():
        problem = "names no module; give names of linear layers as [q_proj, v_proj], or all-linear"
        yield Mistake((*path, "lora", "target_modules"), problem)
    if training.trainable_fraction != WHOLE:
        problem = "lora says what is trained, and its share follows; remove one of both"
        yield Mistake((*path, "trainable_fraction"), problem, at_key=True)
    if training.master_weights:
        problem = "adapters are in fp32 (autocast_adapter_dtype) and need no copy; remove it"
        yield Mistake((*path, "master_weights"), problem)
