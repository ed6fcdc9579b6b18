"""Players' asks, put to the engines of the roles that play them; and what probes hear of the replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ullage.engines.engine import Chat, Engine, Failure, Message, Reading, Sampling
from ullage.engines.engine import Reply as Written
from ullage.engines.states import Asked as About
from ullage.engines.turns import Turns
from ullage.errors import UnsupportedError
from ullage.kinds.werewolf.asks import Ask
from ullage.kinds.werewolf.chance import chance
from ullage.kinds.werewolf.phases import CHOICE_TOKENS, CHOOSE, STRIPPED
from ullage.kinds.werewolf.playing import Reply
from ullage.kinds.werewolf.prompts import Prompt
from ullage.kinds.werewolf.replies import read_statement
from ullage.kinds.werewolf.scores import NOT_FINITE, Scores, unavailable
from ullage.kinds.werewolf.section import Section
from ullage.phases.blocks import base_work
from ullage.probes.listening import open_probes
from ullage.probes.projections import Projections
from ullage.probes.replies import reply_scores
from ullage.runtime.batching import Limits
from ullage.runtime.session import Session

if TYPE_CHECKING:
    from torch import Tensor

REMEMBERED: Final = 65_536
"""Prompts whose lengths are remembered: a game counts those of all its players at each step."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An ask of the game of `seed`, as it is put to a role; `bare` is its prompt without what the identity
    lets the player know, where that is scored too."""

    ask: Ask
    role: str
    prompt: Prompt
    seed: int
    bare: Prompt = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What came back; `scores` are by probe, and `stripped` those of the same text after the bare prompt."""

    reply: Reply
    tokens: int = 0
    scores: Mapping[str, Scores] = field(default_factory=dict)
    stripped: Mapping[str, Scores] = field(default_factory=dict)


