"""The probes that a run has fitted for itself: where the journal says they lie, and what its record tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.fields import Fields
from ullage.records.atomic import sha256_of
from ullage.records.damage import Damage
from ullage.records.journal import Entry
from ullage.records.seal import CHANGED

FITTED: Final = "fitted"
"""The field of an entry with a probe's name; `files` are the SHA-256 of what lies of it, by path."""

STAGE: Final = "fit."
"""What the stages begin with in which dialogues are read; no role has such a name."""
FITS: Final = "fits"
"""Of a record's outcome: the document `probe-fit` of each, by the probe's name."""


def files_of_fit(entries: Iterable[Entry], name: str) -> dict[str, str]:
    """Files of the fitted probe called `name`, by their path in the run's folder; none where it is not fitted
    yet."""
    return next((files for own, files in _fits(entries) if own == name), {})


def fitted_files(entries: Iterable[Entry]) -> dict[str, str]:
    """Files of all fitted probes."""
    return {file: digest for _, files in _fits(entries) for file, digest in files.items()}


def is_of_fit(entry: Entry) -> bool:
    """Whether an entry is of the fitting of a probe: of what was read for it, or of the probe."""
    stage = entry.get("stage")
    return FITTED in entry or (isinstance(stage, str) and stage.startswith(STAGE))


def lines_of_fits(entries: Iterable[Entry]) -> list[str]:
    """The files of lines that were written while probes were fitted."""
    stages = (entry.get("stage") for entry in entries if FITTED not in entry and is_of_fit(entry))
    return [f"{stage}.jsonl" for stage in dict.fromkeys(stages)]


def damaged_fits(folder: Path, entries: Iterable[Entry]) -> list[Damage]:
    """What of the fitted probes is gone or was changed; one that is gone as a whole is fitted again, to the
    states that were read for it."""
    found = []
    for _, files in _fits(entries):
        if not any((folder / name).exists() for name in files):
            continue
        for name, digest in files.items():
            path = folder / name
            if not path.is_file():
                found.append(Damage(str(path), "is missing, though the journal names it"))
            elif sha256_of(path) != digest:
                found.append(Damage(str(path), CHANGED))
    return found


def _fits(entries: Iterable[Entry]) -> Iterator[tuple[str, dict[str, str]]]:
    for entry in entries:
        if FITTED in entry:
            told = Fields(entry, "the journal's entry of a fit")
            files = told.inner("files")
            yield told.text(FITTED), {file: files.text(file) for file in files.values}


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a run's own probe was fitted, and how it did on the dialogues held out: AUROCs, None where there
    are not two of each label.

    `words` are those of a bag of the same words, `shuffled` (mean, least, most) of probes fitted to labels
    that say nothing; `without_roles` of the dialogues without system messages, None where that was not asked
    for. Scores of `threshold` and more are flagged.
    """

    name: str
    method: str
    sites: tuple[str, ...]
    fitted_to: int
    chosen_on: int
    held_out: int
    auroc: float | None
    low: float | None
    high: float | None
    words: float | None
    shuffled: tuple[float, float, float]
    without_roles: float | None
    tried_without: bool
    threshold: float
    calibrated_on: str
    left_out: int

    def __str__(self) -> str:
        def told(value: float | None) -> str:
            return "none" if value is None else f"{value:.3f}"

        mean, least, most = self.shuffled
        bare = f", without system messages {told(self.without_roles)}" if self.tried_without else ""
        lost = f"; {self.left_out:,} too long were left out" if self.left_out else ""
        return (
            f"probes.{self.name}: {self.method} at {', '.join(self.sites)}, fitted to {self.fitted_to:,} "
            f"dialogues; on {self.held_out:,} held out AUROC {told(self.auroc)} ({told(self.low)} to "
            f"{told(self.high)}), words alone {told(self.words)}, shuffled labels {mean:.3f} ({least:.3f} to "
            f"{most:.3f}){bare}{lost}"
        )


def fits_in(outcome: Mapping[str, object]) -> tuple[Fitted, ...]:
    """What a record's outcome says of the probes that its run has fitted. Raises FormatError."""
    if FITS not in outcome:
        return ()
    found = Fields(outcome, "the record's outcome").inner(FITS)
    return tuple(_told(name, found.inner(name)) for name in found.values)


def _told(name: str, document: Fields) -> Fitted:
    test, parts, chance = document.inner("test"), document.inner("parts"), document.inner("shuffled")
    bare = None if document.value("without_roles") is None else document.inner("without_roles")
    flagged = document.inner("flagged")
    return Fitted(
        name,
        document.text("method"),
        tuple(str(site) for site in document.array("sites")),
        parts.whole("fit"),
        parts.whole("choose"),
        parts.whole("test"),
        _maybe(test, "auroc"),
        _maybe(test, "low"),
        _maybe(test, "high"),
        _maybe(document.inner("words"), "auroc"),
        (chance.number("mean"), chance.number("least"), chance.number("most")),
        None if bare is None else _maybe(bare, "auroc"),
        bare is not None,
        flagged.number("threshold"),
        flagged.text("control"),
        document.whole("left_out"),
    )


def _maybe(found: Fields, name: str) -> float | None:
    return None if found.value(name) is None else found.number(name)
