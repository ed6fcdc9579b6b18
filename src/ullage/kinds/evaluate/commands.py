"""`ullage judge` and `ullage resample`."""

from __future__ import annotations

from typing import Annotated

import typer

from ullage.reports.terminal import Base, Download, Json, Quiet, Sets, Where, exit_if_too_many_failed, tell


def judge(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished evaluation.")],
    role: Annotated[
        list[str] | None, typer.Option(help="As judge.model=...; judge_b.model=... adds a judge.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/evaluate-N.")] = None,
    gpus: Where = None,
    set_: Sets = None,
    base: Base = None,
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from ullage.kinds.evaluate import verbs
    from ullage.reports.run_page import run_document, run_page

    overrides = [*(set_ or ()), *verbs.of_judges(role or ())]
    target, record = verbs.judge(folder, out, overrides, gpus, base=base, download=download, quiet=quiet)
    tell(json, lambda: run_document(target, record), lambda: run_page(target, record))
    exit_if_too_many_failed(record)


def resample(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished evaluation.")],
    samples: Annotated[int, typer.Option(help="How many each question is to have.")],
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/evaluate-N.")] = None,
    gpus: Where = None,
    base: Base = None,
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from ullage.kinds.evaluate import verbs
    from ullage.reports.run_page import run_document, run_page

    target, record = verbs.resample(folder, samples, out, gpus, base=base, download=download, quiet=quiet)
    tell(json, lambda: run_document(target, record), lambda: run_page(target, record))
    exit_if_too_many_failed(record)


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished evaluation.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another of the same questions.")],
    base: Base = None,
    json: Json = False,
) -> None:
    from ullage.kinds.evaluate import verbs
    from ullage.kinds.evaluate.paired_page import paired_document, paired_page

    found = verbs.compare(first, second, base=base)
    tell(json, lambda: paired_document(found), lambda: paired_page(found))