class Speaking:
    """The engines of all roles that play, and the probes that read them."""

    def __init__(self, session: Session, section: Section, turns: Turns) -> None:
        self._session, self._section, self._turns = session, section, turns
        self._engines: dict[str, Engine] = {}
        self._probes: dict[str, Projections] = {}
        self.roles = tuple(section.played_by())
        self.threshold: float | None = None

    def open(self) -> None:
        """Loads every role; the first probe's card gives a threshold, where it has one."""
        for name in self.roles:
            found = open_probes(self._session, name)
            self._engines[name] = self._turns.engine(name)
            if found is None:
                continue
            self._probes[name] = found.projections
            self._turns.states.multiply(name, found.projections.weights)
            if self.threshold is None:
                self.threshold = next(iter(found.cards.values())).threshold

    def close(self) -> None:
        """Writes down what servers were asked for, and lets go of the models."""
        for name in self.roles:
            self._turns.keep_usage(name)
        self._engines.clear()
        self._probes.clear()

    @property
    def window(self) -> int:
        """Tokens of the longest prompt that every role is planned for."""
        return min(self._turns.longest(name) for name in self.roles)

    def count(self, prompt: Prompt) -> int:
        """Tokens of a prompt, for the role that needs most."""
        return self._count(prompt)

    @lru_cache(maxsize=REMEMBERED)  # noqa: B019 - one run, one of these
    def _count(self, prompt: Prompt) -> int:
        return max(engine.lengths([_chat(prompt)])[0] for engine in self._engines.values())

    def lengths(self, role: str, asked: Sequence[Asked]) -> list[int]:
        """Tokens of each prompt."""
        return self._engines[role].lengths([_chat(one.prompt) for one in asked])

    def limits(self, role: str, text: bool) -> Limits:
        """What a batch may hold."""
        return self._turns.limits(role, "" if text else CHOOSE)

    def say(self, role: str, text: bool, asked: Sequence[tuple[int, Asked]]) -> list[Said]:
        """A batch of a role's texts, or of its choices; each comes with the number of its game."""
        work = self._choose
        verb = CHOOSE
        if text or self._section.choose_by == "text":
            work, verb = (self._write, "") if text else (self._write_choice, CHOOSE)
        lengths = self.lengths(role, [one for _, one in asked])

        def unit(batch: Sequence[int]) -> list[Said]:
            return work(role, [asked[place] for place in batch])

        ((said),) = [list(found) for found in self._turns.run(role, verb, [range(len(asked))], lengths, unit)]
        if text and role in self._probes and self._section.score_without_role_context:
            return self._again(role, asked, said)
        return said

    def _write(self, role: str, asked: Sequence[tuple[int, Asked]]) -> list[Said]:
        section = self._section
        sampling = Sampling(
            base_work(role, self._session.workload).new_tokens, section.temperature, section.top_p
        )
        phase = self._session.phase(role)
        about = [About(game, f"{one.seed}", one.ask.number) for game, one in asked]
        with self._turns.states.listening(self._engines[role], phase, "texts", about) as products:
            replies = self._generate(role, asked, sampling)
        heard: list[dict[str, Tensor] | None] = [*products] or [None] * len(replies)
        return [
            self._said(role, one, reply, each)
            for (_, one), reply, each in zip(asked, replies, heard, strict=True)
        ]

    def _write_choice(self, role: str, asked: Sequence[tuple[int, Asked]]) -> list[Said]:
        replies = self._generate(role, asked, Sampling(CHOICE_TOKENS, 0.0))
        return [
            Said(Reply("" if isinstance(reply, Failure) else reply.text), _tokens(reply)) for reply in replies
        ]

    def _generate(
        self, role: str, asked: Sequence[tuple[int, Asked]], sampling: Sampling
    ) -> list[Written | Failure]:
        seeds = [
            chance(one.seed, "reply", one.ask.number, int(one.ask.refused is not None)).getrandbits(31)
            for _, one in asked
        ]
        return self._engines[role].generate([_chat(one.prompt) for _, one in asked], sampling, seeds)

    def _choose(self, role: str, asked: Sequence[tuple[int, Asked]]) -> list[Said]:
        """A legal answer each, drawn by the probabilities that the model gives them."""
        choices = sorted({each for _, one in asked for each in one.ask.legal or ()})
        weights = self._engines[role].score([_chat(one.prompt) for _, one in asked], choices)
        read = self.lengths(role, [one for _, one in asked])
        found = []
        for (_, one), each, tokens in zip(asked, weights, read, strict=True):
            legal = one.ask.legal or ()
            if isinstance(each, Failure):
                found.append(Said(Reply("")))
                continue
            by_name = dict(zip(choices, each, strict=True))
            found.append(Said(Reply(chosen=_drawn(one, legal, [by_name[name] for name in legal])), tokens))
        return found

    def _said(
        self, role: str, one: Asked, reply: Written | Failure, products: Mapping[str, Tensor] | None
    ) -> Said:
        probes = self._probes.get(role)
        if isinstance(reply, Failure):
            missing = {name: unavailable(reply.reason) for name in probes.probes} if probes else {}
            return Said(Reply(""), scores=missing)
        if probes is None or products is None:
            return Said(Reply(reply.text), _tokens(reply))
        scores = _scores(probes, products, reply)
        view = one.ask.view
        begin, end, _ = read_statement(reply.text, view.name, view.names)
        shown = next(iter(scores.values())).mean(begin, end) if end > begin else None
        return Said(Reply(reply.text, score=shown), _tokens(reply), {**scores}, {})

    def _again(self, role: str, asked: Sequence[tuple[int, Asked]], said: Sequence[Said]) -> list[Said]:
        """What was spoken is read once more, after prompts that say nothing of identities."""
        places = [place for place, (_, one) in enumerate(asked) if one.bare and said[place].reply.text]
        found = list(said)
        if not places:
            return found
        engine, probes = self._engines[role], self._probes[role]
        if not isinstance(engine, Reading):
            raise UnsupportedError(f"roles.{role}: its engine reads no finished texts")
        phase = self._session.phase(role, STRIPPED)
        prompts = [_chat(asked[place][1].bare) for place in places]
        texts = [said[place].reply.text for place in places]
        lengths = [sum(both) for both in zip(engine.lengths(prompts), engine.lengths(texts), strict=True)]

        def unit(batch: Sequence[int]) -> list[Said]:
            about = [About(asked[places[b]][0], "stripped", asked[places[b]][1].ask.number) for b in batch]
            with self._turns.states.listening(engine, phase, STRIPPED, about) as products:
                read = engine.read([prompts[b] for b in batch], [texts[b] for b in batch])
            return [
                replace(said[places[b]], stripped={**_scores(probes, each, reply)})
                for b, each, reply in zip(batch, products, read, strict=True)
            ]

        (again,) = self._turns.run(role, STRIPPED, [range(len(places))], lengths, unit)
        for place, each in zip(places, again, strict=True):
            found[place] = each
        return found


def _chat(prompt: Prompt) -> Chat:
    return tuple(Message(role=message.role, content=message.content) for message in prompt)


def _tokens(reply: Written | Failure) -> int:
    return 0 if isinstance(reply, Failure) else reply.prompt_tokens + len(reply.tokens)


def _drawn(one: Asked, legal: Sequence[str], logprobs: Sequence[float]) -> str:
    """One of the legal answers, by its share of their probabilities."""
    from math import exp

    highest = max(logprobs)
    weights = [exp(each - highest) for each in logprobs]
    return chance(one.seed, "chosen", one.ask.number).choices(list(legal), weights)[0]


def _scores(probes: Projections, products: Mapping[str, Tensor], reply: Written) -> dict[str, Scores]:
    """By probe; unavailable where there is no token, or one whose state was no number."""
    found = {}
    for name, each in reply_scores(probes, products, reply).items():
        known = [value for value in each["tokens"] if value is not None]
        if not each["tokens"]:
            found[name] = unavailable("nothing was written")
        elif len(known) < len(each["tokens"]):
            found[name] = unavailable(NOT_FINITE)
        else:
            found[name] = Scores(tuple(known), reply.offsets)
    return found
