"""Dialogues parted by their groups: to fit, to choose, to test; and labels that say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError
from ullage.probes.dialogues import digest_of
from ullage.probes.labels import Labelled
from ullage.spec.fitting import SHARES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

PARTS: Final = ("fit", "choose", "test")


def parted(
    labelled: Sequence[Labelled], shares: Sequence[float] = SHARES, seed: int = 0
) -> tuple[Bools, ...]:
    """Which dialogues are of each part, (dialogues,) each; a group is of one part whole, together with every
    group that says the same as one of its dialogues.

    Raises InputError where a part would have one label only.
    """
    import numpy as np

    names = _kept_together(labelled)
    groups = sorted(set(names))
    order = np.random.default_rng(seed).permutation(len(groups))
    edges = np.round(np.cumsum(shares) / sum(shares) * len(groups)).astype(int)
    part = {groups[at]: int(np.searchsorted(edges, place, "right")) for place, at in enumerate(order)}
    mine = np.array([part[name] for name in names])
    labels = np.array([bool(one.label) for one in labelled])
    for at, name in enumerate(PARTS[: len(shares)]):
        found = set(labels[mine == at].tolist())
        if len(found) < 2:
            have = f"label {int(found.pop())} only" if found else "nothing"
            raise InputError(
                f"the part to {name} has {have}: {len(labelled):,} dialogues are of {len(groups):,} groups, "
                "which are not parted, nor is what says the same; give more groups, or another --seed"
            )
    return tuple(mine == at for at in range(len(shares)))


def _kept_together(labelled: Sequence[Labelled]) -> list[str]:
    """Of each dialogue the name of what it may not be parted from: its group, or of those that say the same
    the first by name."""
    leads: dict[str, str] = {}

    def first(name: str) -> str:
        while leads.setdefault(name, name) != name:
            name = leads[name]
        return name

    said: dict[int, str] = {}
    for one in labelled:
        low, high = sorted((first(one.own_group), first(said.setdefault(digest_of(one), one.own_group))))
        leads[high] = low
    return [first(one.own_group) for one in labelled]


def shuffled(labels: Bools, which: Bools, draws: int, seed: int) -> list[Bools]:
    """Labels, (dialogues,), that say nothing of the true ones: of each class of `which` one half is called
    1."""
    import numpy as np

    chance = np.random.default_rng(seed)
    found = []
    for draw in range(draws):
        made = labels.copy()
        for label in (False, True):
            members = chance.permutation(np.flatnonzero(which & (labels == label)))
            made[members] = np.arange(len(members)) < (len(members) + (draw + label) % 2) // 2
        found.append(made)
    return found
