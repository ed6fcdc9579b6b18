"""A device's peak against its room, as a bar of the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from ullage.reports.figures import number, whole
from ullage.reports.tables import STYLES

if TYPE_CHECKING:
    from ullage.planning.plan import DevicePlan

BAR: Final = 30
LEAST_BAR: Final = 8


def bar(device: DevicePlan, width: int) -> Text:
    """A limited device's peak against what can be used of it."""
    assert device.usable is not None
    assert device.ullage is not None
    left = f"ullage {number(device.ullage)}" if device.ullage >= 0 else f"{number(-device.ullage)} too much"
    said = f" {whole(device.peak.device)} of {number(device.usable)} GiB, {left}"
    if device.verdict == "tight":
        said += ": tight"
    long = max(min(BAR, width - cell_len(said)), LEAST_BAR)
    shares = [min(value / max(device.usable, 1), 1.0) for value in device.peak.device[1:]]
    sure, maybe = (round(share * long) for share in shares)
    line = Text("█" * sure + "▒" * (maybe - sure), style=STYLES[device.verdict])
    line.append("·" * (long - maybe), style="dim")
    return Text("").append_text(line).append(said)
