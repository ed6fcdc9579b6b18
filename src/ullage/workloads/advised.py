"""Advice for a plan: what would make its workload fit, cheaper or faster."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError
from ullage.workloads.fidelity import any_counted
from ullage.workloads.outcomes import outcomes

if TYPE_CHECKING:
    from ullage.facts.price import Prices
    from ullage.planning.advice.advise import Advised
    from ullage.planning.advice.measured import Losses
    from ullage.planning.advice.trials import SearchLimit
    from ullage.planning.plan import Plan

LARGEST_MEASURED: Final = 16_000_000
"""Bytes of a file that measures losses; one has some thousands."""


def advise(
    plan: Plan,
    *,
    for_: str = "cost",
    keep: Iterable[str] = (),
    measured: Iterable[str | Path] = (),
    prices: Prices | None = None,
    limit: SearchLimit | None = None,
) -> Advised:
    """What would make a plan's workload fit, cheaper or faster: the best that is found within `limit` (None:
    half a second's work), in the order that `for_` asks for: `cost`, `time` or `quality`.

    Nothing that a path in `keep` leads to is changed: `roles.judge.precision`, or `budget.gpus` for the
    cards. `measured` are files that `ullage probe drift --json` or `ullage pii compare --json` wrote: the
    losses of fewer bits in them stand in place of assumed ones. `prices` are the lists that count, without
    one those that come with Ullage, by the label that they have a price of the plan's cards by. Raises
    InputError for an unknown order, a path to nothing, a file that measures nothing, and where all is kept.
    """
    from ullage.facts.price import known_prices
    from ullage.planning.advice.advise import advise, usual_limit
    from ullage.spec.changes import apply_changes
    from ullage.workloads.sparing import SparingTracer

    limit = usual_limit(len(plan.phases)) if limit is None else limit
    prices = (prices or known_prices()).having(plan.gpus)
    tracer = SparingTracer(limit.traces, plan.base)
    confirm = outcomes(plan.models, base=plan.base, prices=prices, ends=True, tracer=tracer)
    tracer.as_it_is = partial(confirm, plan.workload, plan.gpus)
    return advise(
        plan.workload,
        plan.gpus,
        outcomes(plan.models, base=plan.base, prices=prices, rough=True, tracer=tracer),
        apply_changes,
        prices,
        confirm=confirm,
        for_=for_,
        keep=tuple(keep),
        host=_host_memory(plan),
        losses=_losses(measured),
        stored=frozenset(
            name for name, role in plan.roles.items() if role.precision.quantization is not None
        ),
        limit=limit,
    )


def _losses(files: Iterable[str | Path]) -> Losses:
    """What files measure. Raises InputError for one that cannot be read, or measures nothing."""
    from ullage.files import read_text
    from ullage.planning.advice.measured import read_losses

    found = []
    for file in files:
        try:
            document = json.loads(read_text(Path(file), LARGEST_MEASURED))
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{file}: is no JSON: {error}") from error
        found.append((str(file), document if isinstance(document, dict) else {}))
    return read_losses(found)


def advised(
    plan: Plan,
    *,
    for_: str = "cost",
    keep: Iterable[str] = (),
    measured: Iterable[str | Path] = (),
    prices: Prices | None = None,
) -> Plan:
    """The plan with its advice; without any where all of its roles run elsewhere, and where no row describes
    a model: each candidate would have to be traced."""
    if not plan.models or any_counted(plan.models):
        return plan
    found = advise(plan, for_=for_, keep=keep, measured=measured, prices=prices)
    return replace(plan, advice=found.entries, search=found.search)


def _host_memory(plan: Plan) -> int | None:
    """Bytes of host memory that the file, or this machine where it is the one in question, states."""
    from ullage.facts.machine import processor
    from ullage.units import parse_bytes

    stated = plan.workload.budget.host_memory
    if stated is not None:
        return parse_bytes(stated)
    if plan.asked.strip().casefold() in ("cpu", "local"):
        return processor().gpus[0].usable.low
    return None
