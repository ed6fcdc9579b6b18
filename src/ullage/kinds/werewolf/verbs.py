"""A game that a person joins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.kinds.werewolf.asks import Ask
    from ullage.kinds.werewolf.game import Outcome
    from ullage.kinds.werewolf.playing import Reply
    from ullage.kinds.werewolf.prompts import Prompts
    from ullage.kinds.werewolf.section import Section
    from ullage.kinds.werewolf.speaking import Speaking
    from ullage.kinds.werewolf.table import Table
    from ullage.planning.plan import Plan


def play(
    file: str | Path,
    say: Callable[[str], None],
    read: Callable[[str], str],
    *,
    seat: int = 1,
    seed: int = 0,
    gpus: str | None = None,
    overrides: Sequence[str] = (),
    download: bool = False,
) -> Outcome:
    """Plays one game of a werewolf file by its first condition, in which a person has `seat`, counted from 1:
    `say` shows a text, `read` shows a mark and gives a line. Nothing is kept of it.

    Raises InputError for another kind of file, or a seat that the game has not; DoesNotFitError.
    """
    from ullage.engines.turns import Turns
    from ullage.kinds.werewolf.section import Section
    from ullage.kinds.werewolf.speaking import Speaking
    from ullage.phases.blocks import own_section
    from ullage.records.folder import RunFolder
    from ullage.runtime.opening import Options, open_session
    from ullage.workloads.execution import check_able, refuse_unfit
    from ullage.workloads.loading import folder_of, load
    from ullage.workloads.runs import plan_here

    workload = load(file, overrides)
    if workload.kind != "werewolf":
        raise InputError(f"{file}: is of kind {workload.kind}; `ullage play` joins games of werewolf")
    section = own_section(workload, Section)
    if not 1 <= seat <= section.rules.players:
        raise InputError(f"--seat {seat}: this game has seats 1 to {section.rules.players}")
    # Scores of one game are calibrated on nothing, so none are shown, and nobody need listen.
    workload = workload.model_copy(update={"probes": {}})
    plan: Plan = plan_here(workload, gpus, folder_of(file))
    check_able(plan)
    refuse_unfit(plan)
    with (
        TemporaryDirectory() as held,
        open_session(plan, RunFolder(Path(held)), Options(download=download, quiet=True)) as session,
    ):
        speaking = Speaking(session, section, Turns(session))
        speaking.open()
        return _played(section, speaking, (seat - 1, seed), say, read)


def _played(
    section: Section,
    speaking: Speaking,
    place: tuple[int, int],
    say: Callable[[str], None],
    read: Callable[[str], str],
) -> Outcome:
    """`place` is the person's seat, counted from 0, and the game's seed."""
    from ullage.kinds.werewolf.conditions import Condition
    from ullage.kinds.werewolf.person import Person, play_with
    from ullage.kinds.werewolf.playing import Playing
    from ullage.kinds.werewolf.prompts import Prompts
    from ullage.kinds.werewolf.table import Table

    condition = next((arm for arm in section.arms if not arm.shows), Condition())
    table = Table(section.rules, place[1], condition)
    prompts = Prompts(section.rules, condition, speaking.window, speaking.count, section.instructions)

    def others(asks: tuple[Ask, ...]) -> list[Reply]:
        return _replies(section, speaking, prompts, table, asks)

    return play_with(Person(place[0], prompts, say, read), Playing(table), others)


def _replies(
    section: Section, speaking: Speaking, prompts: Prompts, table: Table, asks: Sequence[Ask]
) -> list[Reply]:
    """What the models of the other seats say and choose, each role's asks of one sort together."""
    from ullage.kinds.werewolf.speaking import Asked

    left_out = prompts.left_out(asks)
    found: dict[int, Reply] = {}
    groups: dict[tuple[str, bool], list[Ask]] = {}
    for ask in asks:
        groups.setdefault((section.role_of(ask.seat, ask.view.identity), ask.legal is None), []).append(ask)
    for (role, text), some in groups.items():
        put = [(0, Asked(ask, role, prompts.prompt(ask, left_out), table.seed)) for ask in some]
        for ask, said in zip(some, speaking.say(role, text, put), strict=True):
            found[ask.number] = said.reply
    return [found[ask.number] for ask in asks]
