"""A trace as a page, and as one of HTML that shows every moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ullage.memory.timeline import Timeline
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table
from ullage.units import GIB, MIB, gib

MOMENTS: Final = 5
TENSORS: Final = 12
"""Of how many moments and tensors the terminal tells."""


def trace_page(found: Timeline) -> Iterator[Part]:
    """The fullest moments, what they are made of, and the largest tensors of the fullest."""
    yield Prose(f"{found.model}: {found.phase} on {found.device}, by its own code on fake tensors")
    yield from map(Prose, _said(found))
    columns = ("moment", "live", "reserved", "of what", "while")
    rows = tuple(_moment(found, at) for at in found.peaks(MOMENTS))
    yield Table(columns, rows, frozenset(columns[:3]), title="fullest moments")
    alive = [each for each in found.alive(found.fullest) if each.component != "weights"]
    largest = [(size_of(each.bytes), each.component, each.name()) for each in alive[:TENSORS]]
    if rest := alive[TENSORS:]:
        largest.append((size_of(sum(each.bytes for each in rest)), "", f"{len(rest):,} more"))
    title = f"largest tensors beside the weights at moment {found.fullest:,}"
    yield Table(("bytes", "component", "tensor"), tuple(largest), frozenset({"bytes"}), title=title)


def _moment(found: Timeline, at: int) -> tuple[str, ...]:
    moment = found.moments[at]
    parts = ", ".join(f"{name} {size_of(size)}" for name, size in found.components(at).items())
    return f"{at:,}", size_of(moment.live), size_of(moment.reserved), parts, found.where(at)


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
