"""What a kind of workload is: a value that names its parts. Each part is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.phases.hosted import Requests
    from ullage.phases.phase import Phase
    from ullage.phases.way import Way
    from ullage.spec.document import Document
    from ullage.spec.section import Section
    from ullage.spec.workload import Workload


RAN: Final[Mapping[int, str]] = {1: "too much of it failed", 3: "it does not fit, or memory ran out"}
"""Exit codes of a command that runs a workload."""


class Command(NamedTuple):
    """A command as the command line lists it.

    `place` is `module:name` of a function with typer's annotations, or of a `typer.Typer` of several. It is
    imported when the command is called. Its help ends with `example`, a call of it, and with its exit codes:
    `codes` says what those mean that not every command has.
    """

    name: str
    help: str
    place: str
    example: str = ""
    codes: Mapping[int, str] = MappingProxyType({})


class Turn(Protocol):
    """What came of a turn of a talk: `lines` for the terminal, and a `row` for JSON."""

    @property
    def lines(self) -> Sequence[str]: ...

    @property
    def row(self) -> Mapping[str, object]: ...


class Talk(Protocol):
    """A talk with a whole workload. `help` tells of its own commands."""

    help: str

    def say(self, text: str) -> Turn:
        """One turn. Raises InputError and OutOfMemoryError for one that has no answer."""

    def reset(self) -> None:
        """Forgets what was said."""


MADE: Final = ".demo"
"""The folder of all that demonstrations write."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a `user` or the `assistant` said, and a picture's file that came with it."""

    role: str
    text: str
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of a whole workload: words, a picture as PNG, or why there is neither."""

    text: str
    picture: bytes = b""
    failed: str = ""
    cut: bool = False
    prompt_tokens: int = 0
    new_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation whose last message, a user's, is to be answered; `user` "" is nobody."""

    said: tuple[Message, ...]
    user: str = ""


class Answering(Protocol):
    """A whole workload that is served as one model; it answers up to `most` side by side."""

    most: int

    def check(self, asked: Asked) -> None:
        """Raises InputError for what cannot be answered."""

    def answer(self, asked: Sequence[Asked], gone: Callable[[], bool]) -> list[Told]:
        """What it says to each, once they were checked; no two are one user's. One batch at a time.

        It stops where all who asked are `gone`. Raises what loading a role raises.
        """


class Kind(NamedTuple):
    """A kind is one package and one entry point, in group `ullage.kinds`, that leads to this value.

    In `package`, module `section` holds `Section`, the type of the file's part named like the kind, and
    module `phases` holds `phases(workload)`, which lays the work out and raises SpecError where roles or work
    the kind needs are missing; its `requests(workload)`, if there is one, what is asked of the servers of
    remote roles; its `request_ways(workload)`, if there is one, the stages of a request's answer. A module
    `documents`, if there is one, holds `DOCUMENTS`: the types (dataclasses, typed dicts) of what the kind
    prints and writes as JSON, by the word each begins with. `runner` names the module whose `run(session)`
    does the work; "" while a kind can be planned but not run. `reporter` names the module whose `report(run,
    workload, base, record)` writes pages and tables of a run; "" for none. `retrier` names the module whose
    `retry(run, workload)` takes back what failed in a run, so that it is done again, and whose `failed(run,
    workload)` says whether there is any; "" where nothing fails by itself. `commands` are added to the
    command line, `verbs` (functions, and the types they name) to `ullage`: each name leads to its module.

    `form` names a module for files of another form that the kind reads as its own, "" for none: its
    `recognises(data)` says whether a mapping without `kind` is one, `workload_in(document)` lays it out as a
    workload's file and raises SpecError with every mistake.
    `talker` names the module whose `open_talk(plan, options)` is a context with a `Talk`; "" for a kind that
    is not talked to as a whole. `server` names the module whose `open_served(session)` is a context with an
    `Answering`; "" for a kind that is not served as one model. `partitioner` names the module that says how
    an input is done in partitions, with what `workloads.partitioned.Partitioner` asks of it; "" for a kind
    whose work hangs together. `demo` are the commands of a demonstration on
    the bundled model, as they are typed in a folder with the examples; what they write goes to `.demo`.
    """

    name: str
    package: str
    runner: str = ""
    reporter: str = ""
    form: str = ""
    retrier: str = ""
    commands: tuple[Command, ...] = ()
    verbs: Mapping[str, str] = MappingProxyType({})
    talker: str = ""
    server: str = ""
    partitioner: str = ""
    demo: tuple[str, ...] = ()

    @property
    def section(self) -> type[Section]:
        """The type of the file's part. Raises InputError where the package has none."""
        from ullage.spec.section import Section

        found = getattr(_part(self.name, f"{self.package}.section"), "Section", None)
        if not (isinstance(found, type) and issubclass(found, Section)):
            raise InputError(f"kind {self.name}: {self.package}.section has no Section; mend its package")
        return found

    def phases(self, workload: Workload) -> tuple[Phase, ...]:
        """How the work is laid out over time. Raises SpecError."""
        found: tuple[Phase, ...] = _part(self.name, f"{self.package}.phases").phases(workload)
        return found

    def reads(self, document: Document) -> bool:
        """Whether a file that names no kind is of the kind's own other form."""
        return bool(self.form) and bool(_part(self.name, self.form).recognises(document.data))

    def workload_in(self, document: Document) -> Mapping[str, object]:
        """Such a file, laid out as a workload's. Raises SpecError."""
        found: Mapping[str, object] = _part(self.name, self.form).workload_in(document)
        return found

    def requests(self, workload: Workload) -> tuple[Requests, ...]:
        """What is asked of servers for an example; nothing where the kind does not say."""
        asked = getattr(_part(self.name, f"{self.package}.phases"), "requests", None)
        return () if asked is None else tuple(asked(workload))

    def request_ways(self, workload: Workload) -> tuple[Way, ...]:
        """How a request of the workload is answered, as planned for its batches; nothing where the kind does
        not say."""
        laid = getattr(_part(self.name, f"{self.package}.phases"), "request_ways", None)
        return () if laid is None else tuple(laid(workload))


@cache
def _part(kind: str, module: str) -> ModuleType:
    from ullage.spec.entry_point import import_part

    return import_part(module, f"kind {kind}")
