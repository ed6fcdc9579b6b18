"""A talk with one model that is planned, loaded and kept: what was said, and what probes make of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from ullage.engines.engine import (
    Engine,
    Failure,
    Message,
    Piece,
    Prompt,
    Reply,
    Sampling,
    Streaming,
)
from ullage.engines.heard import Heard
from ullage.engines.row import seed_of
from ullage.engines.turns import Turns
from ullage.errors import EngineError, InputError, OutOfMemoryError
from ullage.probes.listening import OpenProbes, open_probes
from ullage.probes.replies import Spoken
from ullage.records.folder import RunFolder
from ullage.runtime.batching import is_out_of_memory, release
from ullage.runtime.opening import Options, open_session
from ullage.runtime.session import Session
from ullage.units import gib
from ullage.workloads.execution import check_able, refuse_unfit, write_down
from ullage.workloads.inputs import files_of
from ullage.workloads.said import Said, Token, scored
from ullage.workloads.talks import check_text

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.probes.card import Card
    from ullage.workloads.talks import Settings

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
NO_TOKEN: Final = -1
"""The id of a piece of an engine that knows none."""


class Conversation:
    """A talk with one role.

    Invariant: `messages` are the system's, then questions and replies by turns; a question that got no reply
    is not among them.
    """

    def __init__(self, session: Session, role: str, settings: Settings) -> None:
        self._session, self._role, self._seed = session, role, settings.get("seed", 0)
        self._sampling = Sampling(
            session.workload.new_tokens, settings.get("temperature", 0.0), settings.get("top_p", 1.0)
        )
        system = settings.get("system")
        self._system = [] if system is None else [{"role": SYSTEM, "content": system}]
        self.messages: list[Message] = [*self._system]
        self.last: Said | None = None
        self._left_out = self._turn = 0
        self._turns = Turns(session)
        self._probes: OpenProbes | None = open_probes(session, role)
        self.cards: Mapping[str, Card] = {} if self._probes is None else self._probes.cards
        self._engine: Engine = self._turns.engine(role)
        if self._probes is not None:
            self._turns.states.multiply(role, self._probes.projections.weights)
            self._turns.states.projected(session.phase(role))  # proven before anybody waits for a reply
        self._templated = _templated(session, role)
        if not self._templated:
            session.say(
                f"{session.workload.roles[role].model}: its tokenizer has no chat template; what is said is "
                "plain text, line after line, and the model goes on from it"
            )

    def reset(self) -> None:
        """Forgets what was said; the system's message stays."""
        self.messages = [*self._system]
        self._left_out, self.last = 0, None
        self._forget_read()

    def _forget_read(self) -> None:
        if isinstance(self._engine, Streaming):
            self._engine.forget()

    def say(self, text: str) -> Generator[Token | Said, None, None]:
        """The tokens of the reply as they come, then all of it. With probes a token comes once it has been
        read and scored, which is a step later.

        Where the talk is longer than planned, the oldest turns are left out for good, and that is said.
        Raises InputError for a question that is too long by itself, or no text; OutOfMemoryError where memory
        runs out, after which the question is no part of the talk. Left before its end, the reply is kept as
        far as it came.
        """
        check_text("what was said last", text)
        prompt, length, left = self._within_plan(text)
        self._forget(left)
        spoken = None if self._probes is None else Spoken(self._probes.projections)
        given: list[Token] = []
        whole: Reply | None = None
        short = None
        try:
            with (
                self._session.monitor.inside(self._session.phase(self._role)),
                self._hearing(length) as heard,
            ):
                for each in scored(self._replying(prompt), heard, spoken):
                    if isinstance(each, Reply):
                        whole = each
                    else:
                        given.append(each)
                        yield each
        except (KeyboardInterrupt, GeneratorExit):
            self._keep(text, given, length, spoken, None)
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            short = str(error).split("\n")[0] or type(error).__name__
        if short is not None:  # outside the handler: the traceback, which holds the pass's tensors, is gone
            raise self._ran_out(short, length, len(given))
        self._keep(text, given, length, spoken, whole)
        assert self.last is not None
        yield self.last

    def _ran_out(self, why: str, length: int, given: int) -> OutOfMemoryError:
        """What is said where memory ran out `given` tokens into a reply; what can be is given back."""
        self._forget_read()
        release()
        return OutOfMemoryError(
            f"memory ran out {given:,} tokens into a reply to {length:,} ({why}); the talk goes on "
            "without this question: ask for less, or plan for less: --prompt-tokens"
        )

    def _within_plan(self, text: str) -> tuple[Prompt, int, int]:
        """The prompt that asks `text`, its tokens, and how many of the oldest turns it leaves out."""
        most = self._turns.longest(self._role)
        for left in range(self._asked + 1):
            messages = [*self._after(left), {"role": USER, "content": text}]
            prompt: Prompt = tuple(messages)
            if not self._templated:
                prompt = "\n".join(message["content"] for message in messages)
            (length,) = self._engine.lengths([prompt])
            if length <= most:
                return prompt, length, left
        raise InputError(
            f"what was said last takes {length:,} tokens by itself, and the plan is for {most:,}; shorten "
            "it, or plan for more: --prompt-tokens"
        )

    @property
    def _asked(self) -> int:
        """Turns in `messages`."""
        return sum(message["role"] == USER for message in self.messages)

    def _after(self, left: int) -> list[Message]:
        """What was said without the `left` oldest turns; the system's message stays."""
        own = len(self._system)
        return [*self._system, *self.messages[own + 2 * left :]]

    def _forget(self, left: int) -> None:
        if not left:
            return
        self.messages = self._after(left)
        self._left_out += left
        turns = f"{left:,} turn{'s are' if left > 1 else ' is'}"
        self._session.say(
            f"the talk is longer than the {self._turns.longest(self._role):,} tokens planned for: its oldest "
            f"{turns} left out from here on, {self._left_out:,} so far; --prompt-tokens plans for more"
        )

    def _hearing(self, begin: int) -> AbstractContextManager[Heard | None]:
        if self._probes is None:
            return nullcontext()
        return self._turns.states.hearing(self._engine, self._session.phase(self._role), begin)

    def _replying(self, prompt: Prompt) -> Iterator[Piece | Reply]:
        self._turn += 1
        seed = seed_of(self._seed, self._turn - 1)
        if isinstance(self._engine, Streaming):
            yield from self._engine.stream(prompt, self._sampling, seed)
            return
        (found,) = self._engine.generate([prompt], self._sampling, [seed])
        if isinstance(found, Failure):
            raise EngineError(f"roles.{self._role}: {found.reason}")
        yield Piece(NO_TOKEN, found.text)
        yield found

    def _keep(
        self, text: str, given: Sequence[Token], length: int, spoken: Spoken | None, whole: Reply | None
    ) -> None:
        """The turn, as far as it came."""
        reply = "".join(token.text for token in given)
        self.last = Said(
            reply,
            "stopped" if whole is None else whole.stop,
            length if whole is None else whole.prompt_tokens or length,
            tuple(given),
            {} if spoken is None else spoken.whole(len(given)),
            self._left_out,
        )
        if reply:
            self.messages += [{"role": USER, "content": text}, {"role": ASSISTANT, "content": reply}]


