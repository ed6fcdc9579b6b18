"""Which module of a model is running: what a storage is made by, and where code breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def told(model: nn.Module, running: list[str]) -> Iterator[None]:
    """While this lasts, `running` holds the paths of the model's modules that run, the innermost last.

    Hooks of all modules at once leave those of the model as they are.
    """
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

    names = {id(module): name for name, module in model.named_modules()}

    def begun(module: nn.Module, _args: object) -> None:
        running.append(names.get(id(module), type(module).__name__))

    def ended(module: nn.Module, _args: object, _output: object) -> None:
        running.pop()

    handles = register_module_forward_pre_hook(begun), register_module_forward_hook(ended, always_call=True)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        running.clear()
