"""From labelled dialogues with states to a probe: a sweep, a choice, a test, and what chance and words would
do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ullage.probes.baseline import words_scores
from ullage.probes.dialogues import Dialogues
from ullage.probes.evaluation import (
    RATE,
    Flagged,
    Told,
    auroc,
    calibrated,
    dialogue_scores,
    evaluate,
    flagged,
    token_scores,
    told_apart,
)
from ullage.probes.logistic import Task
from ullage.probes.methods import Trained, Way, train
from ullage.probes.parts import parted, shuffled
from ullage.probes.probe import Probe
from ullage.probes.rows import Group
from ullage.spec.fitting import SHARES, STRENGTHENED, STRENGTHS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.probes.probe import Floats

    Bools = NDArray[np.bool_]

SHUFFLES: Final = 10


@dataclass(frozen=True, slots=True)
class Sweep:
    """Every group of sites with every lambda, one of which is chosen. `rate` is what the threshold may flag
    of ordinary dialogues."""

    groups: tuple[Group, ...]
    strengths: tuple[float, ...] = STRENGTHS
    way: Way = field(default_factory=Way)
    shares: tuple[float, ...] = SHARES
    rate: float = RATE
    shuffles: int = SHUFFLES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Swept:
    """One fit of a sweep: how it did where the choice is made."""

    sites: Group
    strength: float
    auroc: float
    notes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fit:
    """The chosen probe, and what was found: `parts` counts dialogues, `told` and `flagged` are of those held
    out to test, `shuffled` are AUROCs there of probes fitted to labels that say nothing, `words` those of a
    bag of words; `transfer` the AUROC on each set of a probe fitted to each."""

    probe: Probe
    strength: float
    notes: Mapping[str, float]
    parts: tuple[Bools, ...] = field(repr=False)
    swept: tuple[Swept, ...]
    told: Told
    flagged: Flagged
    shuffled: tuple[float, ...]
    words: Told
    transfer: Mapping[str, Mapping[str, float | None]]


def fit_probe(dialogues: Dialogues, sweep: Sweep, control: Dialogues | None = None) -> Fit:
    """Fits on one part of the groups, chooses on another, tests on a third.

    The threshold is calibrated on `control`, ordinary dialogues, or else on label 0 of the part it was chosen
    on. Raises InputError where a part lacks a label.
    """
    import numpy as np

    parts = parted(dialogues.labelled, sweep.shares, sweep.seed)
    fitted, chosen, tested = parts
    strengths = sweep.strengths if sweep.way.method in STRENGTHENED else (0.0,)
    tasks = [Task(group, each, dialogues.labels) for group in sweep.groups for each in strengths]
    trained = _trained(dialogues, sweep, tasks, parts)
    swept, best = _choose(dialogues, chosen, tasks, trained)
    probe = trained[best].probe
    told, values = evaluate(probe, dialogues, tested)
    threshold, what = _threshold(probe, dialogues, chosen, control, sweep.rate)
    chance = _shuffled(dialogues, sweep, tasks[best], parts)
    words = words_scores(dialogues.token_ids, dialogues.labels, fitted)
    return Fit(
        probe,
        tasks[best].strength,
        trained[best].notes,
        parts,
        tuple(swept),
        told,
        flagged(dialogues.labels[tested], values[tested], threshold, sweep.rate, what),
        tuple(float(each) for each in chance if each is not None and np.isfinite(each)),
        _words_told(dialogues.labels[tested], None if words is None else words[tested]),
        _transfer(dialogues, sweep, tasks[best], parts),
    )


def _words_told(labels: Bools, scores: Floats | None) -> Told:
    if scores is not None:
        return told_apart(labels, scores)
    why = "the states do not say of which tokens they are"
    return Told(len(labels), int(labels.sum()), None, None, None, reason=why)


def _trained(
    dialogues: Dialogues, sweep: Sweep, tasks: Sequence[Task], parts: Sequence[Bools]
) -> list[Trained]:
    rows = dialogues.rows(sweep.way.reading)
    way = replace(sweep.way, held_back=rows.of(parts[1]), pair=dialogues.pairs)
    return train(rows.of(parts[0]), tasks, way)


def _choose(
    dialogues: Dialogues, chosen: Bools, tasks: Sequence[Task], trained: Sequence[Trained]
) -> tuple[list[Swept], int]:
    """Every fit's AUROC on the part to choose on, and which is best: of equal ones that whose tokens are told
    apart best, and then that whose labels lie farthest apart, in standard deviations."""
    rows = dialogues.rows(trained[0].probe.reading).of(chosen)
    probes = [each.probe for each in trained]
    values = dialogue_scores(rows, probes, len(dialogues))
    whose, of_rows = token_scores(rows, probes)
    labels, row_labels = dialogues.labels[chosen], dialogues.labels[whose]
    found, keys = [], []
    for task, each, value, row in zip(tasks, trained, values, of_rows, strict=True):
        score = auroc(labels, value[chosen])
        assert score is not None  # both labels are in every part
        found.append(Swept(task.sites, task.strength, score, each.notes))
        keys.append((score, auroc(row_labels, row) or 0.0, _apart(labels, value[chosen])))
    return found, max(range(len(keys)), key=keys.__getitem__)


def _apart(labels: Bools, values: Floats) -> float:
    one, zero = values[labels], values[~labels]
    spread = ((one.var() + zero.var()) / 2) ** 0.5
    return float((one.mean() - zero.mean()) / spread) if spread else 0.0


def _threshold(
    probe: Probe, dialogues: Dialogues, chosen: Bools, control: Dialogues | None, rate: float
) -> tuple[float, str]:
    source, what = (dialogues, "dialogues of label 0") if control is None else (control, "control dialogues")
    some = chosen & ~dialogues.labels if control is None else control.labels | True
    (values,) = dialogue_scores(source.rows(probe.reading).of(some), [probe], len(source))
    return calibrated(values[some], what, rate)


def _shuffled(dialogues: Dialogues, sweep: Sweep, task: Task, parts: Sequence[Bools]) -> list[float | None]:
    """AUROCs on the part to test of probes fitted to labels that say nothing: all in shared passes."""
    drawn = shuffled(dialogues.labels, parts[0] | parts[1], sweep.shuffles, sweep.seed)
    trained = _trained(dialogues, sweep, [replace(task, labels=each) for each in drawn], parts)
    rows = dialogues.rows(sweep.way.reading).of(parts[2])
    values = dialogue_scores(rows, [each.probe for each in trained], len(dialogues))
    return [auroc(dialogues.labels[parts[2]], value[parts[2]]) for value in values]


def _transfer(
    dialogues: Dialogues, sweep: Sweep, task: Task, parts: Sequence[Bools]
) -> dict[str, dict[str, float | None]]:
    """Fitted to one set, or all, tested on each: AUROC on groups held out; None where a set lacks a label.

    What the choice was made on is fitted to as well, but by networks, which stop by it.
    """
    import numpy as np

    if sweep.way.method not in ("mlp", "attention"):
        parts = (parts[0] | parts[1], *parts[1:])
    sets = np.array([one.set for one in dialogues.labelled])
    names = sorted(set(sets.tolist()))
    found: dict[str, dict[str, float | None]] = {}
    for name in names if len(names) > 1 else ():
        mine = sets == name
        if any(len(set(dialogues.labels[part & mine].tolist())) < 2 for part in parts[:2]):
            continue
        (each,) = _trained(dialogues, sweep, [task], [part & mine for part in parts])
        found[name] = _by_set(dialogues, each.probe, sets, parts[2])
    if found:
        (each,) = _trained(dialogues, sweep, [task], parts)
        found["all"] = _by_set(dialogues, each.probe, sets, parts[2])
    return found


def _by_set(
    dialogues: Dialogues, probe: Probe, sets: NDArray[np.str_], tested: Bools
) -> dict[str, float | None]:
    (values,) = dialogue_scores(dialogues.rows(probe.reading).of(tested), [probe], len(dialogues))
    return {
        str(name): auroc(dialogues.labels[tested & (sets == name)], values[tested & (sets == name)])
        for name in sorted(set(sets.tolist()))
    }
