"""Ends a verification whose rows are all on disk: what its record says of them."""

from __future__ import annotations

from typing import Final

from ullage.kinds.pii.failing import FAILED, failing_outcome
from ullage.kinds.pii.section import Section
from ullage.records.lines import LineStore
from ullage.runtime.session import Session

FILES: Final = ("verified", FAILED, "rejects")


def conclude(session: Session, store: LineStore, section: Section, piped: bool) -> None:
    """Counts what the journal names; an input that was `piped` cannot be asked about again."""
    session.examples = sum(store.told("records"))
    session.tokens = sum(store.told("tokens"))
    candidates = sum(store.told("candidates"))
    session.outcome |= failing_outcome(session.folder.path, candidates, section.max_failed, piped)
