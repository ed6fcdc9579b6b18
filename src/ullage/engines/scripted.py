"""Replays a file of replies: development without any model, and the test double of every other engine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.engines.engine import Engine, Failure, Prompt, Reply, Sampling
from ullage.engines.forms import said, together
from ullage.errors import EngineError, FormatError, InputError
from ullage.facts.bundled import DEVELOPMENT
from ullage.files import read_text
from ullage.spec.engine import EngineDescription
from ullage.spec.engine import Settings as EngineSettings

if TYPE_CHECKING:
    from ullage.runtime.session import Session


class Settings(EngineSettings):
    """A script has none."""

    def at_once(self) -> int:
        """Prompts of a batch."""
        return 32


LARGEST_SCRIPT: Final = 64 * 2**20
"""Bytes."""
LONGEST: Final = 3600.0
"""Seconds that a line may take."""

ENGINE: Final = EngineDescription(
    name="scripted",
    memory="none",
    settings=Settings,
    needs=(),
    install="ullage",
    opener="ullage.engines.scripted",
    writes=True,
    weighs=True,
    states=False,
    captures=False,
    trains=False,
    quantizes=lambda scheme: False,
    splits_layers=False,
    tensor_parallel=False,
    finds_prefixes=True,
    compiles=False,
    phases=(),
    layer_seconds=0.0,
)


def open_engine(session: Session, name: str) -> Engine:
    """The script of role `name`, read whole; DEVELOPMENT is one that comes with the package."""
    script = session.workload.roles[name].model
    if script == DEVELOPMENT:
        return ScriptedEngine(DEVELOPMENT, (stand_in(name),))
    return open_script(session.path(script))


def stand_in(name: str) -> Line:
    """What role `name` answers whatever it is given, where no model is: that none is, and what that was."""
    return Line("", _reply({"text": f"(development, no model) {name} was given: "}), {}, echoes=True)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a script: what a prompt must contain to be met by it, and what it is met with.

    One that `echoes` repeats the last message of the prompt behind its own text. It takes `seconds`.
    """

    contains: str
    reply: Reply | None
    scores: dict[str, float]
    echoes: bool = False
    seconds: float = 0.0


class ScriptedEngine:
    """Answers each prompt with the first line of the script whose `contains` is in it.

    JSON lines: `{"contains": "...", "text": "...", "logprobs": [...], "entropies": [...]}` for a reply,
    `{"contains": "...", "scores": {"yes": -0.1, "no": -2.3}}` for choices, or both; without `contains` a line
    meets every prompt. `"seconds": 0.2` has it take that long, as a model would; a batch takes as long as the
    slowest of its lines. The same prompt always gets the same answer, so runs can be repeated and resumed.
    `script` is what messages call it.
    """

    def __init__(self, script: str, lines: Sequence[Line]) -> None:
        self._script, self._lines = script, lines

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Words of each prompt."""
        return [len(_text(prompt).split()) + 1 for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """The script's replies. Raises EngineError for a prompt that no line meets."""
        found: list[Reply | Failure] = []
        for line, prompt in zip(self._all_met(prompts, "text"), prompts, strict=True):
            assert line.reply is not None
            found.append(_echoed(line.reply, prompt) if line.echoes else line.reply)
        return found

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The script's scores. Raises EngineError where a choice has none."""
        found: list[tuple[float, ...] | Failure] = []
        for line in self._all_met(prompts, "scores"):
            missing = [choice for choice in choices if choice.strip() not in line.scores]
            if missing:
                raise EngineError(f"{self._script}: the script has no score for the choice {missing[0]!r}")
            found.append(tuple(line.scores[choice.strip()] for choice in choices))
        return found

    def weigh(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The script's scores of each word, whatever forms it writes it in, together. Raises EngineError
        where a word has none."""
        found: list[tuple[float, ...] | Failure] = []
        for line in self._all_met(prompts, "scores"):
            scores = line.scores
            forms = [[scores[form] for form in scores if said(form) == said(word)] for word in words]
            missing = [word for word, own in zip(words, forms, strict=True) if not own]
            if missing:
                raise EngineError(f"{self._script}: the script has no score for the choice {missing[0]!r}")
            found.append(tuple(map(together, forms)))
        return found

    def _all_met(self, prompts: Sequence[Prompt], what: str) -> list[Line]:
        """The lines that a batch is met with, after as long as they take."""
        found = [self._met(prompt, what) for prompt in prompts]
        time.sleep(max((line.seconds for line in found), default=0.0))
        return found

    def _met(self, prompt: Prompt, what: str) -> Line:
        text = _text(prompt)
        for line in self._lines:
            if line.contains in text and (line.reply is not None if what == "text" else line.scores):
                return line
        raise EngineError(f"{self._script}: no line with {what!r} meets a prompt of {len(text)} characters")


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(said["content"] for said in prompt)


def _echoed(reply: Reply, prompt: Prompt) -> Reply:
    last = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    return _reply({"text": reply.text + last})


def open_script(path: Path) -> ScriptedEngine:
    """The engine that replays a file. Raises InputError where it cannot be read, FormatError where it is
    none."""
    try:
        raw = read_text(path, LARGEST_SCRIPT)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the script cannot be read: {error}") from error
    lines = [
        _line(text, f"{path}:{number}") for number, text in enumerate(raw.splitlines(), 1) if text.strip()
    ]
    if not lines:
        raise FormatError(f"{path}: the script has no lines")
    return ScriptedEngine(str(path), lines)


def _line(text: str, place: str) -> Line:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FormatError(f"{place}: not JSON: {error}") from error
    known = {"contains", "text", "scores", "logprobs", "entropies", "seconds"}
    if not isinstance(value, dict) or not set(value) <= known or not {"text", "scores"} & set(value):
        raise FormatError(f"{place}: not an object with 'text' or 'scores' (and: {', '.join(sorted(known))})")
    try:
        reply = _reply(value) if "text" in value else None
        scores = {str(name): float(weight) for name, weight in dict(value.get("scores", {})).items()}
        seconds = float(value.get("seconds", 0.0))
        if not 0 <= seconds <= LONGEST:
            raise ValueError(f"seconds are from 0 to {LONGEST:g}, not {seconds:g}")
    except (TypeError, ValueError) as error:
        raise FormatError(f"{place}: {error}") from error
    return Line(str(value.get("contains", "")), reply, scores, seconds=seconds)


def _reply(value: dict[str, Any]) -> Reply:
    text = str(value["text"])
    logprobs, entropies = (tuple(map(float, value.get(name, ()))) for name in ("logprobs", "entropies"))
    pieces = tuple(text.split())
    return Reply(text, "end", 0, (), pieces, (), logprobs, entropies)
