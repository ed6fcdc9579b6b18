"""Chats as a model's own template writes them: a stranger's program, which is held to time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol

from ullage.errors import InputError, UnsupportedError
from ullage.runtime.bounded import TooLongError, bounded
from ullage.units import MIB

MOST_SECONDS: Final = 5.0
"""Of computing, for one chat; templates take some tens of microseconds."""
ROOM: Final = 512 * MIB
"""Bytes that the process may grow by meanwhile, beside those of the messages."""
OWN_CHARACTERS: Final = 2**20
"""What a template may write of its own; that of a model with tools has some thousands."""
REPEATS: Final = 4
"""How often it may write what the messages say."""


Said = Mapping[str, str] | Mapping[str, str | Sequence[Mapping[str, str]]]
"""A message: `role`, and as `content` a text, or parts of which each is a text or stands for a picture."""


class Templated(Protocol):
    """What writes chats by a template: a tokenizer, or a processor of texts and pictures."""

    chat_template: object

    def apply_chat_template(
        self, conversation: list[dict[str, object]], *, tokenize: bool, add_generation_prompt: bool
    ) -> object:
        """The text of a chat, where it is not to be tokenized."""


def render_chat(tokenizer: Templated, messages: Sequence[Said], where: str, invite: bool) -> str:
    """Messages as the tokenizer's template writes them; `invite` adds the beginning of a reply.

    Raises UnsupportedError, beginning with `where`, for a tokenizer without a template, and InputError for
    messages that the template refuses, or that it does not come to an end with.
    """
    if not tokenizer.chat_template:
        raise UnsupportedError(
            f"{where}: the model's tokenizer has no chat template; give plain text instead"
        )
    if _raises_to_powers(str(tokenizer.chat_template)):
        raise UnsupportedError(f"{where}: the model's chat template raises to a power, which has no bound")
    size = sum(_characters(one) for message in messages for one in message.values())
    try:
        with bounded(MOST_SECONDS, ROOM + 64 * size):
            text = tokenizer.apply_chat_template(
                [dict(one) for one in messages], tokenize=False, add_generation_prompt=invite
            )
    except TooLongError:
        raise InputError(
            f"{where}: the model's chat template does not end within {MOST_SECONDS:g} s"
        ) from None
    except MemoryError:
        raise InputError(f"{where}: the model's chat template takes more than {ROOM // MIB} MiB") from None
    except Exception as error:  # whatever a template can be made to raise
        raise InputError(f"{where}: {_said(error)}") from error
    assert isinstance(text, str)
    if len(text) > OWN_CHARACTERS + REPEATS * size:
        raise InputError(f"{where}: the model's chat template makes {len(text):,} characters of {size:,}")
    return text


def _characters(said: str | Sequence[Mapping[str, str]]) -> int:
    return len(said) if isinstance(said, str) else sum(len(one) for part in said for one in part.values())


def _said(error: Exception) -> str:
    """What a template raised on purpose, or what it tripped over."""
    from jinja2 import TemplateError

    if isinstance(error, TemplateError):
        return f"the model's chat template refuses them: {error}"
    return f"the model's chat template fails: {type(error).__name__}: {error}"


@lru_cache(maxsize=16)
def _raises_to_powers(template: str) -> bool:
    """Whether a template has the one operator whose single step can take for ever."""
    from jinja2 import Environment, TemplateError

    try:
        return any(kind == "operator" and value == "**" for _, kind, value in Environment().lex(template))
    except TemplateError:
        return False  # rendering says what is wrong
