"""What a node has and sees of what a run needs.

It is sent to nodes as it stands, for Ullage may be another there, or missing: it imports the standard library
alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

END_BYTES = 65536
"""Read at either end of a file: what has the same ends and the same size is taken for the same."""


@dataclass(frozen=True)
class Asked:
    """What a node is held against: `versions` by package, the digest of Ullage's `source`, `modules` with
    what brings each, and `files` with their `ends_of`. In `folder` there is a file whose name and text are
    `token`; the node leaves one of its own beside it."""

    versions: Mapping[str, str]
    source: str
    modules: Mapping[str, str]
    files: Mapping[str, str]
    folder: str
    token: str


def look(asked: Asked, node: str) -> list[str]:
    """What is wrong on this machine, a line each. Ray's name of it is `node`."""
    wrong = [*_packages(asked), *_files(asked)]
    place = os.path.join(asked.folder, asked.token)
    try:
        with open(place, encoding="ascii") as file:
            seen = file.read() == asked.token
    except OSError:
        seen = False
    if not seen:
        wrong.append(f"does not see the run's folder {asked.folder}; have it on a disk that all nodes share")
        return wrong
    try:
        with open(f"{place}.{node}", "w", encoding="ascii") as file:
            file.write(node)
    except OSError as error:
        wrong.append(f"cannot write in the run's folder {asked.folder}: {error.strerror or error}")
    return wrong


def _packages(asked: Asked) -> list[str]:
    wrong = []
    for name, version in asked.versions.items():
        found = version_of(name)
        if not found:
            wrong.append(f"{name} {version} is not installed there")
        elif found != version:
            wrong.append(f"{name} is {found} there and {version} here; install the same")
    if not wrong and source_of("ullage") != asked.source:
        wrong.append(f"ullage {asked.versions['ullage']} there is other code than here; install the same")
    others = {name: brings for name, brings in asked.modules.items() if name not in asked.versions}
    missing = [(name, brings) for name, brings in others.items() if find_spec(name) is None]
    wrong += [f'{name} is missing there; install it with: pip install "{by}"' for name, by in missing]
    return wrong


def _files(asked: Asked) -> list[str]:
    wrong = []
    for path, ends in asked.files.items():
        try:
            same = ends_of(path) == ends
        except OSError as error:
            wrong.append(f"does not see {path}: {error.strerror or error}; have it on a disk that all share")
            continue
        if not same:
            wrong.append(f"{path} is another file there than here; have it on a disk that all share")
    return wrong


def version_of(package: str) -> str:
    """The release of an installed package, "" where it is not; builds of one release (+cpu, +cu130) count as
    the same."""
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


def source_of(package: str) -> str:
    """The SHA-256 of a package's Python files, their places included; "" where it is not there."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    digest, folder = hashlib.sha256(), Path(spec.origin).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def ends_of(path: str) -> str:
    """A file's size, and the SHA-256 of its first and last END_BYTES. Raises OSError."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(file.read(END_BYTES))
        file.seek(max(size - END_BYTES, 0))
        digest.update(file.read(END_BYTES))
    return f"{size}:{digest.hexdigest()}"
