"""The search: on the own cards by every family of changes, then on others from what was best so far."""

from __future__ import annotations

from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.elsewhere import Axes, Elsewhere
from ullage.planning.advice.entry import Order
from ullage.planning.advice.set_search import SetSearch
from ullage.planning.advice.trials import Trials

SHARE_OF_OWN: Final = 0.5
"""Of what a search may take, for the cards that were asked for."""
SHARE_TO_FIT: Final = 0.2
"""The same where it does not fit them as it is."""


def search(
    trials: Trials, gpus: GpuSet, order: Order, axes: Axes, others: bool, together: bool
) -> list[GpuSet]:
    """Plans candidates until nothing is left or the limit is reached; gives the sets it did not come to.

    `axes` says what can be changed on a set; `others` whether other cards are looked at. A role works on all
    cards `together` already.
    """
    own = SetSearch(trials, gpus, axes(gpus))
    if gpus.abilities.has_kernels:
        share = SHARE_OF_OWN if trials.plan(gpus).fits else SHARE_TO_FIT
        with trials.within(share if others else 1.0):
            own.by_families()
    if not others:
        return []
    return Elsewhere(trials, gpus, order, axes, together, own.splits).search()
