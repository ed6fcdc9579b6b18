"""An .npy file that grows: its number of rows is known when the last of them is."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.capture.arrays import read_array_file
from ullage.errors import FormatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class GrowingArray:
    """Rows of one dtype and width, written wherever they belong.

    Invariant: the header never says more rows than there is room for, and what was `flushed` is on disk.
    An array in which rows have been written before is gone on with. Raises FormatError for another one.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.generic], width: tuple[int, ...]) -> None:
        self._dtype, self._width = dtype, width
        there = path.exists()
        self._file = path.open("r+b" if there else "w+b")
        self._begin, self._rows = len(self._header(0)), 0
        if there:
            held = read_array_file(path, growing=True)
            if (held.name, held.shape[1:]) != (str(dtype), width):
                raise FormatError(f"{path}: holds {held.name} {held.shape[1:]}, not {dtype} {width}")
            self._rows = held.shape[0]
        else:
            self.reserve(0)

    def reserve(self, rows: int, *, exactly: bool = False) -> None:
        """Makes room for so many rows in all; `exactly` that many, if there was room for more."""
        if rows > self._rows or exactly or not rows:
            row_bytes = int(self._dtype.itemsize)
            for size in self._width:
                row_bytes *= size
            os.ftruncate(self._file.fileno(), self._begin + rows * row_bytes)
            os.pwrite(self._file.fileno(), self._header(rows), 0)
            self._rows = rows

    def put(self, begin: int, rows: NDArray[np.generic]) -> None:
        """Writes rows from row `begin` on."""
        import numpy as np

        data = np.ascontiguousarray(rows, self._dtype).reshape(-1).view(np.uint8).data
        place = self._begin + begin * (len(data) // max(len(rows), 1))
        while data:
            written = os.pwrite(self._file.fileno(), data, place)
            data, place = data[written:], place + written

    def flush(self) -> None:
        """Waits until everything is on disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _header(self, rows: int) -> bytes:
        """As long for any number of rows: numpy leaves room for the first number of a shape."""
        import numpy as np

        written = io.BytesIO()
        said = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (rows, *self._width),
        }
        np.lib.format.write_array_header_1_0(written, said)
        return written.getvalue()
