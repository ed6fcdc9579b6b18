"""Where evidence of past runs lies, and whether there is any: known without what reads it, which takes a
twentieth of a cold start."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from ullage.files import data_home

NAME: Final = "evidence.jsonl"


def evidence_file() -> Path:
    """In the data home; `~` stays if no home is known."""
    return data_home() / NAME


@lru_cache(maxsize=4)
def _path_in(home: str | None, data: str | None) -> str:
    return str(evidence_file())


def usual_path() -> str:
    """`evidence_file`, found once for each place that the environment names."""
    return _path_in(os.environ.get("ULLAGE_HOME"), os.environ.get("XDG_DATA_HOME"))


def is_there() -> bool:
    """Whether anything lies there, readable or not."""
    path = usual_path()
    if path.startswith("~"):
        return False
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it says what is wrong
    return True
