"""What a fit reads: labelled dialogues as the texts that a model is given, checked before one is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.capture.tokens import Tokenized, tokenize
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.phases.fits import verb_of
from ullage.probes.labels import Labelled, read_labels
from ullage.probes.parts import parted
from ullage.probes.writing_out import write_out
from ullage.runtime.loader import load_tokenizer
from ullage.runtime.session import Session
from ullage.runtime.tokenizer import Tokenizer
from ullage.spec.fitting import Fitting
from ullage.spec.rope import model_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Texts:
    """Dialogues that can be read, each with the text that is read of it; `absent` are ids of what is too
    long. `where` is their file."""

    labelled: tuple[Labelled, ...]
    tokenized: tuple[Tokenized, ...]
    absent: frozenset[str]
    where: str


@dataclass(frozen=True, slots=True)
class Room:
    """What a role may read: its tokenizer and vocabulary, tokens of a text and of what counts in it."""

    tokenizer: Tokenizer
    vocabulary: int
    tokens: int
    span_tokens: int
    skip_too_long: bool

    def texts(self, labelled: Sequence[Labelled], where: str) -> Texts:
        """Raises InputError, a line for each dialogue that cannot be read."""
        told = (
            "the plan is for {:,} (prompt_tokens of the fit, or of the role); raise them, or leave such out: "
            "skip_too_long: true"
        )
        written = write_out(labelled, self.tokenizer, self.tokens, where, self.skip_too_long, told)
        line_of = {one.id: one.line for one in labelled}
        wide = [each for each in written.texts if each.span_tokens > self.span_tokens]
        if wide:
            raise InputError(
                *(
                    f"{where}:{line_of[each.id]}: what counts of {each.id!r} spans {each.span_tokens:,} "
                    f"tokens, the fit's span_tokens is {self.span_tokens:,}"
                    for each in wide[:20]
                )
            )
        records: list[tuple[int, dict[str, object]]] = [
            (line_of[each.id], {"id": each.id, "text": each.text, "span": list(each.span)})
            for each in written.texts
        ]
        read = tuple(
            tokenize(records, where, self.tokenizer, self.vocabulary, "text", written.special_tokens)
        )
        absent = frozenset(written.too_long)
        return Texts(tuple(one for one in labelled if one.id not in absent), read, absent, where)


@dataclass(frozen=True, slots=True)
class Data:
    """All that the fit of one probe reads of `role`, while that does `verb`."""

    fit: Fitting
    role: str
    verb: str
    room: Room
    labelled: Texts
    control: Texts | None

    def without_roles(self, tested: NDArray[np.bool_]) -> Texts:
        """Dialogues that test, (dialogues,), without their system messages."""
        kept = [one.without_roles() for one, mine in zip(self.labelled.labelled, tested, strict=True) if mine]
        return self.room.texts(kept, self.labelled.where)


def read_data(session: Session, name: str, fit: Fitting) -> Data:
    """What the fit of probe `name` reads; of a smallest batch two dialogues. Raises InputError, a line for
    each mistake."""
    probe = session.workload.probes[name]
    role = probe.role or next(iter(session.workload.roles))
    settings = session.workload.roles[role]
    tokenizer = load_tokenizer(settings, session.plan.base, session.download)
    model = model_of(settings, session.plan.models)
    assert isinstance(model, Architecture)
    if tokenizer is None:
        raise InputError(f"probes.{name}.fit: {settings.model} has no tokenizer, so that no text can be read")
    work = session.phase(role, verb_of(name)).work
    (capture,) = work.captures
    room = Room(tokenizer, model.vocab_size, work.prompt_tokens, capture.span_tokens or 1, fit.skip_too_long)
    labelled = read_labels(session.path(fit.labels))
    if fit.without_roles and not labelled[0].messages:
        raise InputError(
            f"probes.{name}.fit.without_roles: takes labels of messages, and {fit.labels} has texts"
        )
    control = None if fit.control is None else read_labels(session.path(fit.control), unlabelled=True)
    if session.smallest:
        labelled, control = _two(labelled), None
    texts = room.texts(labelled, fit.labels)
    if not session.smallest:
        parted(texts.labelled, seed=fit.seed)
    ordinary = None if control is None else room.texts(control, fit.control or "")
    return Data(fit, role, verb_of(name), room, texts, ordinary)


def _two(labelled: Sequence[Labelled]) -> list[Labelled]:
    """One dialogue of each label, of one pair where there is one."""
    for one in labelled:
        if one.label:
            others = [each for each in labelled if each.label is False]
            mine = [each for each in others if each.pair and each.pair == one.pair]
            if mine:
                return [one, mine[0]]
    return [next(one for one in labelled if one.label), next(one for one in labelled if one.label is False)]
