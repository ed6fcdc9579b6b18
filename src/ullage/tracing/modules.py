"""Which module of a model is running: what a storage is made by, and where code breaks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def told(model: nn.Module, running: list[str], broke: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, `running` holds the paths of the model's modules that run, the innermost last, and
    `broke` is called with that of each that an exception leaves.

    Hooks of all modules at once leave those of the model as they are.
    """
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

    names = {id(module): name for name, module in model.named_modules()}

    def begun(module: nn.Module, _args: object) -> None:
        running.append(names.get(id(module), type(module).__name__))

    def ended(module: nn.Module, _args: object, output: object) -> None:
        path = running.pop()
        if output is None and sys.exc_info()[1] is not None:
            broke(path)

    handles = register_module_forward_pre_hook(begun), register_module_forward_hook(ended, always_call=True)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        running.clear()
