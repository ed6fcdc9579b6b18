"""Numbers of many questions by name, on disk: in memory is the one column that is looked at."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HELD: Final = 4096
"""Numbers of a column that wait to be written."""


class Columns:
    """A file for each name in `folder`, eight bytes a row; NaN where a row has no such number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows = 0
        self._waiting: dict[str, array[float]] = {}
        self._lengths: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """In the order they came up."""
        return list(self._waiting)

    def add(self, row: Mapping[str, float | None]) -> None:
        """The numbers of the next row."""
        for name, value in row.items():
            waiting = self._waiting.setdefault(name, array("d"))
            missing = self.rows - self._lengths.get(name, 0)
            waiting.extend([math.nan] * missing)
            waiting.append(math.nan if value is None else value)
            self._lengths[name] = self.rows + 1
            if len(waiting) >= HELD:
                self._write(name)
        self.rows += 1

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A number of each row, (rows,); NaN where there is none."""
        import numpy as np

        found = np.full(self.rows, math.nan)
        if name in self._waiting:
            self._write(name)
            known = np.fromfile(self._path(name), np.float64)
            found[: len(known)] = known
        return found

    def _write(self, name: str) -> None:
        with self._path(name).open("ab") as file:
            self._waiting[name].tofile(file)
        self._waiting[name] = array("d")

    def _path(self, name: str) -> Path:
        return self._folder / f"{list(self._waiting).index(name)}.column"
