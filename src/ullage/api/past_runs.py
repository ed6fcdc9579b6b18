"""What past runs on this machine left for later plans: looked at, cleared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.records.evidence import Evidence


def evidence() -> Evidence:
    """The observations in the data home ($ULLAGE_HOME), and what there was set aside."""
    from ullage.records.evidence_file import read_evidence

    return read_evidence()


def clear_evidence() -> Evidence:
    """Removes the evidence of past runs; what was removed. Raises InputError where it cannot be."""
    from ullage.records.evidence_file import clear_evidence as clear
    from ullage.records.evidence_place import evidence_file

    try:
        return clear()
    except OSError as error:
        raise InputError(f"{evidence_file()}: cannot be removed: {error.strerror or error}") from error
