"""Runs an experiment: many games of each condition side by side, so that the model is always busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from ullage.engines.row import seed_of
from ullage.engines.turns import Turns
from ullage.errors import InputError
from ullage.fields import Fields
from ullage.kinds.werewolf.asks import SPOKEN, Ask
from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.identities import side_of
from ullage.kinds.werewolf.judging import judge
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.prompts import Prompts
from ullage.kinds.werewolf.rows import GAMES, TURNS, GameRow, Heard, TurnRow, game_row, read_turn, turn_row
from ullage.kinds.werewolf.scores import NOT_FINITE
from ullage.kinds.werewolf.section import Section
from ullage.kinds.werewolf.speaking import Asked, Speaking
from ullage.kinds.werewolf.table import Table
from ullage.measures.threshold import threshold_at
from ullage.phases.blocks import own_section, wrong_captures
from ullage.records.lines import LineStore, read_lines
from ullage.runtime.batching import make_batches
from ullage.runtime.session import Session

WAVES: Final = 2
"""Games at once for each that a batch holds: a game asks one player at a time, and some are always over."""
Key = tuple[str, int, int]
"""Condition, game, and the number of an ask."""


def run(session: Session) -> None:
    """Plays every game of every condition, a batch of asks after another; each is on disk before the next.

    Raises InputError where a prompt cannot fit the window, where nothing is there to calibrate a detector
    with, and for captures that need a record's own span.
    """
    section = own_section(session.workload, Section)
    wrong = [each.problem for each in wrong_captures(session.workload, {})]
    wrong = [f"captures: {problem}" for problem in wrong]
    if "treatment" in section.conditions and not session.workload.probes:
        wrong.append(
            "werewolf.conditions: treatment shows players what a probe makes of them; give probes, or "
            "leave it out"
        )
    if wrong:
        raise InputError(*wrong)
    turns = Turns(session)
    store = turns.store(GAMES, (GAMES, TURNS))
    _Experiment(session, section, turns, Speaking(session, section, turns), store).run()
    judge(session, section, turns)
    turns.states.finish()
    session.outcome["usage"] = turns.usage()


@dataclass(slots=True)
class _Game:
    """One game under way; `left_out` rounds are gone from its prompts."""

    number: int
    playing: Playing
    left_out: int = 0


@dataclass(slots=True)
class _Experiment:
    """Invariant: what is asked in which batch follows from the file and the replies before, so that a run
    taken up again asks the same; what was answered is taken from disk."""

    session: Session
    section: Section
    turns: Turns
    speaking: Speaking
    store: LineStore
    unit: int = 0
    known: dict[Key, TurnRow] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    truthful: list[float] = field(default_factory=list)
    villagers: list[float] = field(default_factory=list)
    unusable: str = ""

    def run(self) -> None:
        """Condition after condition, so many games at once."""
        store, path = self.store, self.session.folder.path / f"{TURNS}.jsonl"
        for number, row in enumerate(read_lines(path), 1):
            found = replace(read_turn(row, f"{path}:{number}"), prompt=(), legal=None)
            self.known[found.condition, found.game, found.number] = found
        for entry in store.entries:
            some = Fields(entry, str(self.session.journal.path)).each("refused") if "refused" in entry else ()
            for one in some:
                key = one.text("condition"), one.whole("game"), one.whole("number")
                self.refused[key] = one.text("text")
        count = 1 if self.session.smallest else self.session.workload.examples
        arms = self.section.arms[:1] if self.session.smallest else self.section.arms
        if store.finished:
            self.session.examples = sum(1 for _ in read_lines(self.session.folder.path / f"{GAMES}.jsonl"))
            return
        self.speaking.open()
        self.session.progress.start("games", count * len(arms), 0)
        at_once = WAVES * max(self.turns.limits(name).sequences for name in self.section.played_by())
        for arm in sorted(
            arms, key=lambda arm: arm.name != "control"
        ):  # whose truths calibrate what is shown
            condition = self._calibrated(arm)
            self._play(condition, count, at_once)
        store.finish()
        self.speaking.close()

    def _calibrated(self, arm: Condition) -> Condition:
        """A condition that shows scores, with its threshold: of true statements in the control games, else of
        villagers' there, else the card's."""
        if arm.name != "treatment":
            return arm
        rate = self.section.false_positives
        threshold = self.speaking.threshold
        told = "the probe's card"
        for scores, what in ((self.truthful, "true statements"), (self.villagers, "villagers' statements")):
            if scores:
                threshold, told = threshold_at(rate, scores), f"{len(scores):,} {what} of the control games"
                break
        if threshold is None:
            played = "control" in self.section.conditions
            why = "no statement of control could be used, so" if played else "play control too, or"
            raise InputError(
                "werewolf.conditions: treatment shows whether a score is above a threshold, and there is "
                f"none: {why} give a probe whose card has one"
            )
        self.session.outcome["shown"] = {"threshold": threshold, "rate": rate, "calibrated_on": told}
        self.session.say(
            f"treatment: statements of {threshold:.4g} and more are shown as deceptive, by {told}"
        )
        return replace(arm, threshold=threshold)

    def _play(self, condition: Condition, count: int, at_once: int) -> None:
        """So many games to their ends; where one ends, the next begins."""
        rules, seed = self.section.rules, self.section.seed
        coming = (_Game(each, Playing(Table(rules, seed_of(seed, each), condition))) for each in range(count))
        prompts = Prompts(
            rules, condition, self.speaking.window, self.speaking.count, self.section.instructions
        )
        going: list[_Game] = []
        while True:
            going = [game for game in going if game.playing.outcome is None]
            going += islice(coming, at_once - len(going))
            if not going:
                return
            self._round(condition, going, prompts)

    def _round(self, condition: Condition, games: Sequence[_Game], prompts: Prompts) -> None:
        """Every ask that is open in any game, once."""
        asked: dict[tuple[str, bool], list[tuple[_Game, Asked]]] = {}
        for game in games:
            table, opened = game.playing.table, game.playing.open
            views = [table.view(seat) for seat in table.living]
            game.left_out = prompts.left_out(opened, views, game.left_out)
            for ask in opened:
                role = self.section.role_of(ask.seat, ask.view.identity)
                one = Asked(ask, role, prompts.prompt(ask, game.left_out), table.seed)
                if self.section.score_without_role_context and ask.purpose in SPOKEN:
                    one = replace(one, bare=prompts.prompt(ask, game.left_out, without_roles=True))
                asked.setdefault((role, ask.legal is None), []).append((game, one))
        for (role, text), some in sorted(asked.items()):
            lengths = self.speaking.lengths(role, [one for _, one in some])
            for batch in make_batches(lengths, self.speaking.limits(role, text)):
                self._batch(condition, role, text, [some[place] for place in batch])

    def _batch(
        self, condition: Condition, role: str, text: bool, some: Sequence[tuple[_Game, Asked]]
    ) -> None:
        store, unit = self.store, self.unit
        self.unit += 1
        if unit in store.done:
            for game, one in some:
                self._take_known(condition, game, one.ask)
            return
        said = self.speaking.say(role, text, [(game.number, one) for game, one in some])
        rows: list[dict[str, object]] = []
        ended: list[GameRow] = []
        refused = []
        for (game, one), each in zip(some, said, strict=True):
            answer = game.playing.reply(one.ask.number, each.reply)
            if answer is None:
                key = {"condition": condition.name, "game": game.number, "number": one.ask.number}
                refused.append({**key, "text": each.reply.text})
                continue
            heard = Heard(one.prompt, game.left_out, role, each.scores, each.stripped)
            row = turn_row(game.number, game.playing.table, one.ask, answer, heard)
            self._note(row)
            rows.append(row.written())
            if game.playing.outcome is not None:
                ended.append(game_row(game.number, game.playing))
        facts: dict[str, object] = {"refused": refused} if refused else {}
        written = {TURNS: rows, GAMES: [row.written() for row in ended]}
        store.add(unit, written, **facts, **self.turns.states.taken())
        self._count(len(ended), sum(each.tokens for each in said))
        if ended and self.unusable and self._uncalibrated:
            raise InputError(
                "werewolf.conditions: treatment shows whether a score is above a threshold of control games, "
                f"and a whole control game has no score: {self.unusable}; use another precision or probe, "
                "or leave treatment out"
            )

    @property
    def _uncalibrated(self) -> bool:
        """Whether a threshold is needed, and nothing has been heard that could give one."""
        needed = "treatment" in self.section.conditions and self.speaking.threshold is None
        return needed and not (self.truthful or self.villagers)

    def _take_known(self, condition: Condition, game: _Game, ask: Ask) -> None:
        """What an earlier run was answered."""
        key = condition.name, game.number, ask.number
        row = self.known.get(key)
        place = 0 if ask.refused is None else 1
        if row is not None and row.how == "probability":
            reply = Reply(chosen=row.value)
        elif row is not None and place < len(row.attempts):
            reply = Reply(row.attempts[place], score=row.score)
        else:
            reply = Reply(self.refused[key])
        answer = game.playing.reply(ask.number, reply)
        if answer is not None and row is not None:
            self._note(row)
        if game.playing.outcome is not None:
            self._count(1, 0)

    def _note(self, row: TurnRow) -> None:
        """Scores of the control games, which calibrate what is shown."""
        if row.condition != "control" or row.purpose not in SPOKEN:
            return
        if row.score is None:
            reasons = [each.reason for each in row.scores.values() if each.reason == NOT_FINITE]
            self.unusable = reasons[0] if reasons else self.unusable
            return
        if row.truth == "true":
            self.truthful.append(row.score)
        if side_of(row.identity) == "villagers":
            self.villagers.append(row.score)

    def _count(self, games: int, tokens: int) -> None:
        self.session.examples += games
        self.session.tokens += tokens
        self.session.progress.advance(games, tokens)
