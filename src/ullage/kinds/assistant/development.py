"""An assistant without a model: what a run carries out under `development_mode`, and what it says of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ullage.facts.bundled import DEVELOPMENT
from ullage.kinds.assistant.memory_section import WORDS
from ullage.kinds.assistant.routing_section import Routing
from ullage.spec.role import Role

if TYPE_CHECKING:
    from ullage.kinds.assistant.section import Section
    from ullage.spec.workload import Workload

SAID: Final = (
    "development_mode: no model was loaded and no card used; every answer is a script's, and says so. Remove "
    "assistant.development_mode to run the models of the file"
)
"""What whoever reads a run is told."""
PLANNED: Final = (
    "assistant.development_mode: this is the plan of the file's models; a run of it loads none of them, and "
    "a script answers"
)
"""What whoever reads the file's plan is told."""
NOTES: Final = "-development"
"""What the folder of its notes ends with: they are none of the assistant's own."""


def is_stood_in(workload: Workload) -> bool:
    """Whether a script is in every role's place."""
    return all(role.model == DEVELOPMENT for role in workload.roles.values())


def stood_in(workload: Workload, section: Section) -> Workload:
    """The workload with a script in every role's place, which takes no memory and no card; itself once it is.

    Rules route as they are, and any other way gives way to a choice by chance. Notes are found by their words
    and lie in a folder of their own.
    """
    if is_stood_in(workload):
        return workload
    routing, memory = section.routing, section.memory
    if routing.asks:
        routing = Routing(fallback=routing.fallback)
    if memory is not None:
        memory = memory.model_copy(update={"embedder": WORDS, "chroma_dir": f"{memory.chroma_dir}{NOTES}"})
    return workload.model_copy(
        update={
            "roles": {name: _script(role) for name, role in workload.roles.items()},
            "budget": workload.budget.model_copy(update={"gpus": "cpu"}),
            "section": section.model_copy(update={"routing": routing, "memory": memory}),
        }
    )


def _script(role: Role) -> Role:
    """A script that is asked for as much, and given as many pictures."""
    return Role(
        model=DEVELOPMENT,
        engine="scripted",
        batch=role.batch,
        prompt_tokens=role.prompt_tokens,
        new_tokens=role.new_tokens,
        images=role.images,
        image_size=role.image_size,
    )
