"""A device's peak against its room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ullage.reports.figures import number, whole
from ullage.reports.pages.page import Gauge

if TYPE_CHECKING:
    from ullage.planning.plan import DevicePlan
    from ullage.reports.pages.words import Tone

TONES: Final[dict[str, Tone]] = {"fits": "good", "tight": "warning", "does not fit": "bad"}
"""How verdicts are meant."""


def gauge(device: DevicePlan) -> Gauge:
    """A limited device's peak against what can be used of it."""
    assert device.usable is not None
    assert device.ullage is not None
    left = f"ullage {number(device.ullage)}" if device.ullage >= 0 else f"{number(-device.ullage)} too much"
    said = f"{whole(device.peak.device)} of {number(device.usable)} GiB, {left}"
    if device.verdict == "tight":
        said += ": tight"
    _, sure, most = (value / max(device.usable, 1) for value in device.peak.device)
    return Gauge(sure, most, said, TONES[device.verdict])
