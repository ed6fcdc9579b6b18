"""What a run leaves once its games are played: two tables, a summary and a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from ullage.kinds.werewolf.found import find, probes_of
from ullage.kinds.werewolf.judged import counted, judged_in
from ullage.kinds.werewolf.page import page_of
from ullage.kinds.werewolf.rows import GAMES, TURNS, TurnRow, games_in, turns_in
from ullage.kinds.werewolf.section import Section
from ullage.kinds.werewolf.tables import write_games, write_turns
from ullage.phases.blocks import own_section
from ullage.records.atomic import write_json, write_text
from ullage.records.fits import fits_in
from ullage.records.folder import RunFolder
from ullage.records.record import Record
from ullage.reports.pages.html import html
from ullage.spec.workload import Workload

SUMMARY: Final = "results.json"
PAGE: Final = "report.html"
BY_JUDGE: Final = ", says the judge"


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's tables, summary and page; their paths. Raises FormatError for rows that were changed."""
    section = own_section(workload, Section)
    games = list(games_in(run.path))
    # Prompts are by far the most of it, and nothing is found from them.
    turns = [replace(turn, prompt=()) for turn in turns_in(run.path)]
    judged = judged_in(run.path)
    told = {key: each.truth for key, each in judged.items() if each.truth is not None}

    def by_judge(turn: TurnRow, mark: str = "") -> TurnRow:
        key = turn.condition, turn.game, turn.number
        return replace(turn, truth=told[key] + mark) if key in told else turn

    found = find(games, [by_judge(turn) for turn in turns], section.rules, counted(judged.values()))
    write_turns(run.path / f"{TURNS}.parquet", turns_in(run.path), probes_of(turns), judged)
    write_games(run.path / f"{GAMES}.parquet", games)
    write_json(run.path / SUMMARY, found.written())
    models = {name: role.model for name, role in workload.roles.items()}
    said = [by_judge(turn, BY_JUDGE) for turn in turns]
    page = page_of(workload.name or "werewolf", models, found, games, said, fits_in(record.outcome))
    write_text(run.path / PAGE, html(page))
    return run.path / f"{TURNS}.parquet", run.path / f"{GAMES}.parquet", run.path / SUMMARY, run.path / PAGE
