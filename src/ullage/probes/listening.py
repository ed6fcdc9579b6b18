"""The probes of a workload, opened for the role that they read in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ullage.errors import InputError, UllageError
from ullage.files import placed
from ullage.phases.blocks import probed
from ullage.probes.card import Card, open_probe
from ullage.probes.origin import origin_of
from ullage.probes.probe import Probe
from ullage.probes.projections import Projections
from ullage.runtime.session import Session
from ullage.spec.probe import OF_A_FIT


@dataclass(frozen=True, slots=True)
class OpenProbes:
    """Probes by name: what they ask of each site, and their cards."""

    projections: Projections
    cards: Mapping[str, Card]


def folder_of(session: Session, name: str) -> Path:
    """Where the probe called `name` lies: in the run's own folder where the run has fitted it."""
    probe = session.workload.probes[name]
    if probe.fit is None:
        return placed(probe.path, session.plan.base)
    return session.folder.path / OF_A_FIT / name


def open_probes(session: Session, role: str) -> OpenProbes | None:
    """The probes that read `role`; None where there are none. What they were fitted to that this model is not
    is said, and kept in the outcome. Raises InputError, a line for each that cannot be opened."""
    names = [each.name for each in probed(role, session.workload)]
    if not names:
        return None
    found: dict[str, Probe] = {}
    cards: dict[str, Card] = {}
    wrong = []
    for name in names:
        try:
            found[name], cards[name] = open_probe(folder_of(session, name))
        except UllageError as error:
            wrong.append(f"probes.{name}: {error}")
    if wrong:
        raise InputError(*wrong)
    model = session.workload.roles[role].model
    here = origin_of(session.folder.manifest(), role, model) if session.folder.started else None
    told = {}
    for name, card in cards.items():
        others = card.other_origin(here) if here is not None else []
        for line in others:
            session.say(f"probes.{name}: {line}")
        told[name] = {
            "sites": list(found[name].sites),
            "threshold": card.threshold,
            "false_positive_rate": card.rate,
            "control": card.control,
            "other": others,
        }
    held = session.outcome.get("probes")
    session.outcome["probes"] = (held if isinstance(held, dict) else {}) | told
    return OpenProbes(Projections(found), cards)
