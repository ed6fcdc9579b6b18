"""Copies, on this machine, of objects in a store: one for each content that an object has had.

$ULLAGE_HOME/objects/URL/TAG/NAME, with marks of the URL and of its ETag. Nothing there ever changes, so a run
reads what it began with however often the object is replaced; all of it may be deleted between runs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from secrets import token_hex

from ullage.errors import InputError
from ullage.files import COPIES, data_home
from ullage.store import Store, mark_of


def fetch(url: str) -> str:
    """Sees that a copy of the object, as it is now, is here and is what `placed` names; the object's ETag.

    Raises InputError, in one line, for an object that cannot be had.
    """
    store = Store(url)
    stat = store.stat()
    folder = home_of(url) / mark_of(stat.tag)
    path = folder / url.rpartition("/")[2]
    if not (path.is_file() and path.stat().st_size == stat.size):
        temporary = folder.with_name(f"{folder.name}.{token_hex(6)}.tmp")
        try:
            temporary.mkdir(mode=0o700, parents=True)
            if shutil.disk_usage(temporary).free < stat.size:
                raise InputError(
                    f"{url}: {stat.size:,} bytes are more than there is room for in {folder.parent}"
                )
            if store.get("", temporary / path.name) != stat:
                raise InputError(f"{url}: was replaced while it was read")
            folder.mkdir(mode=0o700, exist_ok=True)
            os.replace(temporary / path.name, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    COPIES[url] = path
    return stat.tag


def home_of(url: str) -> Path:
    """Where copies of an object, or of the objects under a URL, lie."""
    return data_home() / "objects" / mark_of(url)
