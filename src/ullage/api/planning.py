"""What a workload needs: models, plans, the cheapest cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.errors import InputError
from ullage.workloads.loading import sections
from ullage.workloads.outcomes import outcomes
from ullage.workloads.planned import needs_card, opened

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.facts.price import Prices
    from ullage.planning.outcome import Outcome
    from ullage.spec.workload import Workload


def gpus(
    workload: Workload, *, base: Path | None = None, prices: Prices | None = None
) -> list[tuple[GpuSet, Outcome]]:
    """Every GPU set with a price that holds the workload, cheapest per 1000 examples first; none where all of
    its roles run elsewhere. `prices` are the lists that count, by their label; without one those that come
    with Ullage, on demand.

    Raises InputError where no card can do what the workload asks for.
    """
    from ullage.facts.price import known_prices
    from ullage.planning.fitting_sets import fitting_sets

    if not needs_card(workload):
        return []
    workload, models = opened(workload, base)
    lists = prices or known_prices()
    come_to = outcomes(models, base=base, prices=lists)
    return fitting_sets(workload, come_to, [each for _, each in lists.sets()])


def model(name: str, base: Path | None = None) -> Model:
    """A model by catalog name, folder, config.json or GGUF file; a path is relative to `base`.

    Raises UnknownNameError for a name that no table holds, FormatError for a broken file, UnsupportedError
    for an architecture whose weights cannot be counted.
    """
    from ullage.workloads.opened import opened_model

    return opened_model(name, base)


def sample(task: str, out: str | Path, split: str = "test", count: int = 100, seed: int = 0) -> Path:
    """Labelled examples of one task of the small world that `ullage:tiny` knows, as JSON lines in `out`.

    Raises InputError for a task or split that does not exist, or a file that cannot be written.
    """
    from ullage.records.atomic import write_text
    from ullage.tinyworld import json_lines

    if count < 1:
        raise InputError(f"count: {count} examples cannot be written; ask for 1 or more")
    path = Path(out)
    text = json_lines(task, split, count, seed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    return path


def sample_model(name: str, out: str | Path, seed: int = 0) -> Path:
    """A small model with weights of chance in folder `out`: `artist`, a Flux pipeline, or `perception`, a
    LLaVA-NeXT, each below a megabyte. Needs no network.

    Raises UnknownNameError, InputError for a folder that holds something or cannot be written, and
    MissingExtraError.
    """
    from ullage.engines.small import make_small

    try:
        return make_small(name, Path(out), seed)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error


def schema() -> dict[str, Any]:
    """JSON Schema of the workload file."""
    from ullage.spec.schema import json_schema

    return json_schema(sections())
