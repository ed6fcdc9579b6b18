"""URLs of objects in a store, as names in a workload file: which are any, and what speaks to their store."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

CLIENTS: Final = {
    "s3": ("s3fs", "ullage[storage]"),
    "gs": ("gcsfs", "gcsfs"),
    "file": ("fsspec", "ullage[storage]"),
    "memory": ("fsspec", "ullage[storage]"),
}
"""By scheme the package that speaks to such a store, and what brings it."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(name: str) -> bool:
    """Whether a name in a workload file is that of an object, and of no file."""
    return _URL.match(name) is not None


def client_of(url: str) -> tuple[str, str]:
    """The package that speaks to the store of a URL that can be used, and what brings it."""
    return CLIENTS[url.partition("://")[0]]


def wrong_with(url: str) -> str:
    """Why a URL cannot be used, without quoting it; "" if it can."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is no URL"
    if "@" in parts.netloc or parts.query or parts.fragment or parts.password:
        return (
            "carries credentials or a query; it would stand in every record: leave the plain URL, and give "
            "credentials in the environment"
        )
    if parts.scheme not in CLIENTS:
        return f"is of no store that is read; those are {', '.join(f'{each}://' for each in CLIENTS)}"
    if parts.scheme in ("s3", "gs") and not (parts.netloc and parts.path.strip("/")):
        return f"names no object; write {parts.scheme}://BUCKET/NAME"
    if not (parts.netloc + parts.path).strip("/") or ".." in parts.path.split("/"):
        return "names no object"
    return ""
