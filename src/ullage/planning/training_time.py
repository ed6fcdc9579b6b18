"""How long a step of training takes: a forward pass that goes back again, and the optimizer's step.

Held against ten steps on an H200 (torch 2.11, transformers 5.17, peft; `training` of
benchmarks/gpu_sections.py): all within low and high.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Architecture
from ullage.memory.forward.one_pass import FULL
from ullage.memory.needs import RECENT
from ullage.memory.training.recipe import Recipe
from ullage.memory.weights.tensors import weights_by_blocks
from ullage.planning.roofline import SCORE_BYTES, Stage, Step, scores
from ullage.planning.task import Held, Task
from ullage.spec.training import Training

TRAIN_FACTOR: Final = 3
"""A backward pass costs twice a forward pass; checkpointing adds one more forward. With frozen weights it
costs once a forward pass, and what adapters and their casts move makes up for the rest."""
ADAPTED_SECONDS: Final = 0.2e-3
"""Host time of a forward pass for each weight with an adapter: casts, two products, a scale and a sum. 51 and
67 ms a step of 8 layers with adapters beside all 7 weights, 1,024 tokens, on two machines with an H200."""
AGAIN_SECONDS: Final = 2e-3
"""Host time more for a checkpointed layer than to run it again: 15 ms for 4 layers, 28 and 73 for 8 with
adapters (the same)."""
STEPPED_SECONDS: Final = 30e-6
"""Host time of an optimizer for each tensor that it steps. Assumed."""
UPDATE_PASSES: Final = {
    "none": 0,
    "sgd": 3,
    "adamw": 7,
    "adamw-torch": 21,
    "adamw-8bit": 4,
    "paged-adamw-8bit": 4,
}
"""Times what is stepped goes by: of fused AdamW it, its gradients and both moments read, all but gradients
written; `_multi_tensor_adam` (optim/adam.py of torch 2.13) calls eight kernels one by one; SGD has no
moments, those of 8 bits are a quarter as wide. What is paged from host memory is not counted."""
BOTH_HALVES: Final = 2
"""torch's plain attention multiplies what its mask hides too."""


def trained(read: Step, task: Task, held: Held) -> Step:
    """What a step takes of which one forward pass is `read`."""
    work, model, recipe = task.work, task.architecture, _recipe(task)
    factor = TRAIN_FACTOR + work.gradient_checkpointing
    rows = work.batch * work.prompt_tokens
    read = read._replace(operations=read.operations * factor, attended=read.attended * factor)
    read, made = _in_fp32(read, task, held, recipe, factor)
    full = read.full
    host = read.host + ADAPTED_SECONDS * len(_adapted(model, recipe))
    again = AGAIN_SECONDS * len(model.layers) if work.gradient_checkpointing else 0.0
    if recipe.adapter == FULL and not recipe.autocast:
        full += factor * 2 * rows * sum(_adapted(model, recipe))
    return read._replace(
        host=host * factor + again,
        moved=max(read.moved, made) * factor,
        reads=factor,
        full=full,
    )


def _in_fp32(read: Step, task: Task, held: Held, recipe: Recipe, factor: int) -> tuple[Step, float]:
    """The step with what it does in fp32 said apart, and bytes of scores that one pass makes for that.

    Beside quantized weights attention and the output layer are in fp32 where neither peft's casts are left
    out nor autocast undoes them. Without any scheme all is, and where autocast's dtype is emulated there."""
    if held.emulates(recipe.autocast_dtype):
        return read.in_fp32(), 0.0
    if not recipe.full:
        return read, 0.0
    work, model, made = task.work, task.architecture, _scores(task, held)
    if recipe.precision.scheme is None:
        return read.in_fp32(), made
    head = 2 * work.batch * work.prompt_tokens * model.hidden_size * model.vocab_size
    # The output layer is frozen, and never run again: once forth and once back.
    full = 2 * head + read.attended * (BOTH_HALVES if made else 1)
    narrow = max(read.operations - factor * head, 0.0)
    return read._replace(operations=narrow, attended=0.0, full=full), made


def _scores(task: Task, held: Held) -> float:
    """Bytes of scores that a pass makes since no kernel takes its heads in fp32."""
    if task.kernel != "sdpa" or held.slowest.gpu.abilities.processor:
        return 0.0
    keys = task.work.prompt_tokens + task.work.cached_tokens
    made = scores(task.architecture, "sdpa", FULL, False, task.work.prompt_tokens, keys)
    return task.work.batch * made * SCORE_BYTES


def updated(stages: tuple[Stage, ...], task: Task) -> Step:
    """The optimizer's step, of every card on its own layers at once."""
    recipe = _recipe(task)
    training = recipe.training
    tensors, size = _stepped(task.architecture, recipe)
    host = 0.0 if training.optimizer == "none" else STEPPED_SECONDS * tensors
    width = FULL if recipe.master else recipe.width
    read = sum(stage.weights for stage in stages)
    more = size * width / read if read else 1.0
    stages = tuple(stage._replace(weights=stage.weights * more) for stage in stages)
    return Step(stages, host, 0, reads=UPDATE_PASSES[training.optimizer], at_once=True)


def _recipe(task: Task) -> Recipe:
    return Recipe(task.work.training or Training(), task.precision)


@lru_cache(maxsize=RECENT)
def _adapted(model: Architecture, recipe: Recipe) -> tuple[int, ...]:
    """Elements of each adapter: of those of which only their share is known none, beside every linear layer;
    () where all weights are trained."""
    if recipe.training.whole:
        return ()
    lora = recipe.training.lora
    found = []
    for layer in model.layers:
        for weight in layer.weights:
            if lora is None and weight.role == "linear":
                found.append(0)
            elif lora is not None and recipe.targets(weight):
                found.append(sum(recipe.trained((weight,))))
    return tuple(found)


@lru_cache(maxsize=RECENT)
def _stepped(model: Architecture, recipe: Recipe) -> tuple[int, int]:
    """How many tensors are trained, and elements of all."""
    sizes = [(recipe.trained(weights), len(blocks)) for weights, blocks in weights_by_blocks(model)]
    return sum(len(each) * n for each, n in sizes), sum(sum(each) * n for each, n in sizes)
