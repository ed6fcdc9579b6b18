"""Fits of probes, laid out before what a kind does: each reads its labelled dialogues once."""

from __future__ import annotations

from typing import Final

from ullage.phases.blocks import LOAD, base_work, generate, probes_of
from ullage.phases.phase import Phase, Work
from ullage.spec.capture import Capture
from ullage.spec.fitting import Fitting
from ullage.spec.workload import Workload

FIT: Final = "fit"


def verb_of(probe: str) -> str:
    """What a role does while the probe of this name is fitted to it."""
    return f"{FIT} {probe}"


def with_fits(phases: tuple[Phase, ...], workload: Workload) -> tuple[Phase, ...]:
    """The phases, and in them those of the workload's fits: as soon as the role that is read has been loaded,
    beside whoever is there then."""
    found = phases
    for name in workload.roles:
        fits = {own: fit for own in probes_of(name, workload) if (fit := workload.probes[own].fit)}
        at = next((n for n, one in enumerate(found) if (one.running, one.verb) == (name, LOAD)), None)
        if not fits or at is None:
            continue
        made: tuple[Phase, ...] = ()
        for own, fit in fits.items():
            work = fit_work(name, fit, workload)
            made += generate(name, found[at].resident, work, verb_of(own), work.captures, "none")
        found = (*found[: at + 1], *made, *found[at + 1 :])
    return found


def fit_work(name: str, fit: Fitting, workload: Workload) -> Work:
    """The reading of all dialogues of a fit: of each the states of what counts go to disk."""
    own = base_work(name, workload)
    batch = fit.batch or own.batch
    longest = fit.prompt_tokens or own.prompt_tokens
    return own.but(
        batch=batch,
        prompt_tokens=longest,
        new_tokens=0,
        images=0,
        caches=False,
        passes=fit.texts / batch / workload.examples,
        captures=(capture_of(name, fit, longest),),
        fitting=fit,
        shard_bytes=1,  # each batch is a shard of its own
    )


def capture_of(name: str, fit: Fitting, longest: int) -> Capture:
    """What is kept of dialogues of up to `longest` tokens."""
    most = min(fit.span_tokens or longest, longest)
    return Capture(
        role=name, sites=fit.sites, layers=fit.layers, positions="span", span_tokens=most, keep="disk"
    )
