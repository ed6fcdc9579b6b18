"""Options that belong together: said in one function, given to a command as the value it makes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps

Wrapped = Callable[..., None]


def takes(name: str, told: Callable[..., object]) -> Callable[[Wrapped], Wrapped]:
    """A command with a parameter `name`, as one with an option for each parameter of `told` that it has not
    itself, in its place; what `told` makes of them is what it is given."""

    def taking(command: Wrapped) -> Wrapped:
        own = inspect.signature(command, eval_str=True).parameters
        options = inspect.signature(told, eval_str=True).parameters
        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [options[each].replace(kind=keyword) for each in options if each not in own]
        found: list[inspect.Parameter] = []
        for each, parameter in own.items():
            found += added if each == name else [parameter.replace(kind=keyword)]

        @wraps(command)
        def called(**given: object) -> None:
            value = told(**{each.name: given.pop(each.name) for each in added})
            command(**given, **{name: value})

        called.__signature__ = inspect.Signature(found, return_annotation=None)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in found}
        return called

    return taking
