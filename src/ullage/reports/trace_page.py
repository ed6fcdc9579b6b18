"""A trace on the terminal and as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from ullage.memory.timeline import Timeline
from ullage.units import GIB, MIB, gib

if TYPE_CHECKING:
    from rich.console import Console

MOMENTS: Final = 5
TENSORS: Final = 12
"""Of how many moments and tensors the terminal tells."""


def show_trace(found: Timeline, console: Console) -> None:
    """The fullest moments, what they are made of, and the largest tensors of the fullest."""
    console.print(Text(f"{found.model}: {found.phase} on {found.device}, by its own code on fake tensors"))
    for line in _said(found):
        console.print(Text(line))
    table = Table(title="fullest moments", title_justify="left", box=None, pad_edge=False)
    for name in ("moment", "live", "reserved"):
        table.add_column(name, justify="right")
    for name in ("of what", "while"):
        table.add_column(name, overflow="fold")
    for at in found.peaks(MOMENTS):
        moment = found.moments[at]
        parts = ", ".join(f"{name} {size_of(size)}" for name, size in found.components(at).items())
        table.add_row(
            f"{at:,}", size_of(moment.live), size_of(moment.reserved), Text(parts), Text(found.where(at))
        )
    console.print(table)
    alive = [each for each in found.alive(found.fullest) if each.component != "weights"]
    table = Table(
        title=f"largest tensors beside the weights at moment {found.fullest:,}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("bytes", justify="right")
    for name in ("component", "tensor"):
        table.add_column(name, overflow="fold")
    for each in alive[:TENSORS]:
        table.add_row(size_of(each.bytes), each.component, Text(each.name()))
    if len(alive) > TENSORS:
        rest = sum(each.bytes for each in alive[TENSORS:])
        table.add_row(size_of(rest), "", f"{len(alive) - TENSORS:,} more")
    console.print(table)


def _said(found: Timeline) -> list[str]:
    """What holds of the pass as a whole."""
    top = found.moments[found.fullest]
    lines = [
        f"at most {size_of(top.live)} alive, {size_of(found.reserved)} reserved (allocator: {found.settings})"
    ]
    if found.stuck:
        lines.append(
            f"in the end {size_of(found.stuck)} are reserved, held by no tensor, and cannot be given back"
        )
    if found.shortage is not None:
        tensor, stage, _ = found.shortage
        when = f"in {stage} at moment {len(found.moments):,}"
        lines.append(f"does not fit: no room for {size_of(tensor.bytes)} of {tensor.name()}, {when}")
        lines.append(found.shortage.words)
    return [*lines, *found.notes]


def size_of(size: int) -> str:
    """In MiB where it would be hardly anything in GiB."""
    return gib(size) if size >= GIB or not size else f"{size / MIB:,.2f} MiB"


def write_trace_page(found: Timeline, path: Path) -> None:
    """One file that needs nothing beside itself. Raises MissingExtraError without jinja2."""
    import json

    from ullage.records.atomic import write_text
    from ullage.reports.html_page import render_page
    from ullage.text import visible, without_secrets

    names: dict[str, int] = {}

    def number(text: str) -> int:
        return names.setdefault(visible(without_secrets(text)), len(names))

    tensors = [
        [
            number(each.module),
            number(each.operation),
            number(each.component),
            number(" x ".join(map(str, each.shape)) or "scalar"),
            number(each.dtype),
            each.bytes,
            each.born,
            -1 if each.gone is None else each.gone,
        ]
        for each in found.tensors
    ]
    moments = [[number(each.stage), each.live, each.reserved] for each in found.moments]
    held = {"tensors": tensors, "moments": moments, "names": list(names), "fullest": found.fullest}
    # Within a script nothing ends it: no "<" is left.
    data = json.dumps(held, separators=(",", ":")).replace("<", "\\u003c")
    template = Path(__file__).with_name("trace.html.jinja")
    top = found.moments[found.fullest]
    page = render_page(template, trace=found, lines=_said(found), data=data, top=top, size=size_of)
    write_text(path, page)
