"""How a folder that sentence-transformers saved makes one vector of a text's states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from ullage.errors import FormatError, UnsupportedError
from ullage.files import read_text

MODULES: Final = "modules.json"
CONFIG: Final = "config.json"
KNOWN: Final = ("Transformer", "Pooling", "Normalize")
"""What stands in a row there; vectors are of length 1 here in any case."""
LARGEST: Final = 2**20
_MODES: Final[dict[str, Literal["mean", "first"]]] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "mean": "mean",
    "cls": "first",
}


def pooling_of(folder: Path, name: str) -> Literal["mean", "first"]:
    """As `modules.json` and the config of its pooling say; the mean where there are none.

    Raises UnsupportedError for a part or a mode that is not done here, FormatError for broken files.
    """
    modules = _read(folder / MODULES)
    if modules is None:
        return "mean"
    parts = [each for each in modules if isinstance(each, dict)] if isinstance(modules, list) else []
    for each in parts:
        kind = str(each.get("type", "")).rsplit(".", 1)[-1]
        if kind not in KNOWN:
            raise UnsupportedError(
                f"{name}: {MODULES} has a part {kind}, which is not done; it has no part here"
            )
    poolers = [each for each in parts if str(each.get("type", "")).endswith("Pooling")]
    settings = _read(folder / str(poolers[0].get("path", "")) / CONFIG) if poolers else None
    if not isinstance(settings, dict):
        return "mean"
    modes = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    modes = modes or [str(settings.get("pooling_mode", "mean"))]
    if len(modes) != 1 or modes[0] not in _MODES:
        raise UnsupportedError(
            f"{name}: pools by {', '.join(modes)}; only the mean and the first token are done"
        )
    return _MODES[modes[0]]


def _read(path: Path) -> object:
    """A JSON file; None where there is none."""
    if not path.is_file():
        return None
    try:
        found: object = json.loads(read_text(path, LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON: {error}") from error
    return found
