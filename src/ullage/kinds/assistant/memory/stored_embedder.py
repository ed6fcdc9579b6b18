"""Whose vectors a folder holds, written down in it: those of another cannot be compared with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError
from ullage.fields import Fields
from ullage.files import read_text
from ullage.kinds.assistant.memory.embedder import Embedder
from ullage.records.atomic import write_json

if TYPE_CHECKING:
    from ullage.kinds.assistant.memory.embedder import Vectors

FILE: Final = "memory.json"
DOCUMENT, VERSION = "assistant memory", 1
PROBE: Final = "The blue harbour opens at seven, and nobody has asked why."
"""A text whose vector is stored, so that other weights under the same name are found out."""
ALIKE: Final = 0.999
"""Least cosine of its vector then and now: the same model on another device is this near."""
LARGEST: Final = 2**24


def settle_embedder(folder: Path, embedder: Embedder) -> None:
    """Writes down whose vectors the folder holds, or checks that they are this embedder's.

    Raises InputError where they are another's, and where something else lies there; FormatError for a file
    that is none of ours.
    """
    path = folder / FILE
    (vector,) = embedder.embed([PROBE])
    if path.exists():
        _check(path, embedder, vector)
        return
    foreign = sorted({entry.name for entry in folder.iterdir()} - {".lock", f"{FILE}.tmp"})
    if foreign:
        raise InputError(
            f"{folder}: holds {foreign[0]}, and no memory that Ullage made; name an empty folder"
        )
    made = {"document": DOCUMENT, "version": VERSION, "embedder": embedder.identity}
    probe = [round(float(one), 7) for one in vector]
    write_json(path, {**made, "precision": embedder.precision, "probe": probe})


def _check(path: Path, embedder: Embedder, vector: Vectors) -> None:
    import numpy as np

    held = _read(path)
    for name, now in (("embedder", embedder.identity), ("precision", embedder.precision)):
        if held.text(name) != now:
            raise InputError(
                f"{path.parent}: its notes were embedded with {name} {held.text(name)!r}, and this run's is "
                f"{now!r}; embed with the former, or name another chroma_dir"
            )
    probe = np.asarray([one for one in held.array("probe") if isinstance(one, float)])
    if probe.shape != vector.shape or float(probe @ vector) < ALIKE:
        raise InputError(
            f"{path.parent}: its notes were embedded with {embedder.identity!r} too, but with other weights: "
            "the same text has another vector now; take those weights, or name another chroma_dir"
        )


def _read(path: Path) -> Fields:
    try:
        value: object = json.loads(read_text(path, LARGEST))
    except (ValueError, RecursionError, OSError) as error:
        raise FormatError(f"{path}: is not what Ullage wrote ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise FormatError(f"{path}: is not what Ullage wrote")
    fields = Fields(value, str(path))
    if fields.text("document") != DOCUMENT or fields.whole("version") != VERSION:
        raise FormatError(f"{path}: is no memory of an assistant, version {VERSION}")
    return fields
