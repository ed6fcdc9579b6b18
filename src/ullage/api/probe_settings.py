"""What fits of probes may be told, and where their states come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from ullage.api.probe_states import Extraction, Read, Reader, chosen_sites, stored
from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.probes.dialogues import Dialogues
    from ullage.probes.fitting import Sweep
    from ullage.probes.labels import Labelled

RESIDUAL: Final = ("blocks.*.hook_resid_post",)


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


DEFAULTS: Final[Settings] = {
    "sites": RESIDUAL,
    "layers": None,
    "joined": False,
    "method": "logistic",
    "rows": "tokens",
    "aggregation": "mean",
    "window": 5,
    "skip_first": 0,
    "strengths": (10.0,),
    "intercept": True,
    "control": None,
    "rate": 0.01,
    "shuffles": 10,
    "seed": 0,
    "epochs": 40,
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


def sweep_of(given: Settings, sites: Sequence[str] = ()) -> Sweep:
    """The fits that settings ask for at some sites. Raises InputError, a line for each, for what cannot
    be."""
    from ullage.probes.fitting import Sweep
    from ullage.probes.methods import METHODS, STRENGTHENED, Way
    from ullage.probes.probe import Reading

    method, rows = given["method"], given["rows"]
    wrong = []
    if method not in METHODS:
        wrong.append(f"method: {method!r} is none of {', '.join(METHODS)}")
    if method == "lat" and rows == "tokens":
        wrong.append("method: lat compares one row of each dialogue; give --rows mean or last")
    if method == "attention" and rows != "tokens":
        wrong.append("method: attention weighs tokens; leave out --rows")
    if method == "attention" and given["aggregation"] != DEFAULTS["aggregation"]:
        wrong.append("method: attention weighs tokens itself; leave out --aggregation")
    if method not in STRENGTHENED and tuple(given["strengths"]) != tuple(DEFAULTS["strengths"]):
        wrong.append(f"method: {method} has no lambda; leave out --lambda")
    if method != "logistic" and not given["intercept"]:
        wrong.append(f"method: {method}: --no-intercept is of logistic")
    wrong += [f"lambda: {each} is not above 0" for each in given["strengths"] if not each > 0]
    if not 0 <= given["rate"] <= 1:
        wrong.append(f"rate: {given['rate']} is no share between 0 and 1")
    wrong += [
        f"{name}: {value} is not {least} or more"
        for name, value, least in (
            ("window", given["window"], 1),
            ("skip_first", given["skip_first"], 0),
            ("shuffles", given["shuffles"], 1),
            ("epochs", given["epochs"], 1),
        )
        if value < least
    ]
    if wrong:
        raise InputError(*wrong)
    aggregation = "attention" if method == "attention" else given["aggregation"]
    reading = Reading(rows, aggregation, given["window"], given["skip_first"])
    return Sweep(
        (tuple(sites),) if given["joined"] else tuple((site,) for site in sites),
        tuple(given["strengths"]),
        Way(method, reading, given["intercept"], given["seed"], given["epochs"]),
        rate=given["rate"],
        shuffles=given["shuffles"],
        seed=given["seed"],
    )
