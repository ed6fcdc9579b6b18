"""Rows of stored states by their places: a file is opened once, and what lies between them read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.capture.rows import Places

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def gathered(
    path_of: Callable[[str], Path],
    places: Places,
    site: str,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> Tensor:
    """(rows, *width): rows [begin, end) of each of the `places`, one below the other.

    `path_of` gives the path of a file by its name.
    """
    import numpy as np
    import torch

    counts = end - begin
    after = np.cumsum(counts)
    found: Tensor | None = None
    for number in np.unique(places.file):
        here = np.flatnonzero((places.file == number) & (counts > 0))
        if not len(here):
            continue
        low, high = int(begin[here].min()), int(end[here].max())
        held = read_rows(path_of(places.files[number]), site, low, high)
        if found is None:
            found = held.new_empty((int(after[-1]), *held.shape[1:]))
        source = torch.from_numpy(numbered(begin[here] - low, counts[here]))
        found[torch.from_numpy(numbered(after[here] - counts[here], counts[here]))] = held[source]
    return torch.empty(0) if found is None else found


def read_rows(path: Path, site: str, begin: int, end: int) -> Tensor:
    """(end - begin, *width) of a site in a shard, or in its memory map."""
    import torch

    if path.suffix == ".npy":
        import numpy as np

        return torch.from_numpy(np.load(path, mmap_mode="r")[begin:end].copy())
    from safetensors import safe_open

    with safe_open(path, "pt") as shard:
        found: Tensor = shard.get_slice(site)[begin:end]
    return found


def numbered(begin: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """begin[0], begin[0] + 1, ... of each, `counts` of them."""
    import numpy as np

    first = np.cumsum(counts) - counts
    return np.repeat(begin - first, counts) + np.arange(int(counts.sum()))
