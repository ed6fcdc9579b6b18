"""Whether a run's folder still is what was written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.capture.index import FOLDER as STATES
from ullage.capture.keeping import damaged_states
from ullage.capture.stored import damaged_index
from ullage.errors import FormatError
from ullage.records.damage import Damage, as_damage, refuse
from ullage.records.fits import damaged_fits, fitted_files
from ullage.records.folder import JOURNAL, MANIFEST, RunFolder
from ullage.records.inventory import damaged_files
from ullage.records.journal import Entry, scan
from ullage.records.kept_lines import damaged_lines, kept_lines
from ullage.records.notes import damaged_notes
from ullage.records.record import Record

LOST: Final = "nothing else says what the run is of: restore it from a copy, or start a new run"


def damage_of(run: RunFolder, *, states: bool = True) -> list[Damage]:
    """Everything in a run's folder that is not what was written; without `states` those are not read.

    Raises FormatError where the folder holds no run.
    """
    if not run.started:
        run.manifest()  # says what is wrong with the folder
    found: list[Damage] = []
    for read in (run.manifest, run.record) if run.complete else (run.manifest,):
        try:
            read()
        except FormatError as error:
            found.append(as_damage(error))
    journal = scan(run.path / JOURNAL)
    entries = journal.entries
    found += [journal.damage] if journal.damage is not None else []
    found += damaged_lines(run.path, entries)
    found += damaged_fits(run.path, entries)
    if states:
        found += damaged_states(run.path / STATES, entries, growing=not run.complete)
    found += damaged_notes(run.path)
    if run.complete:
        found += _damaged_ending(
            run, entries, {damage.where.rpartition(":")[0] or damage.where for damage in found}
        )
    return found


def require_whole(run: RunFolder, *, states: bool = True, pages: bool = True) -> None:
    """Raises FormatError, one line that names file and line, unless a run's folder is what was written.

    Without `pages`, what a report writes anew may be damaged.
    """
    found = [damage for damage in damage_of(run, states=states) if pages or not damage.page]
    what_to_do = f"`ullage check {run.path} --repair` keeps what is whole"
    if any(damage.where == str(run.path / MANIFEST) for damage in found):
        what_to_do = LOST
    elif found and all(damage.page for damage in found):
        what_to_do = f"`ullage report {run.path}` writes it anew"
    refuse(found, what_to_do)


def finished(run: RunFolder, *, states: bool = True, pages: bool = True) -> Record:
    """The record of a finished run whose folder is what was written, as `require_whole` says. Raises
    FormatError."""
    if run.complete:
        require_whole(run, states=states, pages=pages)
    return run.record()


def _damaged_ending(run: RunFolder, entries: Iterable[Entry], known: set[str]) -> list[Damage]:
    """What of a finished run's inventory, and of its index of states, is not what was written."""
    try:
        held = run.inventory()
    except FormatError:
        return []  # that of the record is known
    kept = {**kept_lines(entries), **fitted_files(entries)}
    found = [one for one in damaged_files(run.path, held, kept) if one.where not in known]
    if (run.path / STATES).is_dir() and any(each.name.startswith(f"{STATES}/") for each in held):
        found += [
            one for one in damaged_index(run.path / STATES) if one.where not in {d.where for d in found}
        ]
    return found
