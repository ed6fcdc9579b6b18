"""A requirements guide as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from ullage.reports.advice_page import in_short, typed
from ullage.reports.beside_price import age
from ullage.reports.figures import UNKNOWN, dollars, durations, whole
from ullage.reports.guide import amounts, sets
from ullage.reports.guide.symptoms import symptoms
from ullage.reports.items import at_the_peak, named
from ullage.reports.lengths import lengths_of, own_lengths
from ullage.reports.pages.page import Code, Items, Own, Page, Part, Prose, Section
from ullage.reports.pages.shell import in_lines
from ullage.reports.pages.table import Table
from ullage.units import gib

if TYPE_CHECKING:
    from ullage.planning.guide import Guide
    from ullage.planning.plan import Plan

WIDE: Final = 100
LARGEST: Final = 5
UNITS: Final = (
    "Sizes are GiB (2^30 bytes), as expected, and in brackets from the least to the most. A verdict counts "
    "with the most: fits leaves the reserve free, tight leaves less."
)


def guide_page(guides: Sequence[Guide]) -> Page:
    """One guide of all workloads; of several each has its own sections, one level deeper."""
    several = len(guides) > 1
    sections: list[Section] = []
    for guide in guides:
        prefix = f"{Path(guide.name).stem}: " if several else ""
        own = [*_sections(guide, prefix)]
        if several:
            sections.append(Section(guide.plan.title, ()))
            own = [each._replace(level=each.level + 1) for each in own]
        sections += own
    title = "GPU requirements" if several else f"GPU requirements: {guides[0].plan.title}"
    return Page(title, (*sections, _sources(guides)), tuple(_opening(guides)))


def _opening(guides: Sequence[Guide]) -> Iterator[Part]:
    files = " ".join((*(quote(guide.name) for guide in guides), guides[0].options)).strip()
    yield Prose(
        f"Written by `ullage guide {files}`; it changes when the file, a price or the program does. Write "
        "your own words between the markers: they stay."
    )
    yield Prose(UNITS)


def _sections(guide: Guide, prefix: str) -> Iterator[Section]:
    plan = guide.plan
    yield Section("Summary", (*_summary(guide), Own(f"{prefix}summary")))
    if guide.tiers:
        yield Section("Recommended set-ups", (sets.tiers(guide), Own(f"{prefix}set-ups")))
    if plan.roles:
        yield from _of_memory(guide)
    yield Section("Configuration", _configuration(guide))
    if plan.roles:
        yield Section("When it does not fit", tuple(_advice(plan, guide.typed)))
    yield Section("Commands", (_commands(guide),))
    if plan.roles:
        yield Section("Troubleshooting", ())
        yield from (Section(title, parts, 3) for title, parts in symptoms(plan))
        yield Section("How this is known", tuple(_known(plan)))
    yield Section("Notes", (*_notes(plan), Own(f"{prefix}notes")))


def _of_memory(guide: Guide) -> Iterator[Section]:
    """Of what is held here."""
    plan = guide.plan
    yield Section("Memory by precision and component", amounts.precisions(guide))
    yield Section("What the peak is made of", (amounts.peak(plan),))
    yield Section("Allocation by device and phase", amounts.allocation(plan))
    yield Section("Batch and context", amounts.variations(guide))
    yield Section("Which cards hold it", (sets.fits(guide),))
    yield Section("What it costs to rent", sets.costs(guide))
    yield Section("Time", tuple(amounts.times(plan)))
    yield Section("Host memory and disk", (amounts.elsewhere(plan),))


def _summary(guide: Guide) -> Iterator[Part]:
    plan = guide.plan
    roles = [
        f"{name}: {', '.join((role.model, _precision(plan, name), *own_lengths(role)))}"
        for name, role in plan.workload.roles.items()
    ]
    yield Items(tuple(roles))
    yield Prose(f"Planned for {lengths_of(plan)}.")
    asked = [
        f"{each.role} ({each.model}) is asked {each.requests:,} times for 1000 examples: "
        + ("price unknown, set price_per_million" if each.usd is None else f"{dollars(each.usd)} for all")
        for each in plan.hosted
    ]
    if asked:
        yield Items(tuple(asked))
    if not plan.roles:
        yield Prose("No card is needed: every role runs elsewhere.")
        return
    cards = [each for each in plan.devices if each.usable is not None]
    fullest = max(cards, key=lambda each: each.peak.device.high / max(each.usable or 1, 1))
    assert fullest.usable is not None
    assert fullest.ullage is not None
    left = f"{gib(fullest.ullage)} free" if fullest.ullage >= 0 else f"{gib(-fullest.ullage)} too much"
    yield Prose(
        f"On {plan.gpus.name}: {plan.verdict}. The fullest, {fullest.name}, takes "
        f"{whole(fullest.peak.device)} GiB of {gib(fullest.usable)} in {fullest.peak_phase}; {left}."
    )
    items = at_the_peak(plan, fullest)[:LARGEST]
    yield Items(tuple(f"{whole(item.bytes)} GiB {named(item)}, {item.basis}" for item in items))
    if plan.times:
        price = "its price is not known"
        if plan.cost is not None:
            label = f" ({plan.cost.label})" if plan.cost.instead_of else ""
            price = f"at {dollars(plan.cost.usd_per_hour)} an hour{label}"
            price = price if plan.total_usd is None else f"{dollars(plan.total_usd)} {price}"
        time = UNKNOWN + ", a note says why" if plan.total_seconds is None else durations(plan.total_seconds)
        yield Prose(f"Time: {time}; {price}.")
    best = guide.renting.best
    if best is not None and best.cost is not None and best.usd is not None:
        by = ", ".join(filter(None, (best.cost.provider, best.cost.as_of, age(best.cost))))
        cheapest = (
            "The cheapest to rent that fits" if best.verdict == "fits" else "The cheapest to rent, tight"
        )
        yield Prose(f"{cheapest}, for all of it: {best.gpus.name} ({by}), {dollars(best.usd)}.")


def _precision(plan: Plan, role: str) -> str:
    return plan.roles[role].precision.storage if role in plan.roles else "runs elsewhere"


def _configuration(guide: Guide) -> tuple[Part, ...]:
    """The file itself, and where each role's blocks are, as `max_memory` and a device map would say it."""
    placed = [
        f"{name}: {role.placement.where} ({role.placement.reason})" for name, role in guide.plan.roles.items()
    ]
    as_planned = f"which was planned with `{guide.options}`" if guide.options else "as it was planned"
    language = "json" if guide.text.lstrip().startswith("{") else "yaml"
    return (
        Prose(f"{guide.name}, {as_planned}:"),
        Code(guide.text.replace("\r\n", "\n"), language),
        Items(tuple(placed)),
    )


