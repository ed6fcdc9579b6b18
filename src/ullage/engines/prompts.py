"""Prompts as token ids, and how a model would write a given answer to one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from ullage.capture.chats import render_chat
from ullage.engines.engine import Prompt
from ullage.engines.forms import said
from ullage.errors import InputError, UnsupportedError
from ullage.runtime.tokenizer import Tokenizer, check_ids

REMEMBERED: Final = 4608
"""Prompts whose token ids are kept at hand, four bytes each: more than any window of prompts that are counted
first and read then, so that none is forgotten in between."""
JOINER: Final = "\u2060"


class PromptEncoder:
    """A tokenizer's way from prompts to ids. Chats go through its template and invite a reply.

    What a chat says cannot pretend to be the template: a special token written out in a message is broken by
    a word joiner, and so is read as the letters it is made of. Plain prompts are taken as they are.
    """

    def __init__(self, tokenizer: Tokenizer | None, model: str, rows: int | None = None) -> None:
        """`rows` are the model's embeddings; None where its engine checks ids itself."""
        if tokenizer is None:
            raise UnsupportedError(f"{model}: its folder has no tokenizer, so it cannot be given prompts")
        self.tokenizer, self._model, self._rows = tokenizer, model, rows
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        self._known: dict[str | tuple[tuple[str, str], ...], array[int]] = {}
        self._continuations: dict[str, tuple[int, ...]] = {}
        self._forms: dict[str, tuple[int, ...]] = {}
        special = {str(token) for token in added if getattr(token, "special", False)}
        self._special = sorted(special | set(tokenizer.all_special_tokens), key=len, reverse=True)

    def text(self, prompt: Prompt, answer: str | None = None) -> str:
        """The prompt as the model reads it, up to where its reply begins, or with a whole `answer`."""
        if isinstance(prompt, str):
            return prompt + (answer or "")
        said = [{**message, "content": self.inert(message["content"])} for message in prompt]
        if answer is not None:
            said.append({"role": "assistant", "content": answer})
        return render_chat(self.tokenizer, said, self._model, invite=answer is None)

    def inert(self, text: str) -> str:
        """A text that cannot pretend to be the template, nor a picture's place."""
        for token in self._special:
            text = text.replace(token, f"{token[0]}{JOINER}{token[1:]}")
        return text

    def ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Token ids; special tokens of plain text are the tokenizer's own, those of chats the template's.

        The last prompts are remembered: they are counted, put in batches and read one after the other.
        """
        return self.all_ids([prompt])[0]

    def begun(self, prompt: Prompt, begins: str) -> tuple[int, ...]:
        """The ids of a prompt, and of how its reply begins."""
        return self.ids(prompt) + tuple(self.tokenizer(begins, add_special_tokens=False)["input_ids"])

    def all_ids(self, prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
        """The same of many, which are tokenized together."""
        keys = [
            one if isinstance(one, str) else tuple((m["role"], m["content"]) for m in one) for one in prompts
        ]
        new = {key: one for key, one in zip(keys, prompts, strict=True) if key not in self._known}
        found = {key: self._known[key] for key in keys if key not in new}
        for special in (True, False):
            some = [(key, one) for key, one in new.items() if isinstance(one, str) is special]
            found |= zip(
                [key for key, _ in some], self._encoded([one for _, one in some], special), strict=True
            )
        for key in new:
            while len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = found[key]
        return [tuple(found[key]) for key in keys]

    def _encoded(self, prompts: Sequence[Prompt], special: bool) -> list[array[int]]:
        """Ids of prompts that are all plain texts, or all chats."""
        if not prompts:
            return []
        found = self.tokenizer([self.text(one) for one in prompts], add_special_tokens=special)["input_ids"]
        for ids in found:
            if not ids:
                raise InputError("a prompt is empty; a model needs at least one token to go on from")
            self._check(tuple(ids))
        return [array("I", ids) for ids in found]

    def _check(self, ids: tuple[int, ...]) -> None:
        if self._rows is not None:
            check_ids(ids, self._rows, self.tokenizer, self._model)

    def continuation(self, prompt: Prompt, answer: str) -> tuple[int, ...]:
        """The ids with which the model itself would write `answer` after `prompt`.

        A chat template may put white space before a reply (Llama 2's does): the answer's tokens are those
        after the template, not those of the bare word. How a template begins replies does not depend on what
        was asked, so that of a first chat holds for all.
        """
        chat = not isinstance(prompt, str)
        if chat and answer in self._continuations:
            return self._continuations[answer]
        written = answer
        if not isinstance(prompt, str):
            begun, whole = self.text(prompt), self.text(prompt, answer)
            if whole.startswith(begun) and answer in whole[len(begun) :]:
                rest = whole[len(begun) :]
                written = rest[: rest.index(answer) + len(answer)]
        ids = tuple(self.tokenizer(written, add_special_tokens=False)["input_ids"])
        if not ids:
            raise InputError(f"the choice {answer!r} has no tokens")
        self._check(ids)
        if chat:
            self._continuations[answer] = ids
        return ids

    def forms(self, word: str) -> tuple[int, ...]:
        """Every single token that is `word`, whatever its case and the white space around it."""
        if word not in self._forms:
            told = [word, f" {word}", word.capitalize(), f" {word.capitalize()}", word.upper(), word.lower()]
            ids = [self.tokenizer(each, add_special_tokens=False)["input_ids"] for each in told]
            found = {one[0] for one in ids if len(one) == 1}
            for token, number in self.tokenizer.get_vocab().items():
                if said(str(token)) == said(word):
                    found.add(number)
            rows = 2**62 if self._rows is None else self._rows
            self._forms[word] = tuple(sorted(number for number in found if number < rows))
        return self._forms[word]

    def spellings(self, prompt: Prompt, word: str) -> tuple[tuple[int, ...], ...]:
        """Every way a reply may begin with `word`: the single tokens that are it, and, where a reply to
        `prompt` would not begin with one of those, the tokens it is written with, small and capitalised."""
        singles = tuple((token,) for token in self.forms(word))
        written = dict.fromkeys(self.continuation(prompt, each) for each in (word, word.capitalize()))
        return singles if any(each in singles for each in written) else singles + tuple(written)
