"""The texts of an extraction, one after another: what is wrong with one is said with its line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from ullage.capture.tokens import Tokenized, count_records, read_records, tokenize
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.kinds.extract.section import Section
from ullage.phases.blocks import base_work
from ullage.runtime.loader import load_tokenizer
from ullage.runtime.session import Session
from ullage.runtime.tokenizer import Tokenizer, special_ids
from ullage.spec.capture import Capture
from ullage.spec.positions import lacking

AHEAD: Final = 1000
AHEAD_TOKENS: Final = 2**18
Read = tuple[Tokenized, int]
"""A record with its number of tokens."""


@dataclass(slots=True)
class Texts:
    """Every record of the input that a run reads, as the plan allows it; none is held but those that
    `look_ahead` read, until they are asked for.

    `longest` is that of those read so far, in tokens, before any was cut.
    """

    session: Session
    section: Section
    name: str
    whole: Architecture
    planned: int = field(init=False)
    longest: int = 0
    _input: str = field(init=False)
    _tokenizer: Tokenizer | None = field(init=False)
    _ahead: deque[Read] = field(init=False, default_factory=deque)
    _coming: Iterator[Read] = field(init=False, default=iter(()))

    def __post_init__(self) -> None:
        """Raises InputError where no input is named."""
        if self.section.input is None:
            raise InputError("extract: input: is missing; name a file of JSON lines with text or tokens")
        self._input = self.section.input
        plan, workload = self.session.plan, self.session.workload
        self.planned = base_work(self.name, workload).prompt_tokens
        self._tokenizer = load_tokenizer(workload.roles[self.name], plan.base, self.session.download)
        for index, capture in enumerate(workload.captures):
            if capture.positions == "not-special" and self._tokenizer is None:
                raise InputError(
                    f"captures.{index}.positions: not-special asks the tokenizer which tokens those are, and "
                    f"{workload.roles[self.name].model} has none"
                )

    @property
    def special(self) -> frozenset[int]:
        """Ids of special tokens, where a tokenizer says which those are."""
        return frozenset() if self._tokenizer is None else special_ids(self._tokenizer)

    @property
    def count(self) -> int:
        """How many records there are."""
        if self.session.part is not None:
            return self.session.part.records
        return count_records(self.session.path(self._input))

    def look_ahead(self) -> None:
        """Reads the first AHEAD records or AHEAD_TOKENS, so that what is wrong there is said before anything
        is done. Raises InputError."""
        self._coming, tokens = self._read(), 0
        for each in self._coming:
            self._ahead.append(each)
            tokens += each[1]
            if len(self._ahead) == AHEAD or tokens >= AHEAD_TOKENS:
                return

    def __iter__(self) -> Iterator[Read]:
        """Each with its number of tokens, once. Raises InputError for one that cannot be read, naming its
        line."""
        while self._ahead:
            yield self._ahead.popleft()
        yield from self._coming

    def _read(self) -> Iterator[Read]:
        section = self.section
        captures = self.session.workload.captures
        spans = [c.span_tokens or 1 for c in captures if c.positions == "span"]
        listed = [(index, c) for index, c in enumerate(captures) if not isinstance(c.positions, str)]
        part = self.session.part
        records = read_records(self.session.path(self._input), section.text_field, part=part)
        given = (self._input, self._tokenizer, self.whole.vocab_size)
        for record in tokenize(records, *given, section.text_field, section.special_tokens, part):
            self.longest = max(self.longest, len(record.tokens))
            kept = self._within_plan(record)
            if section.backward and len(kept.tokens) < 2:
                raise InputError(
                    f"{self._input}:{record.line}: record {record.id!r} has one token, and so no next one "
                    "and no loss to go back from; leave it out"
                )
            for most in spans:
                self._check_span(kept, most)
            for index, capture in listed:
                self._check_positions(kept, index, capture)
            yield kept, len(kept.tokens)

    def _within_plan(self, record: Tokenized) -> Tokenized:
        most = self.planned
        if len(record.tokens) <= most:
            return record
        if self.section.too_long == "error":
            raise InputError(
                f"{self._input}:{record.line}: record {record.id!r} has {len(record.tokens):,} tokens, the "
                f"plan is for prompt_tokens: {most:,}; raise it, or set extract.too_long: truncate"
            )
        return replace(record, tokens=record.tokens[:most], offsets=record.offsets[:most])

    def _check_positions(self, record: Tokenized, index: int, capture: Capture) -> None:
        missing = lacking(capture.positions, len(record.tokens))
        if missing is not None:
            raise InputError(
                f"{self._input}:{record.line}: record {record.id!r} has {len(record.tokens):,} tokens and no "
                f"position {missing}, which captures.{index}.positions names; leave one of them out (ranges "
                "as [[begin, end]] take what there is)"
            )

    def _check_span(self, record: Tokenized, most: int) -> None:
        where = f"{self._input}:{record.line}: record {record.id!r}"
        if record.span is None:
            raise InputError(f"{where} has no span, which positions: span reads")
        begin, end = record.span
        if end > len(record.tokens):
            raise InputError(f"{where}: its span ends beyond its tokens")
        if end - begin > most:
            raise InputError(f"{where}: its span has {end - begin} tokens, span_tokens is {most}")
