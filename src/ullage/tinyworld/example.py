"""One labelled chat of the small world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the user and its answer.

    `answers` are all replies that are right (a lie has many); `answer` is the one a model is trained on.
    `details` are the parts the chat was made of, by the task's own names.
    """

    user: str
    answer: str
    answers: tuple[str, ...]
    details: dict[str, Any] = field(default_factory=dict)


def user_of(turn: Turn) -> str:
    """What the user says."""
    return turn.user


@dataclass(frozen=True, slots=True)
class Conversation:
    """Several turns under one system message; "" means that there is none."""

    task: str
    system: str
    turns: tuple[Turn, ...]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The whole chat, answers included, as `apply_chat_template` takes it."""
        said = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            said.append({"role": "user", "content": turn.user})
            said.append({"role": "assistant", "content": turn.answer})
        return said


def opening_of(conversation: Conversation) -> str:
    """What the user says first."""
    return conversation.turns[0].user


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and what may be answered: a conversation of one turn."""

    id: str
    task: str
    split: str
    system: str
    turn: Turn

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as `apply_chat_template` takes it; the answer is not in it."""
        return Conversation(self.task, self.system, (self.turn,)).messages[:-1]

    def accepts(self, reply: str) -> bool:
        """Whether `reply` is one of the right answers, apart from white space around it."""
        return reply.strip() in self.turn.answers

    def record(self) -> dict[str, Any]:
        """One line of JSON: id, task, split, messages, answer, answers and the task's details."""
        return {
            "id": self.id,
            "task": self.task,
            "split": self.split,
            "messages": self.messages,
            "answer": self.turn.answer,
            "answers": list(self.turn.answers),
            **self.turn.details,
        }
