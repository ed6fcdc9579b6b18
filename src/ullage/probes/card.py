"""A probe on disk: `probe.safetensors` and `probe.json`, its card, which vouches for both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast, get_args

from pydantic import Field

from ullage.capture.index import SiteIndex
from ullage.documents import document
from ullage.errors import FormatError, InputError, UnknownNameError
from ullage.fields import Fields
from ullage.probes.probe import FORMS, Aggregation, Form, Probe, Reading, RowsOf, layer_of
from ullage.records.atomic import sha256_of, write_with
from ullage.records.probe_card import CARD, WEIGHTS, read_card
from ullage.records.seal import CHANGED, write_sealed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEEN: Final = ("seen_dialogues", "seen_groups")


@dataclass(frozen=True, slots=True)
class Origin:
    """The states a probe was fitted to: `model` as it was named, `revision` a SHA-256 over the parts of it
    that were read, `precision` it computed in; "" where that is not known."""

    model: str = ""
    revision: str = ""
    precision: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What is said of a probe beside its weights.

    `strength` is lambda, `notes` what the fit was like, `data` the SHA-256 of its labels, `dialogues` how
    many it was fitted to; `metrics` on those held out. Scores of `threshold` and more are flagged: a share
    `rate` of the `control` dialogues. `seen` holds digests of the dialogues it was fitted to and of their
    groups. `source` is the format it came from, "" where it was fitted here.
    """

    method: str
    origin: Origin = field(default_factory=Origin)
    strength: float | None = None
    notes: Mapping[str, float] = field(default_factory=dict)
    data: str = ""
    dialogues: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    rate: float | None = None
    control: str = ""
    seen: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
    source: str = ""

    def other_origin(self, found: Origin) -> list[str]:
        """What states are of other than the probe's own: a line each, and none where either is not known."""
        same = self.origin.revision and self.origin.revision == found.revision
        pairs = (
            ("model", self.origin.model, self.origin.model if same else found.model),
            ("revision of the model", self.origin.revision[:12], found.revision[:12]),
            ("precision", self.origin.precision, found.precision),
        )
        return [
            f"the probe was fitted to another {what} ({was}; these states are of {now}): its scores drift, "
            "and what its threshold means"
            for what, was, now in pairs
            if was and now and was != now
        ]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The file beside the card."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CardDocument:
    """A probe and how it was made."""

    form: Form
    method: str
    model: str
    revision: str
    precision: str
    sites: tuple[str, ...]
    layers: tuple[int | None, ...]
    hidden: int
    rows: RowsOf
    aggregation: Aggregation
    window: int
    skip_first: int
    scaler: bool
    intercept: float
    strength: Annotated[float | None, Field(serialization_alias="lambda")]
    fit: Mapping[str, float]
    data: str
    dialogues: int
    metrics: Mapping[str, float]
    threshold: float | None
    false_positive_rate: float | None
    control: str
    source: str
    weights: WeightsFile


def save_probe(probe: Probe, card: Card, folder: Path) -> dict[str, object]:
    """Writes both files into a folder; the card's document."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"mean": probe.mean, "scale": probe.scale, **probe.tensors}
    named = {name: np.ascontiguousarray(value, np.float64) for name, value in tensors.items()}
    seen = {
        name: np.array(sorted(each), np.int64) for name, each in zip(SEEN, card.seen, strict=True) if each
    }
    write_with(folder / WEIGHTS, lambda path: save_file({**named, **seen}, path))
    reading = probe.reading
    said = CardDocument(
        probe.form,
        card.method,
        card.origin.model,
        card.origin.revision,
        card.origin.precision,
        probe.sites,
        tuple(layer_of(site) for site in probe.sites),
        probe.hidden,
        reading.rows,
        reading.aggregation,
        reading.window,
        reading.skip_first,
        bool((probe.scale != 1).any()),
        probe.intercept,
        card.strength,
        card.notes,
        card.data,
        card.dialogues,
        card.metrics,
        card.threshold,
        card.rate,
        card.control,
        card.source,
        WeightsFile(WEIGHTS, sha256_of(folder / WEIGHTS)),
    )
    found = document("probe", CardDocument, said)
    write_sealed(folder / CARD, found)
    return found


def open_probe(folder: Path | str) -> tuple[Probe, Card]:
    """A probe and its card, held against the hashes of both files.

    Raises InputError where there is none, FormatError where either file was changed.
    """
    path = Path(folder)
    found = read_card(path)
    tensors = _tensors(path / WEIGHTS, found.inner("weights").text("sha256"))
    seen = tuple(frozenset(tensors.pop(name).tolist()) if name in tensors else frozenset() for name in SEEN)
    probe = Probe(
        cast("Form", _one_of(found, "form", FORMS)),
        tuple(str(site) for site in found.array("sites")),
        found.whole("hidden"),
        tensors.pop("mean"),
        tensors.pop("scale"),
        tensors,
        found.number("intercept"),
        Reading(
            cast("RowsOf", _one_of(found, "rows", get_args(RowsOf))),
            cast("Aggregation", _one_of(found, "aggregation", get_args(Aggregation))),
            found.whole("window"),
            found.whole("skip_first"),
        ),
    )
    return probe, _card(found, cast("tuple[frozenset[int], frozenset[int]]", seen))


def _card(found: Fields, seen: tuple[frozenset[int], frozenset[int]]) -> Card:
    def maybe(name: str) -> float | None:
        return None if found.value(name) is None else found.number(name)

    return Card(
        found.text("method"),
        Origin(found.text("model"), found.text("revision"), found.text("precision")),
        maybe("lambda"),
        found.inner("fit").numbers(),
        found.text("data"),
        found.whole("dialogues"),
        found.inner("metrics").numbers(),
        maybe("threshold"),
        maybe("false_positive_rate"),
        found.text("control"),
        seen,
        found.text("source"),
    )


def _one_of(found: Fields, name: str, known: Iterable[str]) -> str:
    value = found.text(name)
    if value not in known:
        raise FormatError(f"{found.where}: {name} is {value!r}, not one of {', '.join(known)}")
    return value


def _tensors(path: Path, sha256: str) -> dict[str, NDArray[np.float64]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise FormatError(f"{path}: is missing")
    if sha256_of(path) != sha256:
        raise FormatError(f"{path}: {CHANGED}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path}: not safetensors: {error}") from error


def check_sites(probe: Probe, sites: Mapping[str, SiteIndex], where: str) -> None:
    """Raises InputError unless the states `where` have every site of the probe, as wide as it reads them."""
    for site in probe.sites:
        if site not in sites:
            hint = f"the probe reads it, and {where} has {', '.join(sites) or 'none'}"
            raise UnknownNameError("site", site, sites, hint)
        width = sites[site]["width"]
        if width != [probe.hidden]:
            raise InputError(
                f"{where}: {site} has hidden size {'x'.join(map(str, width))}, and the probe reads "
                f"{probe.hidden:,}: it is of another model"
            )


def digest(text: str) -> int:
    """A number of 63 bits that stands for a text, so that it is known again."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
