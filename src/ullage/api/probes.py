"""Probes from labelled dialogues: fitted, evaluated, brought from elsewhere, taken elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.api.probe_settings import DEFAULTS, Settings, fitting_of, new_folder, settled, source_of
from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.probes.probe import Probe


def fit_probe(
    labels: str | Path,
    out: str | Path,
    *,
    model: str | None = None,
    states: str | Path | None = None,
    **settings: Unpack[Settings],
) -> dict[str, object]:
    """Fits a probe to labelled dialogues and saves it in `out`; the document `probe-fit`.

    Their states are those in the folder `states`, or `model` reads them: `out`/workload.json is planned and
    run. Groups are parted whole: to fit, to choose site and lambda, to test. Raises InputError, a line for
    each mistake, for labels that are missing or of one class, spans without tokens and dialogues too long,
    before any model is loaded.
    """
    from ullage.probes.labels import read_labels
    from ullage.probes.made import make_probe

    given = settled(settings)
    folder = new_folder(out)
    fitting = fitting_of(given, str(labels))
    labelled = read_labels(labels)
    source = source_of(model, states, given)
    dialogues, read = source.read(labelled, folder, str(labels))
    control = None
    if fitting.control is not None:
        ordinary = read_labels(fitting.control, unlabelled=True)
        control, _ = source.read(ordinary, folder / "control", fitting.control)
    document = make_probe(dialogues, fitting, read.origin, Path(labels), control=control).save(
        folder, str(folder), len(read.too_long)
    )
    return document


def evaluate_probe(
    probes: Sequence[str | Path],
    labels: str | Path,
    *,
    model: str | None = None,
    states: str | Path | None = None,
    out: str | Path | None = None,
    tokens: str | Path | None = None,
    unseen: bool = False,
    without_roles: bool = False,
    **settings: Unpack[Settings],
) -> dict[str, object]:
    """How saved probes do on labelled dialogues they were not fitted to; the document `probe-evaluation`.

    States as in `fit_probe`; a `model` reads into the new folder `out`. `unseen` leaves out what a probe was
    fitted to, which is refused otherwise; `without_roles` evaluates a second time with system messages taken
    out of what is read; `tokens` names a file for the scores of every token. Of the settings those of the
    extraction count, `control`, `rate` and `layers`.
    """
    from ullage.api.probe_evaluation import Evaluation
    from ullage.probes.card import open_probe
    from ullage.probes.labels import read_labels

    given = settled(settings)
    opened = [(str(path), *open_probe(path)) for path in probes]
    if not opened:
        raise InputError("give the folder of a probe, or several")
    given["sites"] = tuple(dict.fromkeys(site for _, probe, _ in opened for site in probe.sites))
    folder = Path() if model is None else new_folder(out if out is not None else "probe-evaluation")
    labelled = read_labels(labels)
    if without_roles and (model is None or not labelled[0].messages):
        raise InputError(
            "--without-roles: takes a --model, and labels of messages, to read them again without"
        )
    if out is not None and model is None:
        raise InputError("out: is for what a --model reads; --states are read already")
    if given["control"] is None and given["rate"] != DEFAULTS["rate"]:
        raise InputError("rate: is of --control; the threshold of a probe's card has a rate of its own")
    scored = None if tokens is None else Path(tokens)
    if scored is not None and not scored.parent.is_dir():
        raise InputError(f"{scored}: there is no folder {scored.parent}")
    made = Evaluation(tuple(opened), source_of(model, states, given), folder, unseen, given["rate"], scored)
    return made.document(labelled, str(labels), given["control"], without_roles)


def import_probe(
    file: str | Path,
    out: str | Path,
    *,
    site: str | None = None,
    model: str = "",
    allow_pickle: bool = False,
) -> dict[str, object]:
    """Converts somebody else's probe, or activations, into Ullage's own form in `out`; the document written.

    `site` is what the probe reads, `{l}` standing for the layer its file names (default: the residual stream
    after that layer). A plain pickle is read only where `allow_pickle` says so, and then rebuilds tensors and
    arrays and nothing else. Raises FormatError for what is none of the known formats.
    """
    from ullage.probes.importing import import_file

    return import_file(Path(file), new_folder(out), site or "blocks.{l}.hook_resid_post", model, allow_pickle)


def open_probe(folder: str | Path) -> Probe:
    """A saved probe, held against its card's hashes: `tokens` scores states (rows, width), `dialogues` whole
    ones.

    Raises InputError where there is none, FormatError where it was changed.
    """
    from ullage.probes.card import open_probe as opened

    return opened(folder)[0]


def export_probe(probe: str | Path, out: str | Path) -> list[Path]:
    """Writes a linear probe's weights as plain arrays that scikit-learn's and others' users read; the
    files."""
    from ullage.probes.card import open_probe
    from ullage.probes.exporting import export

    return export(*open_probe(probe), new_folder(out))
