"""Scores of probes over given texts: one pass over each, of which nothing but the scores is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from ullage.capture.counted import read_counted
from ullage.capture.reader import Reader
from ullage.capture.tokens import Tokenized
from ullage.engines.turns import Row, Turns
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.fields import Fields
from ullage.kinds.extract.phases import EXTRACT
from ullage.kinds.extract.section import Section
from ullage.kinds.extract.texts import Texts
from ullage.phases.blocks import base_work
from ullage.probes.listening import OpenProbes, open_probes
from ullage.probes.replies import told
from ullage.runtime.layout import find_layout
from ullage.runtime.malloc import REPEATED, holding_malloc
from ullage.runtime.reading import CPU
from ullage.runtime.session import Session
from ullage.spec.rope import model_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES: Final = "scores"
"""The stage, and the file of its lines."""


def score_texts(session: Session, section: Section) -> None:
    """Reads every text once and keeps a line of scores for each, in `scores.jsonl`.

    Raises InputError for a text that cannot be read, as an extraction does.
    """
    (name,) = session.workload.roles
    whole = model_of(session.workload.roles[name], session.plan.models)
    if not isinstance(whole, Architecture):
        raise InputError(f"roles.{name}: a diffusion pipeline has no layers to read")
    turns, probes = Turns(session), open_probes(session, name)
    assert probes is not None
    if not turns.store(SCORES).finished:
        texts = Texts(session, section, name, whole)
        texts.look_ahead()
        _score(session, turns, name, texts, probes)
        session.told_longest(name, texts.longest, base_work(name, session.workload).prompt_tokens)
    for row in turns.store(SCORES).rows():
        session.examples += 1
        session.tokens += Fields(row, SCORES).whole("length")


def _score(session: Session, turns: Turns, name: str, texts: Texts, probes: OpenProbes) -> None:
    phase = session.phase(name, EXTRACT)
    session.bring(phase, session.load)
    turns.states.multiply(name, probes.projections.weights)
    loaded, chunk = session.loaded[name], session.workload.memory.streaming_chunk_size
    reader = Reader(
        loaded.model,
        find_layout(loaded.model),
        turns.states.projected(phase, (chunk is not None, False)),
        chunk_tokens=chunk,
        stop=not loaded.offloaded,
        device=loaded.device,
        special=texts.special,
    )

    def unit(batch: Sequence[tuple[int, Tokenized]]) -> list[Row]:
        tokens = [one.tokens for _, one in batch]
        read = read_counted(session.live, tokens, lambda: reader.read(tokens))
        found = turns.states.products(name, read)
        return [
            text_scores(number, one, probes, {site: each.cpu().numpy() for site, each in products.items()})
            for (number, one), products in zip(batch, found, strict=True)
        ]

    items = [min(texts, key=itemgetter(1))] if session.smallest else texts
    total = 1 if session.smallest else texts.count
    if session.monitor.devices == (CPU,):
        with holding_malloc(REPEATED):
            turns.work(SCORES, name, EXTRACT, items, unit, total=total)
    else:
        turns.work(SCORES, name, EXTRACT, items, unit, total=total)


def text_scores(
    number: int, one: Tokenized, probes: OpenProbes, products: Mapping[str, NDArray[np.float64]]
) -> Row:
    """The line of one text: of the tokens that count their ids and scores, of the whole its score, and if
    that reaches the threshold of the probe's card. `length` and `products` are of all its tokens."""
    places = list(counted_of(one))
    mine = {site: each[places] for site, each in products.items()}
    scores: dict[str, list[float | None]] = {}
    whole: dict[str, float | None] = {}
    flagged: dict[str, bool | None] = {}
    for name, card in probes.cards.items():
        read = probes.projections.read(name, mine)
        scores[name] = [told(float(each)) for each in read.scores()]
        score = whole[name] = told(read.score())
        flagged[name] = None if score is None or card.threshold is None else score >= card.threshold
    tokens = [one.tokens[place] for place in places]
    row: Row = {"index": number, "id": one.id, "length": len(one.tokens), "tokens": tokens, "scores": scores}
    return row | {"score": whole, "flagged": flagged}


def counted_of(one: Tokenized) -> Sequence[int]:
    """Positions that count of a text: those it names, its span, or all that are text of it."""
    if one.counted:
        return one.counted
    if one.span is not None:
        return range(*one.span)
    return [at for at, (begin, _) in enumerate(one.offsets) if begin >= 0] or range(len(one.tokens))
