"""Small pipelines with weights of chance, made here in seconds: what an assistant paints and sees with where
nothing is downloaded.

In: a folder, a seed. Out: that folder, as diffusers and transformers save theirs. Never: a claim that the
pictures or the words mean anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ullage.errors import InputError, UnknownNameError


def _artist(folder: Path, seed: int) -> None:
    from ullage.engines.small.artist import make_artist
    from ullage.runtime.libraries import find_diffusers

    find_diffusers()
    make_artist(folder, seed)


def _perception(folder: Path, seed: int) -> None:
    from ullage.engines.small.perception import make_perception

    make_perception(folder, seed)


SMALL: Final[dict[str, Callable[[Path, int], None]]] = {"artist": _artist, "perception": _perception}
"""What there is, by the role it is for."""


def make_small(name: str, folder: Path, seed: int = 0) -> Path:
    """Makes the small model called `name`, and gives its folder, which must be new or empty.

    Raises InputError for a folder that holds something, UnknownNameError for a name that is none.
    """
    if name not in SMALL:
        raise UnknownNameError("small model", name, SMALL, f"There are: {', '.join(SMALL)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; name a folder that is new or empty")
    from ullage.runtime.libraries import in_turn

    in_turn(SMALL[name])(folder, seed)
    return folder
