"""Files that a user names or a stranger wrote: where they are, and no more of them than was bargained for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ullage.errors import FormatError


def data_home() -> Path:
    """Where Ullage keeps what outlives a run: $ULLAGE_HOME, else $XDG_DATA_HOME/ullage, else
    ~/.local/share/ullage; `~` stays if no home is known."""
    home = os.environ.get("ULLAGE_HOME")
    if home:
        return Path(home)
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(os.path.expanduser(data)) / "ullage"


def model_cache() -> Path:
    """Where a hub's models are kept: $HF_HUB_CACHE, else `hub` in $HF_HOME, else in ~/.cache/huggingface."""
    named = os.environ.get("HF_HUB_CACHE")
    return Path(os.path.expanduser(named)) if named else hub_home() / "hub"


def hub_home() -> Path:
    """Where what a hub's client keeps lies: $HF_HOME, else ~/.cache/huggingface."""
    return Path(os.path.expanduser(os.environ.get("HF_HOME") or "~/.cache/huggingface"))


def is_nowhere(path: Path) -> bool:
    """Whether a place was to be in a home, and none is known: a user id without a name, and no HOME."""
    return path.parts[:1] == ("~",)


COPIES: Final[dict[str, Path]] = {}
"""URLs of objects of which this process has a copy, and where that is (`ullage.copies`)."""


def placed(name: str, base: Path) -> Path:
    """Where a file called `name` lies, relative to `base`; `~` is a home, where one is known. Of an object in
    a store it is the copy that was fetched, and nothing before."""
    return COPIES.get(name) or base / os.path.expanduser(name)


def read_bytes(path: Path, most: int) -> bytes:
    """All of a file, or of a pipe. Raises FormatError for more than `most` bytes, OSError as `open`."""
    with path.open("rb") as file:
        found = file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
        # Pipes and what the kernel writes say that they hold nothing.
        while len(found) <= most and (more := file.read(min(max(len(found), 2**16), most + 1 - len(found)))):
            found += more
    if len(found) > most:
        raise FormatError(f"{path}: larger than {most:,} bytes, or without an end")
    return found


def read_text(path: Path, most: int) -> str:
    """As `read_bytes`, as UTF-8. Raises UnicodeDecodeError too."""
    return read_bytes(path, most).decode("utf-8")


def check_ordinary(path: Path) -> None:
    """Raises FormatError where something is there that is no file on a disk: a device, a pipe, a folder."""
    if path.exists() and not path.is_file():
        raise FormatError(f"{path}: is no ordinary file")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other process on this machine is in the same folder: of several that want the same, one
    fetches it, and the others find it there. Folders that one left half full when it was killed are gone."""
    import fcntl
    import shutil

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for half in (*folder.glob("*.tmp"), *folder.glob("*/*.tmp")):
            if half.is_dir():
                shutil.rmtree(half, ignore_errors=True)
        yield


def made_whole(folder: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a folder that takes this name once it is whole."""
    import shutil
    from secrets import token_hex

    temporary = folder.parent.with_name(f"{token_hex(6)}.tmp")
    try:
        temporary.mkdir(mode=0o700, parents=True)
        write(temporary)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():  # else another process has fetched the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
