"""Ends an extraction whose states are all stored: their index, and what the record says of them."""

from __future__ import annotations

from ullage.capture.entries import read_entries
from ullage.capture.finite import outcome_of
from ullage.capture.index import FOLDER, write_index
from ullage.runtime.session import Session


def conclude(session: Session) -> None:
    """Writes the index of everything that the journal names."""
    models = {name: role.model for name, role in session.workload.roles.items()}
    index = write_index(session.folder.path / FOLDER, lambda: read_entries(session.journal.work), models)
    session.outcome |= {name: index[name] for name in ("examples", "tokens", "sites")}
    session.outcome |= outcome_of(read_entries(session.journal.work))
