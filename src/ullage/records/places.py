"""Paths as a run's folder holds them: they hold elsewhere, and name no user."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

from ullage.files import placed


def portable(path: Path, start: Path) -> str:
    """`path` relative to the folder `start`; relative to the home of the user (~/...) where only it is in
    there; as it is where the two have nothing in common.

    Both are absolute.
    """
    home = _home()
    if home is not None and path.is_relative_to(home) and not start.is_relative_to(home):
        return str(Path("~") / path.relative_to(home))
    if os.path.commonpath((path, start)) == os.path.sep:
        return str(path)
    return os.path.relpath(path, start)


def base_of_a_run(base: Path, folder: Path) -> str:
    """What a manifest says of the folder that paths are relative to; "" where only the user's name would."""
    said = portable(base.resolve(), folder.resolve())
    return "" if _user() in Path(said).parts else said


def found_base(said: str, folder: Path) -> Path | None:
    """The folder that a manifest means, whether it is there or not; None where it says none."""
    return placed(said, folder.resolve()).resolve() if said else None


def impersonal(text: str, places: Mapping[str, Path]) -> str:
    """A text with each of these folders, and the user's home, called by its name: `places` has them by it."""
    named = {str(path): name for name, path in places.items()}
    named |= {str(path.resolve()): name for name, path in places.items()}
    home = _home()
    if home is not None:
        named.setdefault(str(home), "~")
    for path in sorted(named, key=len, reverse=True):
        if len(path) > 1 and path != ".":
            text = text.replace(path, named[path])
    return text


def _home() -> Path | None:
    """The user's home; None where there is none, or it is the root of everything."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if len(home.parts) > 1 else None


def _user() -> str:
    """The user's name; a uid without one has a name that is no part of a path."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "/"
