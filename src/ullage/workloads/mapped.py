"""Roles' own device maps against the modules of their models, as soon as a file is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import UllageError

if TYPE_CHECKING:
    from ullage.spec.mistake import Mistake
    from ullage.spec.workload import Workload


def mistakes_in_maps(workload: Workload, base: Path | None = None) -> Iterator[Mistake]:
    """Modules that a role's model does not have or that its map leaves out, and blocks that it tears apart.

    Paths are relative to `base`. A model that cannot be opened is told where it is planned.
    """
    for name, role in workload.roles.items():
        if role.device_map is None:
            continue
        from ullage.spec.device_map import block_devices
        from ullage.spec.mistake import Mistake
        from ullage.workloads.opened import opened_model

        try:
            model = opened_model(role.model, base)
        except UllageError:
            continue
        path = ("roles", name, "device_map")
        for wrong in block_devices(role.device_map, model)[1]:
            yield Mistake(path if wrong.module is None else (*path, wrong.module), wrong.problem, at_key=True)
