"""Probes that a run fits for itself before its kind begins: dialogues are read, the probe is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ullage.engines.turns import Turns
from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.probes.card import Card, save_probe
from ullage.probes.data import Data, read_data
from ullage.probes.dialogues import Dialogues
from ullage.probes.listening import folder_of
from ullage.probes.logistic import Task
from ullage.probes.made import DOCUMENT, make_probe, sweep_of
from ullage.probes.methods import train
from ullage.probes.origin import origin_of
from ullage.probes.parts import parted
from ullage.probes.reading import read_stage
from ullage.records.atomic import sha256_of
from ullage.records.fits import FITS, FITTED, files_of_fit
from ullage.records.probe_card import CARD, WEIGHTS
from ullage.runtime.session import Session
from ullage.spec.fitting import Fitting


def fit_probes(session: Session) -> None:
    """Fits the probes that the plan has fits for, each in its phase, into the run's folder; what an earlier
    run has fitted stays as it is.

    Raises InputError, a line for each mistake, for labels that cannot be fitted to: before any model is
    loaded.
    """
    fits = {name: probe.fit for name, probe in session.workload.probes.items() if probe.fit is not None}
    if not fits:
        return
    turns = Turns(session)
    left = {name: read_data(session, name, fit) for name, fit in fits.items() if not _is_there(session, name)}
    for name, data in left.items():
        _fit(session, turns, name, data)
    if not session.smallest:
        session.outcome[FITS] = {name: _document(session, name) for name in fits}


def _is_there(session: Session, name: str) -> bool:
    """Whether a probe was fitted, and lies there."""
    noted = files_of_fit(session.journal.entries, name)
    return bool(noted) and all((session.folder.path / file).is_file() for file in noted)


def _document(session: Session, name: str) -> Mapping[str, object]:
    path = folder_of(session, name) / DOCUMENT
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def _fit(session: Session, turns: Turns, name: str, data: Data) -> None:
    """Reads what is left to be read, fits, and notes what lies on disk then."""
    stages = {"": data.labelled, "control": data.control, "without-roles": None}
    if data.fit.without_roles and not session.smallest:
        *_, tested = parted(data.labelled.labelled, seed=data.fit.seed)
        stages["without-roles"] = data.without_roles(tested)
    read = {
        part: read_stage(session, turns, name, part, texts)
        for part, texts in stages.items()
        if texts is not None
    }
    folder = folder_of(session, name)
    with session.monitor.inside(session.phase(data.role, data.verb)):
        if session.smallest:
            _save_smallest(session, name, data.fit, read[""])
            return
        model = session.workload.roles[data.role].model
        origin = origin_of(session.folder.manifest(), data.role, model)
        made = make_probe(
            read[""],
            data.fit,
            origin,
            session.path(data.fit.labels),
            control=read.get("control"),
            bare=read.get("without-roles"),
        )
    called = folder.relative_to(session.folder.path).as_posix()
    document = made.save(folder, called, len(data.labelled.absent))
    _note(session, name, [folder / file for file in sorted((CARD, WEIGHTS, DOCUMENT))])
    told = Fields(document, "the fit").inner("test").value("auroc")
    session.progress.note(f"probes.{name}: fitted; AUROC {told} on what was held out")


def _note(session: Session, name: str, files: Sequence[Path]) -> None:
    """Has the journal say that the probe is there; where it says so already, that it is the same one."""
    now = {file.relative_to(session.folder.path).as_posix(): sha256_of(file) for file in files}
    before = files_of_fit(session.journal.entries, name)
    if before and before != now:
        raise FormatError(
            f"{folder_of(session, name)}: the probe was lost, and fitting it again gives another: what was "
            "scored before is of the first; start a new run"
        )
    if not before:
        session.journal.append({FITTED: name, "files": now})


def _save_smallest(session: Session, name: str, fit: Fitting, dialogues: Dialogues) -> None:
    """A probe of the same form, fitted to the two dialogues of a smallest batch: it takes as much memory, and
    what it says is not kept."""
    sweep = sweep_of(fit, dialogues.sites)
    rows = dialogues.rows(sweep.way.reading)
    way = replace(sweep.way, held_back=rows, pair=dialogues.pairs, epochs=1)
    (made,) = train(rows, [Task(sweep.groups[0], sweep.strengths[0], dialogues.labels)], way)
    save_probe(made.probe, Card(fit.method, threshold=0.0), folder_of(session, name))
