"""What can be changed of a training step. Layers are not offloaded: Trainer takes no such model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ullage.planning.advice.step import Axis, Family, Step
from ullage.spec.training import Training
from ullage.spec.workload import Workload

OPTIMIZER_LOSS: Final = 0.002
"""Assumed of moments in 8 bits, which trained as well as in 32 (arXiv 2110.02861)."""
ADAPTER_LOSS: Final = 0.02
"""Assumed of adapters in place of all weights (arXiv 2405.09673: they learn less and forget less)."""
UNPREPARED_LOSS: Final = 0.005


def training_axes(workload: Workload, training: Training) -> Iterator[Axis]:
    """Checkpointing, the optimizer's bits, and what is trained."""
    if not workload.memory.enable_gradient_checkpointing:
        path, note = "memory.enable_gradient_checkpointing", "layers are computed twice: a third slower"
        yield _axis("checkpoint", "same", path, "true", 0.0, note, slower=True)
    if training.optimizer == "adamw-torch":
        note = "its step in one kernel (fused=True), without a copy of what is trained"
        yield _axis("fused", "same", "training.optimizer", "adamw", 0.0, note)
    elif training.optimizer == "adamw":
        note = "optimizer state in 8 bits"
        yield _axis("optimizer", "lower", "training.optimizer", "adamw-8bit", OPTIMIZER_LOSS, note)
    if training.whole:
        note = "adapters of rank 16 are trained instead of all weights"
        yield _axis("trained", "lower", "training.lora", "{r: 16}", ADAPTER_LOSS, note)
    elif training.lora is not None and training.lora.prepare_model_for_kbit_training:
        path = "training.lora.prepare_model_for_kbit_training"
        note = "embedding, norms and output layer stay in 16 bits"
        yield _axis("prepared", "lower", path, "false", UNPREPARED_LOSS, note)


def _axis(
    name: str, family: Family, path: str, value: str, loss: float, note: str, slower: bool = False
) -> Axis:
    return Axis(name, family, (Step(name, value, ((path, value),), loss, note, slower=slower),), 0)