def _templated(session: Session, role: str) -> bool:
    """Whether the role's model takes chats; that of an engine which holds it itself is taken to."""
    loaded = session.loaded.get(role)
    return loaded is None or loaded.tokenizer is None or bool(loaded.tokenizer.chat_template)


@contextmanager
def open_conversation(plan: Plan, options: Options, settings: Settings) -> Iterator[Conversation]:
    """Carries out the plan of a talk with its one role: says what is planned, loads it, and holds it inside.

    Raises DoesNotFitError for a plan that exceeds a device, before anything is loaded.
    """
    check_able(plan)
    refuse_unfit(plan)
    (role,) = plan.workload.roles
    with (
        TemporaryDirectory(prefix="ullage-talk-") as folder,
        open_session(plan, RunFolder(Path(folder)), options) as session,
    ):
        session.progress.note(planned(plan))
        write_down(session, files_of(plan.workload, plan.base))
        for warning in plan.warnings:
            session.say(warning)
        yield Conversation(session, role, settings)


def planned(plan: Plan) -> str:
    """What a talk was planned to take, in a line."""
    ((name, role),) = plan.workload.roles.items()
    workload = plan.workload
    said = f"{workload.prompt_tokens:,} tokens of conversation, replies of up to {workload.new_tokens:,}"
    if workload.probes:
        said += f", read by {', '.join(workload.probes)}"
    if name not in plan.roles:
        return f"planned: {role.model} elsewhere ({role.engine}), {said}"
    places = ", ".join(
        f"up to {gib(device.peak.device.high)} of {gib(device.usable)} on {device.name}"
        for device in plan.devices
        if device.usable is not None
    )
    chosen = plan.roles[name].precision
    stored = chosen.compute if chosen.storage == chosen.compute else f"{chosen.storage}, in {chosen.compute}"
    return f"planned: {role.model} in {stored}, {said}: {places}"
