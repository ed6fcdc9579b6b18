"""What the probes of a workload read, taken from their cards before anything is planned."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ullage.errors import SpecError, UllageError
from ullage.files import placed
from ullage.spec.probe import Probe
from ullage.spec.workload import Workload


def with_probe_shapes(workload: Workload, base: Path | None) -> Workload:
    """The workload with every probe's sites, width and columns. Raises SpecError, a line for each that is not
    there or was changed."""
    if not workload.probes:
        return workload
    found: dict[str, Probe] = {}
    wrong = []
    for name, probe in workload.probes.items():
        try:
            found[name] = _shaped(probe, base or Path())
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
