"""The tables of a guide about bytes and seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ullage.planning.claimed import COMPONENTS, amount_in
from ullage.reports.figures import dollars, durations, number, whole
from ullage.reports.items import at_the_peak, named
from ullage.reports.latency_page import latency_tables
from ullage.reports.pages.page import Figure, Items, Part, Prose
from ullage.reports.pages.table import Table
from ullage.reports.plan_chart import plan_chart
from ullage.reports.storage_page import stored_lines
from ullage.reports.times_page import times_table
from ullage.units import GIB

if TYPE_CHECKING:
    from ullage.planning.guide import Guide, Variation
    from ullage.planning.plan import DevicePlan, Plan

COLUMNS: Final = ("weights", "kv_cache", "activations", "logits", "captures")
"""Components that have a column of their own; the others are one."""


def precisions(guide: Guide) -> tuple[Part, ...]:
    """A row for each role and precision: its own components, and the verdict on the cards asked for."""
    rows, refused = [], []
    for each in guide.precisions:
        if each.plan is None:
            rows.append((each.role, each.name, *("" for _ in COLUMNS), "", "refused"))
            refused.append(f"{each.role} in {each.name}: {each.refused}")
            continue
        now = guide.plan.roles[each.role].precision.storage == each.plan.roles[each.role].precision.storage
        cells = [whole(amount_in(each.plan, name, role=each.role)) for name in COLUMNS]
        others = "+".join(name for name in COMPONENTS if name not in COLUMNS)
        rest = whole(amount_in(each.plan, others, role=each.role))
        name = each.plan.roles[each.role].precision.storage
        rows.append(
            (each.role, f"{name} (as planned)" if now else name, *cells, rest, in_a_cell(each.plan.verdict))
        )
    heads = ("role", "precision", *(name.replace("_", " ") for name in COLUMNS), "other")
    caption = (
        f"The most of each component in any phase, summed over the cards; verdict on {guide.plan.gpus.name}, "
        "the other roles as planned. What the process takes beside its models is in the next table."
    )
    table = Table((*heads, "verdict"), tuple(rows), frozenset(heads[2:]), caption)
    return (table, Items(tuple(refused))) if refused else (table,)


def peak(plan: Plan) -> Table:
    """Every reason for bytes on the fullest device, in the phase where it is fullest."""
    cards = [each for each in plan.devices if each.usable is not None] or list(plan.devices)
    device = max(cards, key=lambda each: each.peak.device.high / max(each.usable or GIB, 1))
    rows = tuple(
        (named(item), whole(item.bytes), item.basis, item.note) for item in at_the_peak(plan, device)
    )
    caption = f"{device.name} in {device.peak_phase or 'no phase'}"
    return Table(("what", "GiB", "basis", "why"), rows, frozenset({"GiB"}), caption)


def allocation(plan: Plan) -> tuple[Part, ...]:
    """A row for each phase, a column for each device: the highest of what is on it."""
    devices = [each for each in plan.devices if plan.bill.totals.get(each.name)]
    rows = []
    for phase in plan.phases:
        totals = [plan.bill.totals[device.name].get(phase.name) for device in devices]
        cells = ("" if total is None else number(total.device.high) for total in totals)
        rows.append((phase.name, *cells))
    rows.append(("peak", *(number(each.peak.device.high) for each in devices)))
    rows.append(("usable", *("" if each.usable is None else number(each.usable) for each in devices)))
    heads = tuple(_head(each) for each in devices)
    table = Table(
        ("phase", *heads), tuple(rows), frozenset(heads), "At most, GiB, the process and CUDA included."
    )
    staying = plan.staying()
    said = (
        f"Always on the device: {', '.join(staying)}."
        if staying
        else "No role stays on the device throughout."
    )
    return (table, Figure(plan_chart(plan)), Prose(said))


def _head(device: DevicePlan) -> str:
    return device.name if device.gpu in ("", device.name) else f"{device.name} {device.gpu}"


def variations(guide: Guide) -> tuple[Part, ...]:
    """Batches and contexts, with all else as it is."""
    batch = _varied("batch", guide.batches, guide.plan)
    context = _varied("tokens of prompt", guide.contexts, guide.plan)
    roles = guide.plan.workload.roles.values()
    of_all = "Batch of every role" if any(role.batch for role in roles) and len(roles) > 1 else "Batch"
    said = "Context"
    if any(role.prompt_tokens for role in roles):
        said = "Context of every role by the same share" if len(roles) > 1 else said
    return (
        Prose(f"{of_all}, all else as planned:"),
        batch,
        Prose(f"{said}, all else as planned:"),
        context,
    )


def _varied(name: str, found: Sequence[Variation], asked: Plan) -> Table:
    columns = (name, "fullest card, GiB", "all cards at most, GiB", "verdict", "all examples", "$ per 1000")
    rows = []
    for each in found:
        if each.plan is None:
            rows.append((each.name, "", "", f"refused: {each.refused}", "", ""))
            continue
        plan = each.plan
        cards = [device.peak.device for device in plan.devices if device.usable is not None]
        fullest = max(cards, key=lambda peak: peak.high, default=None)
        usd = None if plan.cost is None else plan.cost.usd_per_1000_examples
        rows.append(
            (
                each.name,
                "" if fullest is None else whole(fullest),
                number(sum(peak.high for peak in cards)),
                in_a_cell(plan.verdict),
                durations(plan.total_seconds),
                dollars(usd),
            )
        )
    return Table(
        columns, tuple(rows), frozenset({columns[0], *columns[1:3], columns[5]}), f"On {asked.gpus.name}."
    )


def in_a_cell(verdict: str) -> str:
    """A verdict in as few words as there are."""
    return "no" if verdict == "does not fit" else verdict


def times(plan: Plan) -> Iterator[Part]:
    """Of each phase; of one request, where the kind says how it is answered."""
    if not plan.times:
        yield Prose("Nothing is known of the speed of these cards.")
        return
    yield times_table(plan.times)._replace(title="")
    for one in latency_tables(plan.latency) if plan.latency is not None else ():
        yield Prose(one.title)
        yield one._replace(title="")


def elsewhere(plan: Plan) -> Items:
    """Host memory, and what lies on disk."""
    host = next((each for each in plan.devices if each.name == "host"), None)
    said = ["host memory: next to nothing beside the program itself"]
    if host is not None and host.peak.device.high >= GIB // 100:
        said = [f"host memory: {whole(host.peak.device)} GiB in {host.peak_phase}"]
    checkpoints = [f"{each.what}: {whole(each.bytes)} GiB" for each in plan.stored]
    return Items((*said, *(checkpoints or stored_lines(plan.stored))))
