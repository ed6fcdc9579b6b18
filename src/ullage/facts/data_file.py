"""The files of known facts that come with Ullage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "data"


def read_data(name: str) -> Any:
    """The JSON document `name` under facts/data."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))
