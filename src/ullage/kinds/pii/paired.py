"""Two verifications of one file, candidate by candidate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ullage.kinds.pii.summary import Paired
from ullage.kinds.pii.verified import VerifiedCandidate, VerifiedRecord, read_verified
from ullage.measures.proportions import mcnemar

Key = tuple[str, int | None, int | None, int]


def paired(first: Path, other: Path) -> Paired:
    """How the verdicts of two runs differ; McNemar's exact test of the labelled candidates that both have.

    A failed candidate is not right. What stands in one run alone is counted by itself.
    """
    both = unpaired = differing = only_first = only_other = labelled = 0
    for one, two in _beside(first, other):
        ours, theirs = _by_place(one), _by_place(two)
        unpaired += len(ours.keys() ^ theirs.keys())
        for key in ours.keys() & theirs.keys():
            a, b = ours[key], theirs[key]
            both += 1
            differing += a.verdict != b.verdict
            if a.gold is not None:
                labelled += 1
                only_first += _right(a) and not _right(b)
                only_other += _right(b) and not _right(a)
    return {
        "candidates": both,
        "unpaired": unpaired,
        "other_verdicts": differing,
        "only_first_right": only_first,
        "only_this_right": only_other,
        "p_value": mcnemar(only_first, only_other) if labelled else None,
    }


def _beside(first: Path, other: Path) -> Iterator[tuple[VerifiedRecord | None, VerifiedRecord | None]]:
    """Records of the same line; None beside one that the other run lacks. Both are in the input's order."""
    ours, theirs = read_verified(first), read_verified(other)
    one, two = next(ours, None), next(theirs, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one.line < two.line):
            yield one, None
            one = next(ours, None)
        elif one is None or two.line < one.line:
            yield None, two
            two = next(theirs, None)
        else:
            yield one, two
            one, two = next(ours, None), next(theirs, None)


def _by_place(row: VerifiedRecord | None) -> dict[Key, VerifiedCandidate]:
    found: dict[Key, VerifiedCandidate] = {}
    for one in row.candidates if row is not None else ():
        same = sum(key[:3] == (one.type, one.start, one.end) for key in found) if one.start is None else 0
        found[one.type, one.start, one.end, same] = one
    return found


def _right(one: VerifiedCandidate) -> bool:
    return one.verdict != "failed" and (one.verdict == "verified") == one.gold
