"""The card of a fitted probe, `probe.json`, as far as a plan needs it: what is read and made.

Readable without numpy; `ullage.probes.card` opens the probe itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.errors import FormatError, InputError
from ullage.facts.headers_only import safetensors_header
from ullage.fields import Fields
from ullage.records.seal import read_sealed

CARD: Final = "probe.json"
WEIGHTS: Final = "probe.safetensors"
FIRST: Final = 4096


@dataclass(frozen=True, slots=True)
class ProbeShape:
    """`sites` that are read, each `hidden` wide; `columns` values are made of a token at each."""

    sites: tuple[str, ...]
    hidden: int
    columns: int


def read_card(folder: Path) -> Fields:
    """A probe's card, held against its seal.

    Raises InputError where there is none, FormatError where it was changed, or is of a later version.
    """
    try:
        found = Fields(read_sealed(folder / CARD), f"{folder / CARD}: not the card of a probe")
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no probe here; `ullage probe fit` and `import` write {CARD}") from error
    if found.values.get("document") != "probe" or found.values.get("version") != 1:
        raise FormatError(f"{folder / CARD}: not the card of a probe, or of a later version")
    return found


def read_probe_shape(folder: Path) -> ProbeShape:
    """What a probe reads and makes. Raises as `read_card` does."""
    found = read_card(folder)
    form = found.text("form")
    columns = _units(folder / WEIGHTS) if form == "mlp" else 2 if form == "attention" else 1
    return ProbeShape(tuple(str(site) for site in found.array("sites")), found.whole("hidden"), columns)


def _units(path: Path) -> int:
    """Hidden units of an mlp, by the header of its weights."""
    try:
        with path.open("rb") as file:

            def read(at: int, count: int) -> bytes:
                file.seek(at)
                return file.read(count)

            header = json.loads(safetensors_header(str(path), path.stat().st_size, read, FIRST)[8:])
        return int(header["inner_bias"]["shape"][0])
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise FormatError(f"{path}: not the weights of an mlp probe") from error
