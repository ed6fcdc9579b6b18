"""A router without a model: the first rule that a request meets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ullage.kinds.assistant.routing.route import Chosen
from ullage.kinds.assistant.routing_section import Rule

LOOKED_AT: Final = 1000
"""Characters of a request that patterns are matched with: its beginning."""


class RuleRouter:
    """Chooses the specialist of the first rule that a text meets; where it meets none, nobody."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule.to, _compiled(rule)) for rule in rules]

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """The specialist of the first rule met by each text."""
        return [self._chosen(text) for text in texts]

    def _chosen(self, text: str) -> Chosen:
        for to, (words, pattern) in self._rules:
            if words is not None and words.search(text.casefold()):
                return Chosen(to)
            if pattern is not None and pattern.search(text[:LOOKED_AT]):
                return Chosen(to)
        return Chosen(None, problem="no rule meets the request")


def _compiled(rule: Rule) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """The rule's words as one pattern of texts without case, and its own."""
    words = None
    if rule.words:
        every = "|".join(re.escape(word.strip().casefold()) for word in rule.words)
        words = re.compile(rf"(?<!\w)(?:{every})(?!\w)")
    return words, None if rule.pattern is None else re.compile(rule.pattern)
