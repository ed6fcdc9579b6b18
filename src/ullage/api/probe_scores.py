"""Probes over finished texts: one pass, of which the scores alone are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.api.probe_settings import Settings, extraction_of, settled
from ullage.api.probe_states import Reader
from ullage.documents import document
from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.fields import Fields
    from ullage.probes.documents import AppliedProbe
    from ullage.probes.labels import Labelled


def apply_probes(
    probes: Iterable[str | Path],
    texts: str | Path,
    model: str,
    out: str | Path,
    **settings: Unpack[Settings],
) -> dict[str, object]:
    """Has `model` read finished texts or dialogues once, and writes a line of scores for each into the new
    file `out`; the document `probe-scores`.

    Texts are JSON lines as for `fit_probe`, whose labels may be missing; one in which nothing was said, as an
    answer may be, has a line without tokens or scores. What is planned and run lies beside
    `out` in a folder of its name with `.run`: the same call goes on there where it was cut short, and `out`
    is there whole or not at all. Of the settings those of the extraction count.
    """
    from ullage.probes.documents import ScoresDocument
    from ullage.probes.labels import read_labels
    from ullage.records.folder import RunFolder
    from ullage.records.lines import read_lines
    from ullage.workloads.probed import probes_in

    given, path = settled(settings), _new_file(Path(out))
    named = {name: probe.path for name, probe in probes_in(list(probes)).items()}
    if not named:
        raise InputError("give the folder of a probe, or several")
    labelled = read_labels(texts, unlabelled=True, silent=True)
    said = [one for one in labelled if not one.silent]
    if not said:
        raise InputError(f"{texts}: every text is empty; there is nothing to read")
    reader = Reader(model, (), how=extraction_of(given))
    run, too_long = reader.score(said, named, path.with_name(f"{path.stem}.run"), str(texts))
    tally = Tally(named)
    kept = [one for one in labelled if one.id not in too_long]
    _write_lines(path, tally.counted(in_order(read_lines(run / "scores.jsonl")), kept))
    found = ScoresDocument(
        str(texts),
        model,
        str(path),
        str(run),
        tally.dialogues,
        tally.tokens,
        len(labelled) - len(said),
        len(too_long),
        tuple(tally.rows(RunFolder(run).record().outcome)),
    )
    return document("probe-scores", ScoresDocument, found)


def _new_file(path: Path) -> Path:
    if path.exists() or not path.parent.is_dir():
        why = "is there already; name a new file" if path.exists() else f"there is no folder {path.parent}"
        raise InputError(f"{path}: {why}")
    return path


def _write_lines(path: Path, lines: Iterable[Mapping[str, object]]) -> None:
    """All of them or none."""
    from ullage.records.atomic import write_with

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    write_with(path, write, unique=True)


class Tally:
    """Counts of what is written: dialogues, their tokens, and of each probe those flagged and unscored, as
    their states are no numbers."""

    def __init__(self, probes: Mapping[str, str]) -> None:
        self.dialogues = self.tokens = 0
        self._probes = probes
        self._flagged = dict.fromkeys(probes, 0)
        self._unscored = dict.fromkeys(probes, 0)

    def counted(self, rows: Iterator[Fields], kept: list[Labelled]) -> Iterator[dict[str, object]]:
        """The lines of a run as they are written, each with its label; `rows` are of all that is not
        silent."""
        for one in kept:
            label = None if one.label is None else int(one.label)
            self.dialogues += 1
            if one.silent:
                yield {"id": one.id, "label": label, "tokens": []} | self._none()
                continue
            row = next(rows)
            tokens = row.array("tokens")
            scores, whole, flagged = (row.inner(name).values for name in ("scores", "score", "flagged"))
            self.tokens += len(tokens)
            for name in self._probes:
                self._flagged[name] += flagged[name] is True
                self._unscored[name] += whole[name] is None
            line: dict[str, object] = {"id": one.id, "label": label, "tokens": list(tokens)}
            yield line | {"scores": scores, "score": whole, "flagged": flagged}

    def _none(self) -> dict[str, object]:
        nothing = dict.fromkeys(self._probes)
        return {"scores": {name: [] for name in self._probes}, "score": nothing, "flagged": nothing}

    def rows(self, outcome: Mapping[str, object]) -> Iterator[AppliedProbe]:
        """What is told of each probe, beside what the run says of its card."""
        from ullage.fields import Fields
        from ullage.probes.documents import AppliedProbe

        cards = Fields(outcome, "the run's record").inner("probes")
        for name, path in self._probes.items():
            card = cards.inner(name)
            threshold, rate = (
                None if card.value(each) is None else card.number(each)
                for each in ("threshold", "false_positive_rate")
            )
            yield AppliedProbe(
                path,
                name,
                threshold,
                rate,
                card.text("control"),
                None if threshold is None else self._flagged[name],
                self._unscored[name],
                tuple(map(str, card.array("other"))),
            )


def in_order(rows: Iterable[Mapping[str, object]]) -> Iterator[Fields]:
    """Rows by their index, of which those that come before their turn wait: a window of a run at most."""
    from ullage.fields import Fields

    waiting: dict[int, Fields] = {}
    turn = 0
    for row in rows:
        fields = Fields(row, "scores.jsonl")
        waiting[fields.whole("index")] = fields
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1
    yield from (waiting[index] for index in sorted(waiting))
