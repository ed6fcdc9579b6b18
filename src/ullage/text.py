"""Text from outside, as a line of ours may show it: it moves no cursor, forges no line and tells no secret.

Names, keys, ids, what templates and servers say: all of it passes here on its way to an error, the screen, a
log or a page, in the few places that write to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LONGEST_LINE: Final = 2000
"""Characters of one line; a longer one loses its middle."""
_KEPT_END: Final = 400
MOST_CAUSES: Final = 6
"""Errors behind an error that are told."""
_JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of words in Persian, Hindi and of emoji."""
_LEAST_SECRET: Final = 8
"""Characters; a shorter one would be found in many words."""
_HIDDEN: Final = "***"
_secrets: set[str] = set()


def keep_secret(value: str) -> None:
    """From here on `value` is shown nowhere: a key that was read from the environment."""
    if len(value) >= _LEAST_SECRET:
        _secrets.add(value)


def visible(text: str, keep: str = "") -> str:
    """`text` with what has no shape, or turns round what is read, written as Python escapes it.

    Control characters, line and paragraph separators, bidirectional marks and halves of characters; those in
    `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    from unicodedata import category

    kind = category(one)
    if kind in ("Zs", "Cn", "Co") or one in _JOINERS:
        return one
    return repr(one)[1:-1] if kind in ("Cc", "Cf", "Cs", "Zl", "Zp") else one


def one_line(text: str) -> str:
    """`text` as one line of a message: escaped, without secrets, and no longer than a person reads."""
    shown = visible(without_secrets(text[:LONGEST_LINE] + text[LONGEST_LINE:][-LONGEST_LINE:]))
    if len(shown) <= LONGEST_LINE:
        return shown
    return f"{shown[: LONGEST_LINE - _KEPT_END]} ... {shown[-_KEPT_END:]}"


def whole_text(error: BaseException | None) -> str:
    """What an error says and what led to it, each as `ValueError: ...` and once: a library may show only the
    last."""
    said: list[str] = []
    while error is not None and len(said) < MOST_CAUSES:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        if line not in said:
            said.append(line)
        error = error.__cause__ or error.__context__
    return " <- ".join(said)


def without_secrets(text: str) -> str:
    """`text` without passwords and tokens in addresses, and without keys that were read."""
    for secret in _secrets:
        text = text.replace(secret, _HIDDEN)
    if ":/" not in text:
        return text
    import re

    # A path made of an address has one slash.
    text = re.sub(r"(:/{1,2})[^/?#\s'\"]*@", rf"\1{_HIDDEN}@", text)
    return re.sub(
        rf"([?&](?:{'|'.join(_PARAMETERS)})=)[^&\s'\"]+", rf"\1{_HIDDEN}", text, flags=re.IGNORECASE
    )


def holds_secret(address: str) -> bool:
    """Whether an address has a password or a token in it."""
    return without_secrets(address) != address


_PARAMETERS: Final = (
    "api[-_]?key",
    "key",
    "token",
    "access[-_]token",
    "auth",
    "password",
    "secret",
    "sig",
    "signature",
)


def either(names: Iterable[str]) -> str:
    """`a, b or c`; of one that alone."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
