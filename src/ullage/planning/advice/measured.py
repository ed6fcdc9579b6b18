"""What fewer bits cost on a user's own data, as `ullage probe drift` and `ullage pii compare` measured it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ullage.errors import FormatError
from ullage.fields import Fields

DOCUMENTS: Final = ("probe-drift", "pii-comparison")


class Measured(NamedTuple):
    """A loss of a role's answers, and what was measured."""

    loss: float
    said: str


Losses = Mapping[tuple[str, str], Measured]
"""By model, without its commit, and precision."""
NONE_MEASURED: Final[Losses] = {}


def read_losses(documents: Iterable[tuple[str, Mapping[str, object]]]) -> Losses:
    """Of documents that the two commands print with `--json`, each with its file's name; of two measurements
    of the same the larger loss.

    Of a probe it is 1 less the correlation of its scores with those of the first precision, of a verification
    the share of verdicts that are others than those of the first run. Raises FormatError for anything else.
    """
    found: dict[tuple[str, str], Measured] = {}
    for where, document in documents:
        kind = document.get("document")
        if kind not in DOCUMENTS:
            raise FormatError(
                f"{where}: measures no loss of quality; give what `ullage probe drift --json` or `ullage pii "
                "compare --json` wrote"
            )
        rows = _of_probe if kind == "probe-drift" else _of_verifications
        for model, precision, measured in rows(Fields(document, where)):
            key = model.partition("@")[0], precision
            found[key] = max(found.get(key, measured), measured)
    return found


def _of_probe(given: Fields) -> Iterator[tuple[str, str, Measured]]:
    for row in given.each("rows"):
        loss = max(1 - row.number("correlation"), 0.0)
        yield given.text("model"), row.text("precision"), Measured(loss, f"scores move: {given.where}")


def _of_verifications(given: Fields) -> Iterator[tuple[str, str, Measured]]:
    for row in given.each("runs"):
        if row.values.get("beside_first") is None:
            continue
        both = row.inner("beside_first")
        loss = both.number("other_verdicts") / max(both.number("candidates"), 1)
        said = f"{loss:.1%} of verdicts change: {given.where}"
        yield row.text("model"), row.text("weights"), Measured(loss, said)
