"""What a hub says of a model: its configs, and of its weight files the headers, by range requests.

What was read lies under `hub/` in the data home, a folder for each revision: small files whole, of a weight
file its beginning, and the true sizes in headers-only.json. Nothing there can be loaded as weights.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from ullage.errors import FormatError, InputError, MissingExtraError
from ullage.facts.hub_name import COMMIT, HubName
from ullage.facts.hub_patience import Patience, TooSlowError
from ullage.facts.hub_repository import Repository, lay_down, open_repository
from ullage.files import data_home, is_nowhere, made_whole, read_text

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


NOT_THERE: Final = "no such model, or a private one; a token is taken from HF_TOKEN or `hf auth login`"
MORE_TIME: Final = (
    "HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT (seconds) allow for more; a folder or a config.json "
    "works without it"
)


class NotThereError(InputError):
    """A name that the hub does not know, or that nobody may ask it about."""


class Snapshot(NamedTuple):
    """What is known of a repository at one commit, and where it lies here."""

    path: Path
    name: str
    """With the commit: what it may be called in a plan."""


def read_hub(name: HubName) -> Snapshot:
    """The configs and headers of a repository, from here where they were read before, else from the hub.

    Without a commit in its name the hub is asked which one it is, unless HF_HUB_OFFLINE is set: then the
    last one known here is taken. Raises InputError for what cannot be had, with what would help,
    NotThereError where the name may be wrong, FormatError for what makes no sense; nothing of it is kept.
    """
    home = _home(name)
    commit = name.revision if name.pinned else None
    if commit is not None and (found := _kept(home, name, commit)):
        return found
    if _offline():
        commit = _last_known(home, name)
        found = _kept(home, name, commit) if commit else None
        if found is None:
            why = "HF_HUB_OFFLINE is set, or --offline given" if _asks.get() else "it is only looked for here"
            raise NotThereError(f"No hub was asked: {why}")
        return found
    with _said(name):
        repository = open_repository(name.repository, name.revision, Patience())
        found = _kept(home, name, repository.commit) or _fetch(home, name, repository)
    if not name.pinned:
        _remember(home, name, repository.commit)
    return found


def kept_folder(name: HubName) -> Path | None:
    """The folder of what was read of a commit before, None where nothing was."""
    found = _kept(_home(name), name, name.revision) if name.revision and name.pinned else None
    return None if found is None else found.path.parent if name.file else found.path


def _home(name: HubName) -> Path:
    """Where what is read of a repository is kept; for this process alone where there is no place for it."""
    home = data_home() / "hub"
    if not is_nowhere(home):
        with contextlib.suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
    folder = home if os.access(home, os.W_OK) else _passing()
    return folder / f"models--{name.repository.replace('/', '--')}"


@cache
def _passing() -> Path:
    folder = tempfile.mkdtemp(prefix="ullage-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


_asks: ContextVar[bool] = ContextVar("asks", default=True)


@contextmanager
def asking_nobody() -> Iterator[None]:
    """Inside, no hub is asked for anything, as with HF_HUB_OFFLINE."""
    before = _asks.set(False)
    try:
        yield
    finally:
        _asks.reset(before)


def _offline() -> bool:
    return not _asks.get() or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _fetch(home: Path, name: HubName, repository: Repository) -> Snapshot:
    """Reads what a plan needs of it into a folder of its own, which then takes its place whole."""
    target = _place(home, name, repository.commit)
    made_whole(target, lambda folder: lay_down(folder, name.file, repository))
    found = _kept(home, name, repository.commit)
    assert found is not None
    return found


def _place(home: Path, name: HubName, commit: str) -> Path:
    return home / commit / (name.file.replace("/", "--") if name.file else "model")


def _kept(home: Path, name: HubName, commit: str) -> Snapshot | None:
    """What was read before of this commit."""
    path = _place(home, name, commit)
    if name.file:
        path /= PurePosixPath(name.file).name
    return Snapshot(path, name.at(commit)) if path.exists() else None


def _last_known(home: Path, name: HubName) -> str | None:
    try:
        found = read_text(home / _reference(name), 64).strip()
    except (OSError, ValueError, FormatError):
        return None
    return found if COMMIT.fullmatch(found) else None


def _remember(home: Path, name: HubName, commit: str) -> None:
    with contextlib.suppress(OSError):
        (home / _reference(name)).write_text(commit)


def _reference(name: HubName) -> str:
    return f"ref-{(name.revision or 'main').replace('/', '--')}"


@contextmanager
def _said(name: HubName) -> Iterator[None]:
    """What a hub or the way to it refuses becomes one line that says what would help."""
    try:
        from huggingface_hub import constants
        from huggingface_hub import errors as hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", f"asking a hub about {name.repository}") from error
    where = f"{name.repository}: at {constants.ENDPOINT}"
    try:
        yield
    except hub.GatedRepoError as error:
        raise InputError(
            f"{where}: its terms have to be accepted there, and a token given (HF_TOKEN, or `hf auth login`)"
        ) from error
    except hub.RevisionNotFoundError as error:
        raise InputError(f"{where}: there is no revision {name.revision or 'main'}") from error
    except hub.RepositoryNotFoundError as error:
        raise NotThereError(f"At {constants.ENDPOINT} there is {NOT_THERE}") from error
    except hub.HfHubHTTPError as error:
        if error.response.status_code in (401, 404):
            raise NotThereError(f"At {constants.ENDPOINT} there is {NOT_THERE}") from error
        raise InputError(f"{where}: {_status(error)}") from error
    except TooSlowError as error:
        raise InputError(f"{where}: {error}; {MORE_TIME}") from error
    except (hub.HTTPError, OSError) as error:
        if type(error).__name__.endswith("Timeout"):
            raise InputError(f"{where}: no answer in time ({type(error).__name__}); {MORE_TIME}") from error
        raise InputError(
            f"{where}: cannot be reached: {type(error).__name__} {error}; a folder or a config.json works "
            "without it"
        ) from error


def _status(error: HfHubHTTPError) -> str:
    """A refusal and what may be done: waiting, asking again."""
    status = error.response.status_code
    if status == 429:
        wait = error.response.headers.get("Retry-After")
        return f"429, too many requests; try again {f'in {wait} s' if wait else 'later'}"
    return f"the hub refuses with {status}{'; try again later' if status >= 500 else ''}"
