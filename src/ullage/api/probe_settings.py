"""What fits of probes may be told, and where their states come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from ullage.api.probe_states import Extraction, Read, Reader, chosen_sites, stored
from ullage.errors import InputError
from ullage.spec.fitting import RESIDUAL, Fitting

if TYPE_CHECKING:
    from ullage.probes.dialogues import Dialogues
    from ullage.probes.labels import Labelled


class Settings(TypedDict, total=False):
    """How a probe is fitted. `sites` and `layers` are swept, or read side by side where they are `joined`;
    `rows` and `aggregation` as in `Reading`; `strengths` are lambdas; the threshold flags a share `rate` of
    `control`, a file of ordinary dialogues (default: of label 0). `gpus`, `precision`, `batch`, `download`,
    `quiet` are of the extraction, `skip_too_long` leaves out dialogues beyond the model's window."""

    sites: Sequence[str]
    layers: Sequence[int] | None
    joined: bool
    method: Literal["logistic", "difference", "adjusted", "lat", "mlp", "attention"]
    rows: Literal["tokens", "mean", "last"]
    aggregation: Literal["mean", "max", "last", "rolling"]
    window: int
    skip_first: int
    strengths: Sequence[float]
    intercept: bool
    control: str | None
    rate: float
    shuffles: int
    seed: int
    epochs: int
    gpus: str
    precision: str
    batch: int | None
    skip_too_long: bool
    download: bool
    quiet: bool


OF_A_FIT: Final = (
    *("joined", "method", "rows", "aggregation", "window", "skip_first", "strengths", "intercept"),
    *("control", "rate", "shuffles", "seed", "epochs"),
)
"""Settings that a workload file's `fit` has too, with the same defaults."""
DEFAULTS: Final[Settings] = {
    **{name: Fitting.model_fields[name].default for name in OF_A_FIT},  # type: ignore[typeddict-item]
    "sites": RESIDUAL,
    "layers": None,
    "gpus": "local",
    "precision": "auto",
    "batch": None,
    "skip_too_long": False,
    "download": False,
    "quiet": True,
}


OF_A_MODEL: Final = ("gpus", "precision", "batch", "skip_too_long", "download")
"""Settings that say nothing where states are there."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where states come from: a folder that has them, or a model that reads texts."""

    states: str | Path | None
    reader: Reader | None
    sites: Sequence[str]
    layers: Sequence[int] | None

    def read(self, labelled: Sequence[Labelled], out: Path, where: str) -> tuple[Dialogues, Read]:
        """Dialogues with their states; what a model reads lies in `out` afterwards."""
        from ullage.probes.dialogues import match

        if self.reader is None:
            assert self.states is not None
            found = stored(self.states)
            sites = chosen_sites(found.states, self.sites, self.layers)
        else:
            found = self.reader.read(labelled, out, where)
            sites = tuple(found.states.sites)
        return match(labelled, found.states, sites, where, found.too_long, found.frames(), found.means), found


def settled(settings: Mapping[str, object]) -> Settings:
    """Settings with what was not said. Raises InputError for one that does not exist."""
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError(f"{unknown[0]}: no such setting; one of {', '.join(DEFAULTS)}")
    return {**DEFAULTS, **settings}  # type: ignore[typeddict-item]


def new_folder(out: str | Path) -> Path:
    """A folder that is not there, or empty. Raises InputError."""
    path = Path(out)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: is there already and not empty; give a new folder")
    return path


def extraction_of(given: Settings) -> Extraction:
    """What settings say of the extraction."""
    return Extraction(
        given["gpus"],
        given["precision"],
        given["batch"],
        given["skip_too_long"],
        given["download"],
        given["quiet"],
    )


def source_of(model: str | None, states: str | Path | None, given: Settings) -> Source:
    """Raises InputError unless one of the two is given."""
    if (model is None) == (states is None):
        raise InputError("give --model, which reads the dialogues, or --states, the folder of a run that has")
    if model is None:
        ignored = [name for name in OF_A_MODEL if given.get(name) != DEFAULTS.get(name)]
        if ignored:
            raise InputError(f"{', '.join(ignored)}: of a model that reads; --states are read already")
        return Source(states, None, given["sites"], given["layers"])
    reader = Reader(model, tuple(given["sites"]), given["layers"], extraction_of(given))
    return Source(None, reader, given["sites"], None)


def fitting_of(given: Settings, labels: str = "") -> Fitting:
    """How settings fit a probe. Raises InputError, a line for each, for what cannot be."""
    own = {name: value for name, value in given.items() if name in OF_A_FIT}
    own |= {"sites": tuple(given["sites"]), "strengths": tuple(given["strengths"])}
    found = Fitting(labels=labels).model_copy(update=own)
    wrong = [f"{name}: {problem}" for name, problem in found.mistakes("--")]
    if wrong:
        raise InputError(*wrong)
    return found
