"""The `werewolf:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from ullage.kinds.werewolf.conditions import EXPLANATION, Arm, Condition
from ullage.kinds.werewolf.growth import room_needed
from ullage.kinds.werewolf.identities import EVERYBODY, IDENTITIES
from ullage.kinds.werewolf.rules import (
    FEWEST,
    MOST,
    PRESETS,
    Ballots,
    Exile,
    Rules,
    Speech,
    Thoughts,
    Ties,
    Whose,
)
from ullage.phases.blocks import base_work, is_local, wrong_engine, wrong_roles, wrong_training
from ullage.spec.fitting import Fitting
from ullage.spec.mistake import Mistake
from ullage.spec.section import RUNS
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Switch
from ullage.spec.workload import Workload

PLAYER: Final = "player"
JUDGE: Final = "judge"
"""An optional role: it judges what no game decides, once all are played."""
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Rule = Switch | None


class Section(BaseSection):
    """The game and the experiment. A rule that is left open is the preset's; an example of the workload is
    one game in each condition, from the same seed and seats."""

    has_several: ClassVar[bool] = True

    preset: Literal["guide", "arena", "aiwolf5"] = "guide"
    players: Annotated[int, Field(strict=True, ge=FEWEST, le=MOST)] | None = None
    werewolves: Annotated[int, Field(strict=True, ge=1, le=MOST)] | None = Field(
        default=None, description="of the players; None: the preset's, or a third of other players"
    )
    possessed: Rule = None
    seer: Rule = None
    doctor: Rule = None
    hunter: Rule = None
    witch: Rule = None
    rounds: Annotated[int, Field(strict=True, ge=1, le=100)] | None = Field(
        default=None, description="of talk, a day; by bids a round is one speech"
    )
    speech: Speech | None = None
    thoughts: Thoughts | None = Field(default=None, description="before each statement")
    thinkers: Literal["all", "villagers"] | None = None
    callouts: Rule = Field(default=None, description="a speaker may name another and ask")
    last_words: Whose | None = None
    exile: Exile | None = None
    ties: Ties | None = None
    second_tie: Literal["nobody", "random"] | None = None
    abstention: Rule = None
    ballots: Ballots | None = Field(default=None, description="told by name, as numbers, or not at all")
    reveal: Whose | None = Field(default=None, description="whose identity is told when they leave the game")
    asked_who: Rule = Field(default=None, description="players first say who they are, and nobody hears it")
    first_kill: Rule = Field(default=None, description="the werewolves kill in the first night too")
    night_talk: Rule = Field(default=None, description="the werewolves talk before they kill")
    seer_learns: Literal["werewolf", "identity"] | None = None
    doctor_saves_self: Rule = None
    doctor_repeats: Rule = None
    days: Annotated[int, Field(strict=True, ge=1, le=100)] | None = Field(
        default=None, description="after which the werewolves have won"
    )
    conditions: tuple[Arm, ...] = ("control",)
    noise: Annotated[float, Field(strict=True, ge=0, le=100)] = Field(
        default=0.0, description="of the scores behind what is shown: a standard deviation"
    )
    delay: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        default=0, description="statements after which a score is shown"
    )
    false_positives: Share = Field(default=0.1, description="the rate at which what is shown is calibrated")
    sham_rate: Share = Field(default=0.1, description="of statements that a sham flags")
    probe_explanation: str = EXPLANATION
    score_without_role_context: Switch = False
    choose_by: Literal["probabilities", "text"] = Field(
        default="probabilities", description="among the legal answers, or by a text that is read strictly"
    )
    judge_by: Literal["probabilities", "text"] = Field(
        default="probabilities", description="how role judge tells of statements that no game decides"
    )
    temperature: Annotated[float, Field(strict=True, ge=0, le=10)] = Field(
        default=1.0, description="of what players say"
    )
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(default=1.0, description="the same")
    seats: dict[str, str] = Field(
        default={}, description="identity, or number of a seat, and the role that plays it; others: player"
    )
    instructions: dict[str, str] = Field(
        default={}, description="by identity, or `all`, told beside the rules"
    )
    seed: Annotated[int, Field(strict=True, ge=0, le=2**31)] = 0
    output_dir: str = Field(default=RUNS, min_length=1, description="where runs are that are given no folder")

    @property
    def rules(self) -> Rules:
        """The preset's, with those that are given."""
        return _rules(self.preset, tuple([getattr(self, name) for name in Rules.__dataclass_fields__]))

    @property
    def arms(self) -> tuple[Condition, ...]:
        """The conditions, before their thresholds are calibrated."""
        return tuple(
            Condition(
                name,
                noise=self.noise,
                delay=self.delay,
                sham_rate=self.sham_rate,
                explanation=self.probe_explanation,
            )
            for name in self.conditions
        )

    def role_of(self, seat: int, identity: str) -> str:
        """The role that plays a seat, counted from 0: its own, its identity's, or `player`."""
        return self.seats.get(str(seat + 1)) or self.seats.get(identity) or PLAYER

    def played_by(self) -> dict[str, float]:
        """Each role, and how many seats it plays on average over games."""
        rules, found = self.rules, dict[str, float]()
        identities = rules.identities
        for seat in range(rules.players):
            for identity in identities:
                role = self.role_of(seat, identity)
                found[role] = found.get(role, 0.0) + 1 / rules.players
        return found

    def heard(self, workload: Workload) -> tuple[str, ...]:
        """Whoever plays."""
        return tuple(dict.fromkeys((PLAYER, *self.seats.values())))

    def runs_in(self) -> str:
        """As the file says."""
        return self.output_dir

    def notes(self, workload: Workload) -> Iterator[str]:
        """What chance alone wins, and what the planned games can find."""
        from ullage.kinds.werewolf.forecast import forecast

        yield from forecast(self.rules, len(self.conditions), workload.examples)
        if self.score_without_role_context and not workload.probes:
            yield "score_without_role_context: there are no probes, so nothing is scored"

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """Rules that cannot be played, seats nobody has, roles that cannot do what players must."""
        rules = self.rules
        wrong = [Mistake(("werewolf", each.rule), each.problem) for each in rules.mistakes()]
        yield from wrong
        seated = set(self.seats.values())
        if wrong:
            yield from wrong_roles(workload, (), (PLAYER, JUDGE, *sorted(seated)))
        else:
            needed = tuple(self.played_by())
            yield from wrong_roles(workload, needed, (*needed, *sorted(seated), JUDGE))
            yield from self._unplaced(rules)
            yield from self._too_long(workload, rules)
        yield from wrong_training(workload)
        for name in dict.fromkeys((PLAYER, *self.seats.values())):
            yield from wrong_engine(name, workload, "writes", *self._weighs())
        if len(set(self.conditions)) < len(self.conditions) or not self.conditions:
            yield Mistake(("werewolf", "conditions"), "names each condition once, and one at least")
        yield from self._scales(workload)
        yield from self._judge(workload, seated)
        local = [name for name, role in workload.roles.items() if is_local(role) and name != JUDGE]
        if len(local) > 1 and workload.schedule in ("sequential", "swapped"):
            problem = "players speak in turns all the time; use auto, simultaneous or persistent"
            yield Mistake(("schedule",), problem)

    def _judge(self, workload: Workload, seated: set[str]) -> Iterator[Mistake]:
        if JUDGE in seated:
            yield Mistake(
                ("werewolf", "seats"), f"{JUDGE} is who judges, and plays no seat; call it otherwise"
            )
        elif JUDGE in workload.roles:
            yield from wrong_engine(JUDGE, workload, "writes" if self.judge_by == "text" else "weighs")
            residency = workload.roles[JUDGE].residency
            if residency not in ("auto", "persistent"):
                problem = (
                    f"{residency} is for roles that take several turns, and the judge has one; remove it"
                )
                yield Mistake(("roles", JUDGE, "residency"), problem)
        elif self.judge_by == "text":
            problem = f"there is no role {JUDGE}, so nothing is judged; add it, or remove this"
            yield Mistake(("werewolf", "judge_by"), problem, at_key=True)

    def _scales(self, workload: Workload) -> Iterator[Mistake]:
        """Scores of two probes, or of one in two models, have no threshold in common."""
        if "treatment" not in self.conditions:
            return
        first: dict[str, tuple[str, Fitting | None, str]] = {}
        for probe in workload.probes.values():
            name = probe.role or PLAYER
            if name in workload.roles:
                first.setdefault(name, (probe.path, probe.fit, workload.roles[name].model))
        if len(set(first.values())) > 1:
            problem = (
                f"treatment shows scores by one threshold, and {' and '.join(first)} are read by different "
                "probes or are different models; give them the same, or leave treatment out"
            )
            yield Mistake(("werewolf", "conditions"), problem)

    def _weighs(self) -> tuple[Literal["weighs"], ...]:
        return ("weighs",) if self.choose_by == "probabilities" else ()

    def _unplaced(self, rules: Rules) -> Iterator[Mistake]:
        """Keys of `seats` and `instructions` that mean nobody of this game."""
        identities = [each for each in IDENTITIES if each in rules.identities]
        for key in self.seats:
            if key not in identities and key not in map(str, range(1, rules.players + 1)):
                problem = f"no player of this game; valid: {', '.join(identities)}, or 1 to {rules.players}"
                yield Mistake(("werewolf", "seats", key), problem, at_key=True)
        for key in self.instructions:
            if key not in (*identities, EVERYBODY):
                problem = f"nobody in this game; valid: {EVERYBODY}, {', '.join(identities)}"
                yield Mistake(("werewolf", "instructions", key), problem, at_key=True)

    def _too_long(self, workload: Workload, rules: Rules) -> Iterator[Mistake]:
        """A window that the talk of one round already overflows."""
        for name in self.played_by():
            if name not in workload.roles:
                continue
            work = base_work(name, workload)
            needs = {
                arm.name: room_needed(rules, work.new_tokens, arm) for arm in self.arms or (Condition(),)
            }
            most = max(needs, key=lambda arm: needs[arm])
            if needs[most] > work.prompt_tokens:
                told = ", and whose thoughts all hear (public_cot)," if most == "public_cot" else ""
                problem = (
                    f"{work.prompt_tokens:,} do not hold a game's shortest prompts: one round of "
                    f"{rules.first_voters} players who say up to {work.new_tokens:,} tokens{told} takes "
                    f"{needs[most]:,}"
                )
                yield Mistake(("prompt_tokens",), problem)
                return


@lru_cache(maxsize=256)
def _rules(preset: str, fields: tuple[Any, ...]) -> Rules:
    """A preset's with those of all `fields` that are given, in their order; None: they are not."""
    usual = PRESETS[preset]
    given = dict(zip(Rules.__dataclass_fields__, fields, strict=True))
    if given["werewolves"] is None and given["players"] not in (None, usual.players):
        given["werewolves"] = max(given["players"] // 3, 1)
    return replace(usual, **{name: value for name, value in given.items() if value is not None})
