"""What a server holds while it runs: the roles, the queue, the limits; and an answer of each kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ullage.engines.engine import Embedding, Failure, Piece, Reply
from ullage.errors import nearest
from ullage.facts.architecture import Architecture
from ullage.runtime.loader import Loaded
from ullage.serving.desk import BEGUN, Job
from ullage.serving.lending import Lending, Lent
from ullage.serving.metrics import Metrics
from ullage.serving.queue import Place, Queue
from ullage.serving.refusal import Refusal
from ullage.serving.room import check_characters, too_long

if TYPE_CHECKING:
    from ullage.engines.engine import Sampling
    from ullage.engines.painter import Canvas, Painter, Painting
    from ullage.engines.viewer import Question, Viewer
    from ullage.serving.chats import Wanted
    from ullage.workloads.kind import Asked, Told

T = TypeVar("T")
LOOKS_SECONDS: Final = 1.0
"""How often a stream that waits says where its role is."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has come yet: where the role is."""

    said: str


class Served:
    """Answers of a plan's roles. Every one is made on a loan of its role, which ends with it."""

    def __init__(self, lending: Lending, queue: int, seconds: float) -> None:
        self.lending, self.seconds, self.closing = lending, seconds, False
        self.roles = lending.plan.workload.roles
        self.metrics = Metrics()
        self.queue = Queue(queue, self.metrics)
        self.metrics.watch(lending.pool, self.queue)

    def role(self, name: str, does: str) -> str:
        """The role called `name`. Raises Refusal where there is none, or it does something else."""
        if name not in self.names:
            close = nearest(name, self.names)
            hint = f"nearest: {', '.join(close)}" if close else f"there are: {', '.join(self.names)}"
            raise Refusal(404, f"unknown model {name[:200]!r}; {hint}", "model_not_found", param="model")
        able = self.does(name)
        if does not in able:
            said = f"role {name} does {', '.join(able) or 'nothing that is served'}, and not {does}"
            raise Refusal(400, said, "unsupported_model", param="model")
        return name

    @property
    def names(self) -> tuple[str, ...]:
        """What `model` may be: a role, or what they make up together."""
        whole = self.lending.whole
        return (*self.roles, *(() if whole is None or whole.name in self.roles else (whole.name,)))

    def is_whole(self, name: str) -> bool:
        """Whether it is no role, but what they make up together."""
        return name not in self.roles

    def does(self, name: str) -> list[str]:
        """What a role may be asked for: `chat` (with `pictures`), `images`, `embeddings`, `states`."""
        if self.is_whole(name):
            return ["chat", *(["pictures"] if any(role.images for role in self.roles.values()) else [])]
        role = self.roles[name]
        if role.runs_with.memory == "pipeline":
            return ["images"]
        if role.images:
            return ["chat", "pictures"]
        if name in self.lending.elsewhere:
            return ["chat"] if role.runs_with.writes else []
        model = self.lending.plan.models.get(role.model)
        able = ["chat"] if name in self.lending.desks and not _encodes(model) else []
        able += ["embeddings"] if role.runs_with.states and not role.labels else []
        return able + (["states"] if self.lending.captured(name) else [])

    async def texts(self, name: str, wanted: Wanted) -> AsyncIterator[Piece | Reply]:
        """What a role that writes makes of a chat, as it comes."""
        with self.queue.place(name) as place:
            source = self._elsewhere(name, wanted) if name in self.lending.elsewhere else None
            job = Job(wanted.ask, wanted.sampling)
            events = source or self.lending.desks[name].answer(job)
            async with aclosing(events):  # type: ignore[type-var]
                async for each in events:
                    if each == BEGUN:
                        place.begun()
                    elif isinstance(each, Piece | Reply):
                        self._note(place, each, wanted.ask.pieces)
                        yield each

    def _note(self, place: Place, each: Piece | Reply, streams: bool) -> None:
        seconds = time.monotonic() - place.asked
        if isinstance(each, Reply):
            self.metrics.answered(place.role, seconds, each.prompt_tokens, len(each.tokens))
        elif streams and not place.heard:
            place.heard = True
            self.metrics.first(place.role, seconds)

    async def _elsewhere(self, name: str, wanted: Wanted) -> AsyncIterator[str | Reply]:
        """Of a role that another machine holds, or a script."""
        yield BEGUN
        engine, ask, sampling = self.lending.elsewhere[name], wanted.ask, wanted.sampling
        (found,) = await asyncio.to_thread(engine.generate, [ask.prompt], sampling, [ask.seed])
        if isinstance(found, Failure):
            raise Refusal(502, f"role {name}: {found.reason}", "role_failed")
        yield found

    async def told(self, name: str, asked: Asked) -> Told:
        """What the whole workload answers."""
        whole = self.lending.whole
        assert whole is not None
        room = max((self.lending.room(role) for role in self.lending.plan.roles), default=2**62)
        check_characters(name, (each.text for each in asked.said), room, "messages")
        with self.queue.place(name) as place:
            found = await whole.answer(asked, place.begun)
            seconds = time.monotonic() - place.asked
            self.metrics.answered(name, seconds, found.prompt_tokens, found.new_tokens)
        if found.failed and not found.text:
            raise Refusal(502, f"{name}: {found.failed}", "role_failed")
        return found

    async def seen(self, name: str, question: Question, sampling: Sampling, seed: int) -> Reply:
        """What a role that looks at pictures says of one."""

        def look(lent: object) -> Reply | Failure:
            check_characters(name, [question.text], self.lending.room(name), "messages")
            viewer = cast("Viewer", cast("Lent", lent).engine)
            (found,) = viewer.view([question], sampling, [seed])
            return found

        found = await self._lent(name, look)
        if isinstance(found, Failure):
            raise Refusal(400, f"role {name}: {found.reason}", "invalid_image", param="messages")
        return found

    async def painted(self, name: str, prompt: str, canvas: Canvas, seed: int) -> Painting:
        """A picture by a role that paints."""

        def paint(lent: object) -> Painting | Failure:
            check_characters(name, [prompt], self.lending.room(name), "prompt")
            painter = cast("Painter", cast("Lent", lent).engine)
            (found,) = painter.paint([prompt], canvas, [seed])
            return found

        found = await self._lent(name, paint)
        if isinstance(found, Failure):
            raise Refusal(500, f"role {name}: {found.reason}", "role_failed")
        return found

    async def embedded(self, name: str, texts: list[str]) -> tuple[list[list[float]], int]:
        """A vector of length 1 of each text, and the tokens of all of them."""
        room, batch = self.lending.room(name), self.lending.batch(name)

        def embed(lent: object) -> tuple[list[list[float]], int]:
            engine = cast("Lent", lent).engine
            assert isinstance(engine, Embedding)
            tokens = 0
            for begin in range(0, len(texts), batch):  # the first that is too long ends it
                some = texts[begin : begin + batch]
                for text in some:
                    check_characters(name, [text], room, "input")
                lengths = cast("Any", engine).lengths(some)
                if max(lengths) > room:
                    raise too_long(name, max(lengths), room, "input")
                tokens += sum(lengths)
            return engine.embed(texts, batch).tolist(), tokens

        return await self._lent(name, embed)

    async def states(self, name: str, text: str, sites: Sequence[str]) -> bytes:
        """Hidden states of a text, as safetensors."""
        from ullage.serving.reading import states_of

        lending = self.lending

        def read(lent: object) -> bytes:
            loaded = cast("Lent", lent).loaded
            assert isinstance(loaded, Loaded)
            return states_of(
                loaded,
                lending.plan,
                name,
                lending.captured(name),
                text,
                sites,
                lending.room(name),
                lending.session.say,
            )

        return await self._lent(name, read)

    async def _lent(self, name: str, work: Callable[[object], T]) -> T:
        """`work` of what is lent, in its device's thread."""
        with self.queue.place(name) as place:
            async with self.lending.pool.lease(name) as lease:
                place.begun()
                return await lease.run(work)

    async def with_news(self, name: str, events: AsyncIterator[T]) -> AsyncIterator[T | Waiting]:
        """The same, and where the role is for as long as nothing comes."""
        begun, coming = time.monotonic(), asyncio.ensure_future(anext(events))
        try:
            while True:
                await asyncio.wait({coming}, timeout=LOOKS_SECONDS)
                if not coming.done():
                    yield Waiting(f"{self.where(name)}; waited {time.monotonic() - begun:.0f} s")
                    continue
                try:
                    found = coming.result()
                except StopAsyncIteration:
                    return
                coming = asyncio.ensure_future(anext(events))
                yield found
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await cast("Any", events).aclose()

    def where(self, name: str) -> str:
        """Where a role is, in words."""
        if self.is_whole(name):
            return f"{self.queue.waiting} wait for {name}"
        for role in self.lending.pool.snapshot().roles:
            if name in (role.name, *role.aliases):
                return f"role {name} is {'being loaded' if role.where == 'moving' else 'on ' + role.where}"
        return f"role {name} is held elsewhere"


def _encodes(model: object) -> bool:
    return isinstance(model, Architecture) and model.encodes
