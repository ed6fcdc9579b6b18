"""The rope scaling of a role, and its model with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from ullage.facts.rope import parse_rope, stretched

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.spec.role import Role


def _known(text: str) -> str:
    try:
        parse_rope(text)
    except ValueError as error:
        raise PydanticCustomError("rope", "{problem}", {"problem": str(error)}) from None
    return text


RopeScaling = Annotated[str, AfterValidator(_known)]
"""KIND:FACTOR, or KIND:FACTOR:POSITIONS."""


def model_of(role: Role, models: Mapping[str, Model]) -> Model:
    """What `role` runs, of the models by name: with its positions stretched where it asks for that.

    Raises UnsupportedError for a model whose positions cannot be.
    """
    model = models[role.model]
    return model if role.rope is None else stretched(model, role.rope)
