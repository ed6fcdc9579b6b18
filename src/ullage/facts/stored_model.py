"""Models in a store: what a plan needs of one, by ranges, and all that is loaded of one.

Both lie beside other copies of objects, in a folder of the URL and of all its objects' ETags: one for each
content that the model has had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from ullage.copies import check_room, fetch, home_of
from ullage.errors import FormatError, InputError
from ullage.facts.hub_patience import Patience, TooSlowError
from ullage.facts.hub_repository import Repository, lay_down
from ullage.files import COPIES, alone_in, made_whole
from ullage.store import LostError, Stat, Store, mark_of

LOADED: Final = (".json", ".jinja", ".model", ".txt", ".safetensors", ".tiktoken")
"""Endings of what is fetched of a model: no pickles, and no code."""
WHOLE: Final = "whole"
SECONDS: Final = 600.0
"""For the headers of one model; each request has an end of its own."""


def see_model(url: str) -> None:
    """Sees that `placed` names a folder with what a plan needs of the model: all of it where it was fetched,
    else its configs and headers. A process asks once. Raises InputError, FormatError."""
    if url in COPIES:
        return
    if url.endswith(".gguf"):
        fetch(url)
        return
    store, found = Store(url), stats_of(url)
    whole, headers = _place(url, found, WHOLE), _place(url, found, "headers")
    if not whole.is_dir() and not headers.is_dir():
        sizes = {key: stat.size for key, stat in found.items()}
        repository = _Stored(url, "", sizes, _Patient(), store)

        def write(folder: Path) -> None:
            try:
                lay_down(folder, None, repository)
            except TooSlowError as error:
                raise InputError(f"{url}: {error}") from error

        _make_once(url, headers, write)
    COPIES[url] = whole if whole.is_dir() else headers


def fetch_model(url: str, download: bool) -> None:
    """Sees that `placed` names a folder with all of the model, as it is now. Raises InputError where it is
    not here and not to be fetched, and for an object that is replaced meanwhile; FormatError for pickles."""
    if url.endswith(".gguf"):
        fetch(url)
        return
    store, found = Store(url), stats_of(url)
    whole = _place(url, found, WHOLE)
    if not whole.is_dir():
        size = sum(stat.size for stat in found.values())
        if not any(key.endswith(".safetensors") for key in found):
            raise FormatError(
                f"{url}: has no weights in safetensors; others are not read, as pickles run code"
            )
        if not download:
            raise InputError(f"{url}: is not here; add --download to fetch its {size:,} bytes")

        def write(folder: Path) -> None:
            check_room(url, size, folder)
            for key in found:
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                store.get(key, folder / key)
            if stats_of(url) != found:
                raise InputError(f"{url}: was replaced while it was read")

        _make_once(url, whole, write)
    COPIES[url] = whole


def stats_of(url: str) -> Mapping[str, Stat]:
    """The objects of a model that are ever read. Raises InputError where there is none."""
    found = {key: stat for key, stat in Store(url).stats().items() if key.endswith(LOADED)}
    if not found:
        raise LostError(f"{url}: no such model: nothing of one is there, or no such bucket")
    return found


@dataclass(frozen=True, slots=True)
class _Stored(Repository):
    """A model's files in a store."""

    store: Store

    def read(self, file: str, begin: int, length: int) -> bytes:
        end = min(begin + length, self.files[file])
        found = self.store.range(file, begin, end)
        if len(found) != end - begin:
            raise FormatError(f"{self.store.named(file)}: was replaced while it was read")
        return found


class _Patient(Patience):
    """Waits for as long as the store's own requests take."""

    def __init__(self) -> None:
        self.answer = self.piece = self.all = SECONDS
        self._ends = monotonic() + SECONDS


def _make_once(url: str, folder: Path, write: Callable[[Path], object]) -> None:
    """Of several processes one fills the folder, and the others find it there."""
    with alone_in(home_of(url)):
        if not folder.is_dir():
            made_whole(folder, write)


def _place(url: str, found: Mapping[str, Stat], what: str) -> Path:
    mark = mark_of(repr(sorted(found.items())))
    return home_of(url) / mark / what / url.rstrip("/").rpartition("/")[2]
