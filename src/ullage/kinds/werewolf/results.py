"""What a run leaves once its games are played: two tables, a summary and a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from ullage.kinds.werewolf.found import find, probes_of
from ullage.kinds.werewolf.report import write_page
from ullage.kinds.werewolf.rows import GAMES, TURNS, GameRow, TurnRow, read_game, read_turn
from ullage.kinds.werewolf.section import Section
from ullage.kinds.werewolf.tables import write_games, write_turns
from ullage.phases.blocks import own_section
from ullage.records.atomic import write_json
from ullage.records.fits import fits_in
from ullage.records.folder import RunFolder
from ullage.records.lines import read_lines
from ullage.records.record import Record
from ullage.spec.workload import Workload

SUMMARY: Final = "results.json"


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's tables, summary and page; their paths. Raises FormatError for rows that were changed."""
    section = own_section(workload, Section)
    games = list(games_in(run.path))
    # Prompts are by far the most of it, and nothing is found from them.
    turns = [replace(turn, prompt=()) for turn in turns_in(run.path)]
    found = find(games, turns, section.rules)
    write_turns(run.path / f"{TURNS}.parquet", turns_in(run.path), probes_of(turns))
    write_games(run.path / f"{GAMES}.parquet", games)
    write_json(run.path / SUMMARY, found.written())
    models = {name: role.model for name, role in workload.roles.items()}
    page = write_page(
        run.path, workload.name or "werewolf", models, found, games, turns, fits_in(record.outcome)
    )
    return run.path / f"{TURNS}.parquet", run.path / f"{GAMES}.parquet", run.path / SUMMARY, page


def turns_in(folder: Path) -> Iterator[TurnRow]:
    """Every ask of a run, in the order of writing."""
    path = folder / f"{TURNS}.jsonl"
    return (read_turn(row, f"{path}:{number}") for number, row in enumerate(read_lines(path), 1))


def games_in(folder: Path) -> Iterator[GameRow]:
    """Every finished game of a run."""
    path = folder / f"{GAMES}.jsonl"
    return (read_game(row, f"{path}:{number}") for number, row in enumerate(read_lines(path), 1))
