"""The states of a fit's dialogues: read by the run's own model, kept in the run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ullage.capture.counted import read_counted
from ullage.capture.reader import Reader
from ullage.capture.store import Example
from ullage.capture.stored import open_states
from ullage.capture.tokens import Tokenized
from ullage.engines.turns import Row, Turns
from ullage.phases.fits import verb_of
from ullage.probes.data import Texts
from ullage.probes.dialogues import Dialogues, match
from ullage.probes.standing import Frames
from ullage.records.fits import STAGE
from ullage.runtime.layout import find_layout
from ullage.runtime.loader import load_tokenizer
from ullage.runtime.session import Session


def stage_of(probe: str, part: str = "") -> str:
    """What the reading of a part of a fit's dialogues is called in the journal."""
    return f"{STAGE}{probe}.{part}" if part else f"{STAGE}{probe}"


def read_stage(session: Session, turns: Turns, probe: str, part: str, texts: Texts) -> Dialogues:
    """Dialogues with their states, of which those are read that are not on disk yet."""
    stage = stage_of(probe, part)
    role = session.workload.probes[probe].role or next(iter(session.workload.roles))
    if not turns.store(stage).finished:
        _read(session, turns, role, verb_of(probe), stage, texts.tokenized)
    turns.states.finish()  # whose index a kill may have come before
    stored = open_states(session.folder.path).of(role, stage)
    settings = session.workload.roles[role]
    frames = Frames(lambda: load_tokenizer(settings, session.plan.base, session.download))
    sites = [site for site in session.workload.probes[probe].sites if site in stored.sites]
    return match(texts.labelled, stored, sites, texts.where, texts.absent, frames)


def _read(
    session: Session, turns: Turns, role: str, verb: str, stage: str, texts: Sequence[Tokenized]
) -> None:
    """Reads texts batch by batch; the states of a batch are on disk before the journal names it."""
    turns.engine(role, verb)
    loaded, phase = session.loaded[role], session.phase(role, verb)
    chunk = phase.work.chunk_tokens
    points = turns.states.points(phase, (chunk is not None, False))
    reader = Reader(
        loaded.model,
        find_layout(loaded.model),
        points,
        chunk_tokens=chunk,
        stop=not loaded.offloaded,
        device=loaded.device,
    )

    def unit(batch: Sequence[tuple[int, Tokenized]]) -> list[Row]:
        tokens = [one.tokens for _, one in batch]
        spans = [one.span or (0, len(one.tokens)) for _, one in batch]
        read = read_counted(session.live, tokens, lambda: reader.read(tokens, spans))
        turns.states.keep(role, read, points, [*_about(batch, role, stage)])
        return [
            {"index": number, "id": one.id, "length": len(one.tokens), "span": one.span}
            for number, one in batch
        ]

    turns.work(stage, role, verb, ((one, len(one.tokens)) for one in texts), unit, total=len(texts))


def _about(batch: Sequence[tuple[int, Tokenized]], role: str, stage: str) -> Iterator[Example]:
    for number, one in batch:
        yield Example(number, one.id, one.text, one.tokens, one.offsets, 0, {}, role, stage)
