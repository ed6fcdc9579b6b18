"""A training step: forward, backward and the optimizer's step, as torch and transformers do them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import torch

from ullage.errors import UnsupportedError
from ullage.facts.dtypes import TORCH_NAMES
from ullage.memory.traced import Asked
from ullage.runtime.layout import Layout
from ullage.spec.training import Training
from ullage.tracing.forward import Points, texts
from ullage.tracing.storages import Storages

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutput

FORWARD: Final = "the forward pass"
BACKWARD: Final = "the backward pass"
STEP: Final = "the optimizer's step"
SPANS: Final = {"train": (FORWARD, BACKWARD), "update": (STEP,)}
"""The stages of each span of a step that is planned by itself."""
RATE: Final = 1e-4
_MAKES: Final = {"adamw": torch.optim.AdamW, "adamw-torch": torch.optim.AdamW, "sgd": torch.optim.SGD}


def train_step(
    storages: Storages, model: PreTrainedModel, layout: Layout, asked: Asked, points: Points
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Runs two steps, of which the second finds the optimizer's state made; no stage is left out.

    Raises UnsupportedError for what torch itself does not do.
    """
    work = asked.work
    training = work.training or Training()
    _check(asked, training)
    assert not points
    model.train()
    if work.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": work.reentrant})
    make = _MAKES.get(training.optimizer)
    optimizer = None
    if make is not None:
        trained = [each for each in model.parameters() if each.requires_grad]
        fused = {"fused": True} if training.optimizer == "adamw" else {"foreach": not asked.processor}
        optimizer = make(trained, lr=RATE, **fused)
    ids = torch.tensor(texts(layout, asked))
    forward = _mixed(model, asked, training)
    for _ in range(2):
        storages.stage = FORWARD
        loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        storages.stage = BACKWARD
        assert loss is not None
        loss.backward()
        del loss
        storages.say((each.grad for each in model.parameters() if each.grad is not None), "gradients")
        storages.stage = STEP
        if optimizer is not None:
            optimizer.step()
            storages.say(_state_of(optimizer), "optimizer")
        model.zero_grad()
    return (), []


def _mixed(
    model: PreTrainedModel, asked: Asked, training: Training
) -> PreTrainedModel | Callable[..., CausalLMOutput]:
    """The model's call; under autocast as accelerate prepares it, what it gives in fp32."""
    usual = asked.compute if asked.compute != "fp32" else "no"
    mixed = usual if training.mixed_precision == "auto" else training.mixed_precision
    if mixed == "no":
        return model
    from accelerate.utils import convert_outputs_to_fp32  # type: ignore[import-untyped]

    cast = torch.autocast("cpu", getattr(torch, TORCH_NAMES[mixed]))
    found: Callable[..., CausalLMOutput] = convert_outputs_to_fp32(cast(model.__call__))
    return found


def _check(asked: Asked, training: Training) -> None:
    other = {
        "optimizer: adamw-8bit": training.optimizer == "adamw-8bit",
        "gradient_dtype: fp32": training.gradient_dtype == "fp32" and asked.compute != "fp32",
        "master_weights: true": training.master_weights,
        "trainable_fraction below 1": training.trainable_fraction < 1,
        "captures": bool(asked.work.captures),
        f"weights in {asked.scheme} and no adapters": asked.scheme is not None and training.lora is None,
    }
    what = next((each for each, there in other.items() if there), None)
    if what is not None:
        raise UnsupportedError(f"{asked.model}: a training step with {what} is not traced; leave that out")


def _state_of(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for state in optimizer.state.values():
        yield from (each for each in state.values() if isinstance(each, torch.Tensor))