def _advice(plan: Plan, file: str) -> Iterator[Part]:
    if not plan.advice:
        yield Prose("Nothing better was found than the workload as it is on these cards.")
        return
    if plan.verdict != "does not fit":
        yield Prose("It fits. What is cheaper or faster, or what to do with fewer cards:")
    for entry in plan.advice:
        yield Prose(f"{entry.gpus}: {entry.verdict}; {in_short(entry)}. {entry.quality_note}".strip())
        if options := typed(entry, plan):
            lines = in_lines(options, WIDE).splitlines()
            yield Code("\n".join([f"ullage plan {file} \\", *(f"  {line}" for line in lines)]), "bash")


def _commands(guide: Guide) -> Part:
    file = guide.typed
    lines = [
        (f"ullage plan {file} --details", "every number with its reason"),
        (f"ullage gpus {file}", "what to rent now"),
        (f"ullage doctor {file}", "whether this machine can run it"),
        (f"ullage check {file}", "load every model, run one smallest batch"),
    ]
    if guide.plan.workload.kind != "serve":
        lines += [
            (f"ullage run {file} --out run", "the workload itself, inside the plan"),
            ("ullage verify run", "predicted against measured"),
        ]
    else:
        lines.append((f"ullage serve {file}", "its roles behind OpenAI's protocol"))
    lines.append(("watch -n 1 nvidia-smi", "what a card holds now"))
    wide = max(len(command) for command, _ in lines)
    return Code("\n".join(f"{command:{wide}}  # {why}" for command, why in lines), "bash")


def _known(plan: Plan) -> Iterator[Part]:
    """How figures are known: measured ones by name."""
    found: dict[str, dict[str, None]] = {}
    for item in plan.bill.items:
        if item.bytes.high:
            found.setdefault(item.basis, {})[item.component.replace("_", " ")] = None
    yield Table(
        ("basis", "of what"), tuple((basis, ", ".join(parts)) for basis, parts in sorted(found.items()))
    )
    cards = {(gpu.id, gpu.usable_basis, gpu.usable_source) for gpu in plan.gpus.gpus}
    yield Items(tuple(f"memory of {name}: {basis}; {source}" for name, basis, source in sorted(cards)))
    times = sorted({time.basis for time in plan.times})
    if times:
        yield Prose(
            f"Times are {', '.join(times)}; none is of past runs: a guide is the same on every machine."
        )
    for decision in plan.decisions:
        yield Prose(f"{decision.subject}: {decision.choice} ({decision.reason})")


def _notes(plan: Plan) -> Iterator[Part]:
    said = (*(f"Warning: {text}" for text in plan.warnings), *plan.notes)
    if said:
        yield Items(said)


def _sources(guides: Sequence[Guide]) -> Section:
    """Versions, and the days of prices and facts; never that of the run."""
    first = guides[0]
    rows = [
        *first.versions,
        ("prices, newest list", first.prices_of),
        ("facts about models and cards", first.facts_of),
    ]
    return Section(
        "Versions and dates",
        (
            Table(("of what", "version or date"), tuple(rows)),
            Prose(
                "Of torch and transformers those that formulas were held against. Prices are of their day."
            ),
        ),
    )
