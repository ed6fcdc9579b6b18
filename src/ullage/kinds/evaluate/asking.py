"""How a question is put to a model: instruction, worked examples, earlier turns, chat or plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ullage.kinds.evaluate.questions import Question
from ullage.workloads.templates import fill

Style = Literal["short", "long"]
INSTRUCTIONS: Final[dict[Style, str]] = {
    "short": "Answer the question as briefly as possible.",
    "long": "Answer the question in one complete sentence.",
}
UNANSWERABLE: Final = "unknown"
"""The answer of a worked example that has no reference."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The way all questions of a run are asked.

    `template` holds `{question}` and may hold `{context}`; a question without context leaves that line out.
    `instruction` None takes the style's; "" gives none. `chat` sends messages, else one text that ends with
    `Answer:`, which a model goes on with.
    """

    style: Style = "short"
    chat: bool = True
    instruction: str | None = None
    template: str = "{context}\n{question}"
    shots: tuple[Question, ...] = ()

    def prompt(self, question: Question) -> str | tuple[dict[str, str], ...]:
        """What the model is given. No reference of `question` itself is in it."""
        instruction = INSTRUCTIONS[self.style] if self.instruction is None else self.instruction
        turns = self._turns(question)
        if not self.chat:
            told = [f"Question: {asked}\nAnswer: {answer}" for asked, answer in turns]
            parts = [instruction, *told, f"Question: {self._asked(question, not question.history)}\nAnswer:"]
            return "\n\n".join(part for part in parts if part)
        said = [{"role": "system", "content": instruction}] if instruction else []
        for asked, answer in turns:
            said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        return (*said, {"role": "user", "content": self._asked(question, not question.history)})

    def _turns(self, question: Question) -> list[tuple[str, str]]:
        """Worked examples and the question's own history; the context stands where it is first needed."""
        turns = [
            (self._asked(shot, True), shot.references[0] if shot.references else UNANSWERABLE)
            for shot in self.shots
            if shot.id != question.id
        ]
        for place, (asked, answer) in enumerate(question.history):
            earlier = Question("", asked, (), question.context)
            turns.append((self._asked(earlier, place == 0), answer))
        return turns

    def _asked(self, question: Question, with_context: bool) -> str:
        context = question.context if with_context else ""
        text = fill(self.template, {"question": question.question, "context": context})
        return "\n".join(line for line in text.splitlines() if line.strip()).strip()


def stops(style: Style, chat: bool) -> tuple[str, ...]:
    """Where a plain-text answer ends: at its line's end, or where the model invents the next question."""
    if chat:
        return ()
    return ("\n",) if style == "short" else ("\n\n", "\nQuestion:")
