"""How replies are shown as they come: on a terminal with the scores of probes, or as lines of JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from ullage.documents import document
from ullage.errors import InputError
from ullage.text import one_line, visible
from ullage.workloads.said import ProbeScores, ReplyDocument, Said, Token

if TYPE_CHECKING:
    from ullage.probes.card import Card
    from ullage.probes.replies import ReplyScores

KEPT: Final = "\n\t"
"""What may rule the screen in a reply: nothing else does."""
COLOURS: Final = {False: ("36", "34", "1;34"), True: ("33", "31", "1;31")}
"""Of tokens below the threshold, and from it on: near it, usually far, and further than usual."""
NEAR, FAR = 0.5, 1.5
"""Distances from the threshold, in those usual in this talk (root of the mean square)."""


class Screen(Protocol):
    """Whatever shows replies."""

    def begin(self, help: str) -> None:
        """Before the first turn, at a terminal."""

    def show(self, each: Token | Said) -> None:
        """What came of a reply."""

    def end(self, said: Said) -> None:
        """After a reply, however it ended."""

    def refused(self, why: str) -> None:
        """A turn that got no reply."""


def screen_for(cards: Mapping[str, Card], json: bool, numbers: bool) -> Screen:
    """Lines of JSON, or text in the terminal's colours, unless NO_COLOR is set. Raises InputError."""
    if json and numbers:
        raise InputError("--numbers: is of what is shown; --json has every score")
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return JsonLines(cards) if json else Terminal(cards, colours, numbers)


def above(card: Card, score: float | None) -> bool | None:
    """Whether a reply's score reaches the threshold of a probe's card; None where either is missing."""
    return None if card.threshold is None or score is None else score >= card.threshold


class JsonLines:
    """A line of JSON for each reply."""

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self._cards = cards

    def begin(self, help: str) -> None:
        """Nothing is said beside the lines."""

    def show(self, each: Token | Said) -> None:
        """A reply is told whole."""

    def refused(self, why: str) -> None:
        """Raised where it came from."""

    def end(self, said: Said) -> None:
        """The reply's line."""
        line = ReplyDocument(
            said.text,
            said.stop,
            said.prompt_tokens,
            tuple(token.id for token in said.tokens),
            tuple(token.text for token in said.tokens),
            {name: self._heard(self._cards[name], found) for name, found in said.probes.items()},
            said.left_out,
        )
        print(json.dumps(document("chat-reply", ReplyDocument, line), ensure_ascii=False), flush=True)

    @staticmethod
    def _heard(card: Card, found: ReplyScores) -> ProbeScores:
        score = found["score"]
        return ProbeScores(tuple(found["tokens"]), score, card.threshold, above(card, score))


class Terminal:
    """Text as it comes. With probes each token carries the sign of the first one's score, seen from its
    threshold, its colour where there are `colours`, and all scores where `numbers` are asked for."""

    def __init__(self, cards: Mapping[str, Card], colours: bool, numbers: bool) -> None:
        self._cards, self._colours, self._numbers = cards, colours, numbers
        self._first = next(iter(cards), None)
        card = None if self._first is None else cards[self._first]
        self._middle = 0.0 if card is None or card.threshold is None else card.threshold
        self._squares = self._count = 0.0
        self._open = False
        self._signs = "\u207b", "\u207a"
        try:
            "".join(self._signs).encode(sys.stdout.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            self._signs = "-", "+"

    def begin(self, help: str) -> None:
        """How to go on, and what the marks mean."""
        print(f"({help})", file=sys.stderr)
        if self._first is not None:
            below, over = self._signs
            card = self._cards[self._first]
            what = "0, as its card has no" if card.threshold is None else f"{self._middle:.4g}, its card's"
            print(
                f"(probe {self._first}: {over} and yellow or red from {what} threshold on, {below} and cyan "
                "or blue below; twice, and bold, where it is further away than usual in this talk)",
                file=sys.stderr,
            )

    def show(self, each: Token | Said) -> None:
        """A token, marked."""
        if isinstance(each, Token):
            sys.stdout.write(self._marked(each))
            sys.stdout.flush()
            self._open = True

    def refused(self, why: str) -> None:
        """In a line of its own, as every mistake."""
        if self._open:
            print(flush=True)
            self._open = False
        for line in why.splitlines():
            print(f"ullage: {one_line(line)}", file=sys.stderr)

    def end(self, said: Said) -> None:
        """Ends the line; what each probe makes of the whole reply."""
        sys.stdout.write(" (stopped)\n" if said.stop == "stopped" else "\n")
        self._open = False
        for name, found in said.probes.items():
            sys.stdout.write(f"  {one_line(_whole(name, self._cards[name], found['score']))}\n")
        sys.stdout.flush()

    def _marked(self, token: Token) -> str:
        shown = visible(token.text, KEPT)
        if self._first is None:
            return shown
        word = shown.rstrip()
        score = token.scores[self._first]
        level, over = self._level(score)
        numbers = ""
        if self._numbers:
            numbers = " ".join("?" if one is None else f"{one:+.2f}" for one in token.scores.values())
            numbers = f"[{numbers}]"
        if not word and not numbers:
            return shown
        mark = "" if score is None else self._signs[over] * (1 + (level == 2))
        text = f"{word}{mark}{numbers}"
        if self._colours and score is not None:
            text = f"\x1b[{COLOURS[over][level]}m{text}\x1b[0m"
        return text + shown[len(word) :]

    def _level(self, score: float | None) -> tuple[int, bool]:
        """How far a score is from the threshold (0 near, 2 further than usual), and whether it reaches it."""
        if score is None:
            return 0, False
        far = score - self._middle
        self._squares, self._count = self._squares + far * far, self._count + 1
        usual = math.sqrt(self._squares / self._count)
        ratio = abs(far) / usual if usual else 0.0
        return (ratio > NEAR) + (ratio > FAR), far >= 0


def _whole(name: str, card: Card, score: float | None) -> str:
    if score is None:
        return f"{name}: no score, as there is no token, or its state is no number"
    reached = above(card, score)
    if reached is None:
        return f"{name}: {score:+.3f}; its card has no threshold"
    rate = "" if card.rate is None else f" (at most {card.rate:.1%} of {card.control})"
    return f"{name}: {score:+.3f}, {'above' if reached else 'below'} the threshold {card.threshold:.4g}{rate}"
