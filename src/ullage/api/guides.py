"""Requirements guides: written, and held against what is committed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.reports.guide.guide_file import GuideChange


def guide(
    files: Sequence[str | Path],
    out: str | Path | None = None,
    set_: Sequence[str] = (),
    *,
    json: bool = False,
) -> str:
    """The requirements guide of workload files, Markdown, or HTML or JSON where `out` is called so (and JSON
    with `json`); written there if it is given. What a person wrote between markers of a guide that is there
    stays.

    The same files and versions give the same bytes. Raises SpecError and InputError.
    """
    from ullage.files import check_ordinary

    if json and out is not None:
        raise InputError(f"{out}: a guide is JSON where the file's name ends in .json: leave --json")
    path = None if out is None else Path(out)
    if path is not None:
        check_ordinary(path)
    text = _made(files, path, set_, json)
    if path is not None:
        from ullage.records.atomic import write_text

        try:
            write_text(Path(os.path.realpath(path)), text, unique=True)  # a link stays one
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    return text


def check_guide(
    files: Sequence[str | Path], out: str | Path, set_: Sequence[str] = ()
) -> tuple[GuideChange, ...]:
    """Where a committed guide is not what its workload files come to now, own words aside.

    Raises InputError where it cannot be read.
    """
    from ullage.reports.guide.guide_file import changes, read_guide

    path = Path(out)
    return tuple(changes(read_guide(path), _made(files, path, set_)))


def _made(files: Sequence[str | Path], path: Path | None, set_: Sequence[str], json: bool = False) -> str:
    from ullage.reports.guide.guide_file import (
        as_text,
        check_has_no_markers,
        check_is_guide,
        own_words,
        read_guide,
        with_words,
    )
    from ullage.reports.guide.guide_page import guide_page
    from ullage.workloads.guided import guide_of

    if not files:
        raise InputError("a guide is of one workload file or several; name them")
    stems = [Path(each).stem for each in files]
    if len(set(stems)) < len(stems):
        raise InputError("files of a guide have different names, by which a person's words in it are kept")
    words: dict[str, str] = {}
    if path is not None and path.exists():
        held = read_guide(path)
        words = own_words(held, str(path))
        check_is_guide(held, str(path))
    guides = [guide_of(Path(each), set_) for each in files]
    for each, made in zip(files, guides, strict=True):
        check_has_no_markers(made.text, str(each))
    page = guide_page(guides)
    return as_text(with_words(page, words), path, json)
