"""`memory:` of the assistant's section: where notes are kept, how many, and how they are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import Field

from ullage.facts.architecture import Architecture, Model
from ullage.spec.installed import engines_that
from ullage.spec.mistake import Mistake, shorten
from ullage.spec.stored import Stored
from ullage.spec.value import Count, Value
from ullage.spec.workload import Workload
from ullage.units import Interval

WORDS: Final = "words"
WORDS_WIDTH: Final = 256
"""Elements of the vector that is made of a text's words."""
Weight = Annotated[float, Field(strict=True, ge=0, le=100)]
_PATH: Final = ("assistant", "memory")


class MemorySection(Value):
    """What is remembered of each user, beyond a talk."""

    chroma_dir: str = Field(description="folder of the notes, relative to the file")
    embedder: str | None = Field(
        default=None,
        description="role whose states are the vectors of notes; words: by their words, without a model; "
        "None: the router",
    )
    limit: Count = Field(default=1000, description="notes a user may have; then the least significant go")
    characters: Count = Field(default=4000, description="of a note; a longer one is refused")
    found: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=5, description="notes that are put before a specialist, at most"
    )
    similarity_weight: Weight = 1.0
    tags_weight: Weight = 0.25
    significance_weight: Weight = 0.25

    def embedding_role(self, router: str) -> str | None:
        """The role whose states are taken; None where no model is."""
        return None if self.embedder == WORDS else self.embedder or router

    def stored(self, workload: Workload, models: Mapping[str, Model], router: str) -> Iterator[Stored]:
        """A user's notes at their limit, each as long as is taken."""
        name = self.embedding_role(router)
        role = None if name is None else workload.roles.get(name)
        model = None if role is None else models.get(role.model)
        width = model.hidden_size if isinstance(model, Architecture) else WORDS_WIDTH
        size = notes_bytes(self.limit, self.characters, width)
        note = f"{self.limit:,} of {self.characters:,} characters, each with {width:,} numbers"
        yield Stored("notes in chroma_dir", size, "measured", note, "user")

    def mistakes(self, workload: Workload, router: str, asks: bool) -> Iterator[Mistake]:
        """A folder, and a role that gives states; a router that nobody `asks` is none."""
        if not self.chroma_dir.strip() or "\0" in self.chroma_dir:
            yield Mistake((*_PATH, "chroma_dir"), "names no folder")
        if not (self.similarity_weight or self.tags_weight or self.significance_weight):
            yield Mistake(_PATH, "all weights are 0, so that no note comes before another", at_key=True)
        name = self.embedding_role(router)
        if name is None:
            return
        if name not in workload.roles and self.embedder is None:
            if not asks:  # else a router that is missing is told by itself
                problem = (
                    f"no router is asked, whose states would embed notes; add embedder: a role, or {WORDS}"
                )
                yield Mistake(_PATH, problem, at_key=True)
            return
        at_key = self.embedder is None
        path = _PATH if at_key else (*_PATH, "embedder")
        role = workload.roles.get(name)
        if role is None:
            yield Mistake(path, f"no role is called {shorten(repr(name), 60)}; name one, or {WORDS}")
        elif not role.runs_with.states:
            able = engines_that(lambda engine: engine.states)
            problem = f"role {name} has engine: {role.engine}, which gives no states to embed notes with"
            yield Mistake(path, f"{problem}; embed with a role of {able}, or by {WORDS}", at_key=at_key)


def notes_bytes(notes: int, characters: int, width: int) -> Interval:
    """Bytes of a folder of Chroma 1.5.9 that holds so many notes, whose vectors have `width` fp32 elements.

    Measured, with notes of ASCII that were all added once: 0.2 MB for the folder, and 1.5 KB a note beside
    its vector and 3.5 times its text. At most: four bytes a character, and the pages of as many notes again
    that went and of the queue, which stay until they are swept.
    """
    expected = 200_000 + notes * (1500 + 4 * width + 7 * characters // 2)
    most = 2**20 + 2 * notes * (4096 + 2 * 4 * width + 4 * 4 * characters)
    return Interval(0, expected, most)
