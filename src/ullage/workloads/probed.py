"""What the probes of a workload read, taken from their cards before anything is planned."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, SpecError, UllageError
from ullage.files import placed
from ullage.phases.fits import capture_of
from ullage.spec.fitting import SHARES, Fitting
from ullage.spec.probe import Probe
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from ullage.facts.architecture import Model

UNITS: Final = {"mlp": 64, "attention": 2}
"""Values that a fitted probe of each method makes of a token; others make one."""


def with_probe_shapes(workload: Workload, base: Path | None, models: Mapping[str, Model]) -> Workload:
    """The workload with every probe's sites, width and columns; of those that are still to be fitted what
    they may come to, and how many dialogues are read. Raises SpecError, a line for each that is not there or
    was changed."""
    if not workload.probes:
        return workload
    found: dict[str, Probe] = {}
    wrong = []
    for name, probe in workload.probes.items():
        try:
            if probe.fit is None:
                found[name] = _shaped(probe, base or Path())
            else:
                found[name] = _to_be_fitted(probe, probe.fit, workload, base or Path(), models)
        except SpecError as error:
            wrong += [f"probes.{name}.fit: {each}" for each in error.mistakes]
        except UllageError as error:
            wrong.append(f"probes.{name}: {error}")
    if wrong:
        raise SpecError(wrong)
    return workload.model_copy(update={"probes": found})


def probes_in(folders: Sequence[str | Path], taken: Collection[str] = ()) -> dict[str, Probe]:
    """Probes by the names of their folders, as far as these are names that are not taken."""
    found: dict[str, Probe] = {}
    for folder in folders:
        path = Path(folder).expanduser().resolve()
        plain = re.sub("[^A-Za-z0-9_-]", "_", path.name)[:48] or "probe"
        plain = plain if re.match("[A-Za-z_]", plain) else f"p{plain}"
        name, number = plain, 2
        while name in found or name in taken:
            name, number = f"{plain}-{number}", number + 1
        found[name] = Probe(path=str(path))
    return found


def _shaped(probe: Probe, base: Path) -> Probe:
    from ullage.records.probe_card import read_probe_shape

    shape = read_probe_shape(placed(probe.path, base))
    return probe.model_copy(update={"sites": shape.sites, "hidden": shape.hidden, "columns": shape.columns})


def _to_be_fitted(
    probe: Probe, fit: Fitting, workload: Workload, base: Path, models: Mapping[str, Model]
) -> Probe:
    """What is read of it is not known before: any of its sites, at most."""
    from ullage.facts.architecture import Architecture
    from ullage.memory.captures.sites import matched_sites, site_name
    from ullage.spec.rope import model_of

    name = probe.role or next(iter(workload.roles))
    model = model_of(workload.roles[name], models)
    if not isinstance(model, Architecture):
        raise InputError(f"role {name} is a diffusion pipeline, which has no layers to read")
    sites = tuple(site_name(site) for site in matched_sites(capture_of(name, fit, 1), model))
    read = fit.model_copy(update={"texts": _texts(fit, base)})
    made = {"sites": sites, "hidden": model.hidden_size, "columns": UNITS.get(fit.method, 1), "fit": read}
    return probe.model_copy(update=made)


def _texts(fit: Fitting, base: Path) -> int:
    """How many dialogues are read, those of the test a second time where that is asked for."""
    labelled = _dialogues(placed(fit.labels, base))
    again = math.ceil(labelled * SHARES[-1]) if fit.without_roles else 0
    return labelled + again + (0 if fit.control is None else _dialogues(placed(fit.control, base)))


def _dialogues(path: Path) -> int:
    """How many a file holds; a line of two instructions is two. What else is wrong with it is told before
    it is read by a model. Raises InputError."""
    count = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    count += 2 if _is_pair(line) else 1
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not count:
        raise InputError(f"{path}: holds no records")
    return count


def _is_pair(line: bytes) -> bool:
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and {"honest", "deceptive"} <= record.keys()
