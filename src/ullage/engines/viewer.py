"""Answers to questions about pictures, by a transformers model in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from ullage.capture.chats import render_chat
from ullage.capture.spelling import decode
from ullage.engines.engine import Failure, Reply, Sampling
from ullage.engines.pictures import open_picture
from ullage.engines.prompts import PromptEncoder
from ullage.engines.row import first_stop
from ullage.engines.writing import end_tokens
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.phases.phase import Work
from ullage.runtime.layout import find_layout
from ullage.runtime.processor import Processor, open_processor
from ullage.runtime.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from ullage.runtime.loader import Loaded

COLDEST: Final = 1e-6
"""A temperature below which the likeliest token is taken: logits of 32 bits divided by it might overflow."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a picture, which is a file or its bytes."""

    text: str
    picture: Path | bytes


class Room(NamedTuple):
    """What a plan has room for: tokens of a prompt, its picture's included, and elements of pixels."""

    tokens: int
    pixels: int


class Generating(Protocol):
    """What is used of transformers' models that write."""

    def generate(self, **options: object) -> Tensor:
        """(sequences, tokens): the prompts' ids, each followed by its reply's."""


class Viewer:
    """One loaded model that looks at a picture and writes.

    Invariant: a reply is what the model's processor and its own `generate` give, one question at a time.
    """

    def __init__(
        self,
        loaded: Loaded,
        processor: Processor,
        name: str,
        room: Room | None = None,
        on_prefilled: Callable[[], None] = lambda: None,
    ) -> None:
        """`room` is what was planned for; `on_prefilled` is called when a prompt was read and its reply
        begins."""
        self._model = cast("Generating", loaded.model)
        self._device, self._processor, self._name, self._room = loaded.device, processor, name, room
        self._encoder = PromptEncoder(loaded.tokenizer, name, find_layout(loaded.model).rows)
        self._ends = end_tokens(loaded.model)
        self._on_prefilled = on_prefilled

    def view(
        self, questions: Sequence[Question], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each question; a Failure for a picture that is none, is too large or breaks off, and for
        one that takes more than was planned."""
        found: list[Reply | Failure] = []
        for question, seed in zip(questions, seeds, strict=True):
            try:
                inputs = self.inputs(question)
            except InputError as error:
                found.append(Failure(str(error)))
                continue
            problem = self._beyond(inputs)
            found.append(Failure(problem) if problem else self._reply(inputs, sampling, seed))
        return found

    def inputs(self, question: Question) -> Mapping[str, Tensor]:
        """What the model is given for a question. Raises InputError, as `open_picture` and a chat's template
        do."""
        picture = open_picture(question.picture)
        said = [{"type": "image"}, {"type": "text", "text": self._encoder.inert(question.text)}]
        text = render_chat(self._processor, [{"role": "user", "content": said}], self._name, invite=True)
        return self._processor(images=[picture], text=[text], return_tensors="pt")

    def _beyond(self, inputs: Mapping[str, Tensor]) -> str:
        """Why a question takes more than was planned; "" where it does not."""
        tokens, pixels = inputs["input_ids"].shape[1], inputs["pixel_values"].numel()
        if self._room is None or (tokens <= self._room.tokens and pixels <= self._room.pixels):
            return ""
        return (
            f"the question and its picture take {tokens:,} tokens and {pixels:,} elements of pixels, and the "
            f"plan has room for {self._room.tokens:,} and {self._room.pixels:,}; give the role its "
            "image_size, or more prompt_tokens"
        )

    def _reply(self, inputs: Mapping[str, Tensor], sampling: Sampling, seed: int) -> Reply:
        import torch
        from transformers import StoppingCriteriaList

        given = {name: tensor.to(self._device) for name, tensor in inputs.items()}
        chance: dict[str, object] = {"do_sample": False}
        if sampling.temperature > COLDEST:
            chance = {"do_sample": True, "top_k": 0, "top_p": sampling.top_p}
            chance["temperature"] = sampling.temperature
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(seed)
            ids = self._model.generate(
                **given,
                **chance,
                max_new_tokens=sampling.new_tokens,
                stopping_criteria=StoppingCriteriaList([_Begun(self._on_prefilled)]),
            )
        prompt = given["input_ids"].shape[1]
        return self._made(ids[0, prompt:].tolist(), prompt, sampling)

    def _made(self, tokens: list[int], prompt: int, sampling: Sampling) -> Reply:
        """What was written, up to its end or a stop sequence."""
        ended = bool(tokens) and tokens[-1] in self._ends
        tokens = tokens[:-1] if ended else tokens
        text = decode(self._encoder.tokenizer, tokens)
        cut = first_stop(text, sampling.stop)
        if cut is not None:
            return Reply(text[:cut], "stop", prompt)
        pieces = tuple(self._encoder.tokenizer.convert_ids_to_tokens(tokens))
        return Reply(text, "end" if ended else "length", prompt, tuple(tokens), pieces)


class _Begun:
    """A stopping criterion that never stops: it is asked once a token was chosen, and tells of the first."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def __call__(self, ids: Tensor, scores: Tensor, **_: object) -> torch.Tensor:
        import torch

        if self._tell is not None:
            self._tell()
            self._tell = None
        return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)


def open_viewer(session: Session, name: str) -> Viewer:
    """Role `name` as one that sees; its model is loaded where the plan puts it unless it is there already."""
    return viewer_of(session, name, session.load(name))


def viewer_of(session: Session, name: str, loaded: Loaded) -> Viewer:
    """The same of a role whose model is loaded."""
    role = session.workload.roles[name]
    processor = open_processor(role, session.plan.base, session.download)
    phase, model = session.planned(name), session.plan.models.get(role.model)
    room = None if phase is None or not isinstance(model, Architecture) else room_of(phase.work, model)
    return Viewer(loaded, processor, role.model, room, session.reading_done)


def room_of(work: Work, model: Architecture) -> Room | None:
    """What a plan has room for in one sequence of `work`; None of a model that takes no pictures."""
    if model.vision is None or not work.images:
        return None
    picture = model.vision.lay(work.image_size)
    return Room(work.prompt_tokens + work.images * picture.tokens, work.images * picture.pixels)
