"""Every error a user can meet.

    UllageError
    +-- DoesNotFitError       the plan exceeds a device, or a run would; exit code 3
    |   +-- OutOfMemoryError  memory ran out although batches were split
    |   +-- WaitError       a role was not lent: no room in time; says who holds it
    |       +-- PinnedError   nor would there be: those who hold it are pinned
    +-- InputError            what the user gave is wrong; exit code 2
        +-- SpecError         the workload file: one or many mistakes, each with its place
        +-- UnknownNameError  a model, GPU, or site nobody has described; offers the nearest names
        +-- AmbiguousNameError  a GPU's name that several answer to; offers all of them
        +-- FormatError       a file (config.json, safetensors, GGUF) that is broken or hostile
        +-- UnsupportedError  understood, but refused rather than guessed
        +-- MissingPackageError       a package that has to be installed
        |   +-- MissingExtraError     one that an optional extra installs
        +-- BusyError         a run folder another process is writing
        +-- EngineError       a server or script that cannot answer: a wrong key, an unknown model
            +-- RefusedError      a server that refuses every prompt, in its words; exit code 1

A message says what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from ullage.text import one_line


class UllageError(Exception):
    """Root of every error Ullage raises on purpose: one line, or several where several things are wrong.

    What a line quotes from outside is shown escaped and cannot make a line of its own.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(one_line(str(line)) for line in self.args)


class DoesNotFitError(UllageError):
    """More is needed than a device has. The command line prints it and exits with 3."""


class OutOfMemoryError(DoesNotFitError):
    """Memory ran out where nothing smaller could be tried."""


class WaitError(DoesNotFitError):
    """A role was not lent: its room did not come free in time, or the pool ended. `holders` have the room."""

    def __init__(self, message: str, holders: Iterable[str] = ()) -> None:
        self.holders = tuple(holders)
        super().__init__(message)


class PinnedError(WaitError):
    """A role was refused at once: its room is held by roles that are pinned. `status` is for a server."""

    status = 409


class InputError(UllageError):
    """What the user gave is wrong. The command line prints it and exits with 2."""


class SpecError(InputError):
    """One or more mistakes in a workload file, one per line of the message."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(*self.mistakes)


class UnknownNameError(InputError):
    """A name that no table holds.

    `what` is the kind of thing ("model"), `name` what was asked for, `known` every valid name;
    `hint` says what would make the name known.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.name = name
        self.nearest = nearest(name, known)
        message = f"unknown {what} {name!r}"
        if self.nearest:
            message += "; nearest: " + ", ".join(self.nearest)
        if hint:
            message += f". {hint}"
        super().__init__(message)


class AmbiguousNameError(InputError):
    """A name that several entries of a table answer to: one of `candidates` is meant."""

    def __init__(self, what: str, name: str, candidates: Iterable[str]) -> None:
        self.candidates = tuple(candidates)
        shown = ", ".join(self.candidates[:12])
        more = f" and {len(self.candidates) - 12} more" if len(self.candidates) > 12 else ""
        super().__init__(f"{what} {name!r} may be any of: {shown}{more}; name one")


class FormatError(InputError):
    """A file that is broken or hostile: truncated, overlapping, lying about its sizes."""


class UnsupportedError(InputError):
    """Understood but refused: computing on would be a guess."""


class MissingPackageError(InputError):
    """A package is missing that `pip install "REQUIREMENT"` brings."""

    def __init__(self, package: str, requirement: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}; install it with: pip install "{requirement}"')


class MissingExtraError(MissingPackageError):
    """A package is missing that `pip install "ullage[EXTRA]"` brings."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(package, f"ullage[{extra}]", purpose)


class BusyError(InputError):
    """Another process holds the run folder."""


class EngineError(InputError):
    """An engine cannot go on: a wrong key, an address that does not answer, a script that has run out."""


class RefusedError(EngineError):
    """A server that refuses every prompt, in its own words. The command line exits with 1."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The valid names closest to `name`, best first; empty when nothing is close."""
    import difflib

    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
        folded.setdefault(candidate.casefold().rsplit("/", 1)[-1], candidate)
    hits = difflib.get_close_matches(name.casefold(), folded, n=count * 2, cutoff=0.6)
    return tuple(dict.fromkeys(folded[hit] for hit in hits))[:count]
