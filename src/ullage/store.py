"""Objects in a store: what lies under a URL, read, written and listed by fsspec.

Credentials are the environment's alone, as the store's own client finds them there; a URL that carries any is
refused before it is written anywhere. Whatever a store answers ends as one line that names the URL.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EIO
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple, TypeVar

from ullage.errors import InputError, MissingPackageError
from ullage.urls import client_of, wrong_with

T = TypeVar("T")
WAITS: Final = [0.5, 2.0, 8.0, 20.0]
"""Seconds between tries of what a store did not do, half or as much again by chance: errors of its own,
timeouts, slow downs."""


class LostError(InputError):
    """Nothing is there: no such object, or no such bucket."""


class Stat(NamedTuple):
    """Of an object its bytes, and its ETag, or what else changes whenever it is written."""

    size: int
    tag: str


@dataclass(slots=True)
class Store:
    """What lies under `url`; keys are relative to it, "" is the object of that URL itself.

    What fails is tried again, `WAITS` apart, unless it would fail for ever. Raises InputError (LostError:
    nothing is there) in every method, MissingPackageError without what speaks to such a store.
    """

    url: str
    _files: Any = field(init=False)
    _root: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/")
        if wrong := wrong_with(self.url):
            raise InputError(f"a URL in a store {wrong}")
        try:
            import fsspec
        except ImportError as error:
            raise MissingPackageError("fsspec", "ullage[storage]", "reading from a store") from error
        scheme = self.url.partition("://")[0]
        given = {"default_fill_cache": False} if scheme == "s3" else {}
        try:
            # Listings are never kept, nor is a client that was made with other credentials.
            self._files = fsspec.filesystem(
                scheme, use_listings_cache=False, skip_instance_cache=True, **given
            )
        except ImportError as error:
            raise MissingPackageError(*client_of(self.url), f"reading {scheme}://") from error
        if hasattr(self._files, "retries"):
            self._files.retries = 1  # tries are counted here alone
        self._root = self._files._strip_protocol(self.url)

    def stat(self, key: str = "") -> Stat:
        """Of the object `key`."""

        def ask() -> Stat:
            info = self._files.info(self._at(key))
            if info.get("type") != "file":
                raise FileNotFoundError(key)
            return _stat(info)

        return self._asked(key, ask)

    def read(self, key: str) -> bytes:
        """All of a small object."""
        found: bytes = self._asked(key, lambda: self._files.cat_file(self._at(key)))
        return found

    def range(self, key: str, begin: int, end: int) -> bytes:
        """Bytes [begin, end) of an object."""
        found: bytes = self._asked(key, lambda: self._files.cat_file(self._at(key), start=begin, end=end))
        return found

    def get(self, key: str, path: Path) -> Stat:
        """Copies an object to a file. Raises InputError where it was replaced meanwhile."""

        def ask() -> bool:
            path.unlink(missing_ok=True)
            self._files.get_file(self._at(key), str(path))
            if self.stat(key) != before:
                return False
            if (came := path.stat().st_size) != before.size:
                raise OSError(EIO, f"{came:,} of its {before.size:,} bytes came")
            return True

        before = self.stat(key)
        if not self._asked(key, ask):
            raise InputError(f"{self.named(key)}: was replaced while it was read")
        return before

    def put(self, path: Path, key: str) -> None:
        """Copies a file to an object; of a store that is no folder it is there whole or not at all."""

        def ask() -> None:
            self._make_room(key)
            self._files.put_file(str(path), self._at(key))

        self._asked(key, ask)

    def put_new(self, data: bytes, key: str) -> bool:
        """Makes an object that is not there yet, at once; whether it was this call that made it.

        A store that cannot do so only if there is none (If-None-Match) is asked before: of two who come at
        the same moment the later one then stands, whole too.
        """

        def ask() -> bool:
            at = self._at(key)
            try:
                if self._local:
                    self._make_room(key)
                    _made(Path(at), data)
                else:
                    self._files.pipe_file(at, data, mode="create")
            except FileExistsError:
                # A try before this one may have come through although its answer did not.
                return bool(self._files.cat_file(at) == data)
            except NotImplementedError:
                if self._files.exists(at):
                    return bool(self._files.cat_file(at) == data)
                self._files.pipe_file(at, data)
            return True

        return self._asked(key, ask)

    def names(self, prefix: str) -> list[str]:
        """Names right under `prefix`, of objects and of what other keys begin with."""

        def ask() -> list[str]:
            try:
                found = self._files.ls(self._at(prefix), detail=False)
            except FileNotFoundError:
                return []  # of nothing there is no folder
            return [str(each).rstrip("/").rpartition("/")[2] for each in found]

        return sorted(self._asked(prefix, ask))

    def keys(self, prefix: str = "") -> list[str]:
        """Keys of all objects under `prefix`, relative to it."""
        return sorted(self.stats(prefix))

    def stats(self, prefix: str = "") -> dict[str, Stat]:
        """All objects under `prefix`, by their keys relative to it, as a listing has them."""

        def ask() -> dict[str, Stat]:
            begin = len(self._at(prefix)) + 1
            found = self._files.find(self._at(prefix), detail=True)
            return {name[begin:]: _stat(info) for name, info in found.items()}

        return self._asked(prefix, ask)

    def remove(self, prefix: str) -> None:
        """Removes all objects under `prefix`, if any."""

        def ask() -> None:
            with suppress(FileNotFoundError):
                self._files.rm(self._at(prefix), recursive=True)

        self._asked(prefix, ask)

    def abort_uploads(self) -> None:
        """Ends uploads under the URL that nobody completes, as their process was killed: S3 keeps their
        pieces, and has them paid, for ever. Other stores keep none."""

        def ask() -> None:
            bucket, key, _ = self._files.split_path(self._root)
            found, after = None, dict[str, str]()
            while found is None or found.get("IsTruncated"):
                found = self._files.call_s3(
                    "list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/", **after
                )
                after = {name: found.get(f"Next{name}", "") for name in ("KeyMarker", "UploadIdMarker")}
                for each in found.get("Uploads", ()):
                    self._files.call_s3(
                        "abort_multipart_upload", Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"]
                    )

        if self.url.startswith("s3://"):
            self._asked("", ask)

    def named(self, key: str) -> str:
        """The URL of a key, for messages."""
        return f"{self.url}/{key}" if key else self.url

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    @property
    def _local(self) -> bool:
        return self.url.startswith("file://")

    def _make_room(self, key: str) -> None:
        if self._local:
            Path(self._at(key)).parent.mkdir(parents=True, exist_ok=True)

    def _asked(self, key: str, ask: Callable[[], T]) -> T:
        for wait in (*WAITS, None):
            try:
                return ask()
            except InputError:
                raise
            except FileNotFoundError as error:
                raise LostError(f"{self.named(key)}: no such object, or no such bucket") from error
            except Exception as error:  # a store's client raises anything: OSError, its own, aiohttp's
                why = _for_ever(error)
                if why:
                    raise InputError(f"{self.named(key)}: {why}") from error
                if wait is None:
                    raise InputError(
                        f"{self.named(key)}: the store does not do it, {len(WAITS) + 1} times asked: "
                        f"{_said(error)}"
                    ) from error
                time.sleep(wait * random.uniform(0.5, 1.5))  # so that a cluster does not come back as one
        raise AssertionError("the last try returns or raises")


def _stat(info: Mapping[str, Any]) -> Stat:
    tag = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("created")
    return Stat(int(info["size"]), f"{tag}".strip('"'))


def _made(path: Path, data: bytes) -> None:
    """Makes a file whole, at once. Raises FileExistsError where there is one."""
    temporary = path.with_name(f".{path.name}.{token_hex(6)}.tmp")
    try:
        temporary.write_bytes(data)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _for_ever(error: Exception) -> str:
    """Why it is no use to try again; "" if it is."""
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "ProfileNotFound"):
        return "no credentials in the environment (for s3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
    if isinstance(error, PermissionError):
        return f"permission denied to whom the environment's credentials are of: {_said(error)}"
    if isinstance(error, (ValueError, TypeError, NotADirectoryError, IsADirectoryError)):
        return f"cannot be used: {_said(error)}"
    return ""


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def mark_of(text: str) -> str:
    """What stands for a text in the name of a folder."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]
