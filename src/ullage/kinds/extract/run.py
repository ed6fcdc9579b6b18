"""Runs an extraction: texts in, states of every record out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from ullage.capture.array_store import ArrayStore
from ullage.capture.backward import BackwardReader, reached
from ullage.capture.choosing import NOWHERE, short_of, some_of
from ullage.capture.counted import read_counted
from ullage.capture.entries import StoredBatches, read_entries
from ullage.capture.finite import not_finite, refused
from ullage.capture.gradients import GRADIENT, LOSS
from ullage.capture.index import check_writable
from ullage.capture.listener import ReadSequence
from ullage.capture.proofs import proof_of, proven_points, to_json
from ullage.capture.reader import Reader
from ullage.capture.spelling import generated_offsets
from ullage.capture.store import Example, ShardStore, Store
from ullage.capture.tokens import Tokenized
from ullage.engines.engine import Sampling
from ullage.engines.row import new_row, seed_of
from ullage.engines.writing import Writer, end_tokens
from ullage.engines.written import written_states
from ullage.errors import InputError, UnsupportedError
from ullage.facts.architecture import Architecture, Attention, LatentAttention
from ullage.kinds.extract.ending import conclude
from ullage.kinds.extract.phases import EXTRACT, all_captures
from ullage.kinds.extract.scores import score_texts
from ullage.kinds.extract.section import Section
from ullage.kinds.extract.texts import Texts
from ullage.memory.captures.sites import SEQUENCES_PER_PLANNED
from ullage.memory.captures.storage import kept_dtype
from ullage.phases.blocks import base_work, own_section
from ullage.runtime.batching import Done, Limits, Splitter, Window, release, windows
from ullage.runtime.layout import find_layout
from ullage.runtime.loader import Loaded
from ullage.runtime.malloc import KEEPING, REPEATED, holding_malloc
from ullage.runtime.reading import CPU
from ullage.runtime.session import Session
from ullage.spec.capture import Capture
from ullage.spec.positions import Range
from ullage.spec.rope import model_of
from ullage.units import parse_bytes

if TYPE_CHECKING:
    from torch import Tensor

AMPLE_TOKENS: Final = 512
AMPLE_TOKENS_ON_CARDS: Final = 4096
"""Padded tokens of a pass from which it is about as fast, token for token, as one of twice as many."""


def run(session: Session) -> None:
    """Reads every record the input has and stores its states, window by window of the input.

    Raises InputError for a record that cannot be read: for one of the first thousand before any model is
    loaded, for a later one after the states of those before it have been stored.
    """
    workload = session.workload
    section = own_section(workload, Section)
    name = next(iter(workload.roles))
    whole = model_of(workload.roles[name], session.plan.models)
    if workload.probes:
        score_texts(session, section)
        return
    captures = all_captures(name, workload, section)
    if workload.training is not None:
        raise UnsupportedError(
            "training: `ullage run` reads states and trains nothing; use ullage.Extractor in your own loop "
            "with with_gradients=True"
        )
    if not captures or not isinstance(whole, Architecture):
        raise InputError("captures: names no site to read; add captures with sites")
    check_writable()
    texts = Texts(session, section, name, whole)
    limits, done = _limits(name, session, captures, whole), _done(session)
    texts.look_ahead()
    measured = [min(texts, key=itemgetter(1))] if session.smallest else texts
    session.bring(session.phase(name, _verb(section)), session.load)
    loaded = session.loaded[name]
    layout = find_layout(loaded.model)
    ways = workload.memory.streaming_chunk_size is not None, section.generate
    points = proven_points(
        captures, layout, name=whole.name, depth=len(whole.layers), ways=ways, say=session.say
    )
    if section.store == "npy":
        _say_widened(session, captures, loaded)
    session.outcome["proofs"] = {name: to_json(proof_of(layout))}
    reader = Reader(
        loaded.model,
        layout,
        reached(points) if section.backward else points,
        chunk_tokens=workload.memory.streaming_chunk_size,
        stop=not loaded.offloaded,
        device=loaded.device,
        special=texts.special,
    )
    session.progress.start(f"{name} extract", 1 if session.smallest else texts.count, done.count)
    first = 0 if session.part is None else session.part.item
    _Extraction(session, section, name, reader, loaded).run(windows(measured, limits, done, first), limits)
    if session.part is None:
        conclude(session)
        session.told_longest(name, texts.longest, texts.planned)


def _say_widened(session: Session, captures: Iterable[Capture], loaded: Loaded) -> None:
    if any(kept_dtype(capture, loaded.precision.compute) == "bf16" for capture in captures):
        session.say("states are bf16, which numpy has not: .npy files hold them as fp32, the same numbers")


def _verb(section: Section) -> str:
    """What the role is planned to do: read states, or write and have them read."""
    return "" if section.generate else EXTRACT


def _limits(name: str, session: Session, captures: Sequence[Capture], whole: Architecture) -> Limits:
    """What a batch may hold: of texts that are only read, as many as the planned tokens allow, where nothing
    that is planned takes more for many short ones (a row of each kept at the end, blocks that pad)."""
    work = base_work(name, session.workload)
    tokens = work.batch * max(work.prompt_tokens, 1)
    section = own_section(session.workload, Section)
    if section.generate or section.backward:
        return Limits(tokens, work.batch)
    linear = (
        not whole.counted
        and all(capture.positions == "all" for capture in captures)
        and all(isinstance(layer.mixer, Attention | LatentAttention | None) for layer in whole.layers)
    )
    ample = AMPLE_TOKENS if session.monitor.devices == (CPU,) else AMPLE_TOKENS_ON_CARDS
    return Limits(tokens, tokens if linear else work.batch * SEQUENCES_PER_PLANNED, ample)


def _done(session: Session) -> Done:
    """What an earlier run has stored."""
    done = Done()
    for each in read_entries(session.journal.work):
        done.add(each.units, (example.index for example in each.examples))
    return done


class _Extraction:
    """Goes through the batches and stores what was read. Invariant: a batch is in the journal once its
    states are on disk, and never before."""

    def __init__(self, session: Session, section: Section, name: str, reader: Reader, loaded: Loaded) -> None:
        self._session, self._section, self._name = session, section, name
        self._reader, self._loaded, self._tokenizer = reader, loaded, loaded.tokenizer
        self._backward = BackwardReader(reader, section.use_reentrant) if section.backward else None
        self._new_tokens = base_work(name, session.workload).new_tokens

    def run(self, coming: Iterable[Window[Tokenized]], limits: Limits) -> None:
        session, store = self._session, self._store()
        splitter = Splitter(limits, release, session.say)
        with self._malloc(), session.monitor.inside(session.phase(self._name, _verb(self._section))):
            for window in coming:
                store.expect(window.begin, window.lengths, self._rows(window))
                for unit, batch in window.left.items():
                    self._do(unit, batch, window, splitter, store)
                session.examples += len(window.items)
                session.tokens += sum(window.lengths)
            self._keep(store.finish())
        session.splits = splitter.splits
        session.outcome |= short_of(self._reader.points, read_entries(session.journal.work))

    def _malloc(self) -> AbstractContextManager[None]:
        """On a processor: what passes free is for the next one, where hardly anything of a pass is kept."""
        if self._session.monitor.devices != (CPU,) or self._section.generate:
            return nullcontext()
        rows = all(point.capture.positions == "last" for point in self._reader.points)
        return holding_malloc(REPEATED if rows else KEEPING)

    def _do(
        self,
        unit: int,
        batch: Sequence[int],
        window: Window[Tokenized],
        splitter: Splitter,
        store: Store,
    ) -> None:
        """Reads a batch of a window and stores it."""
        read = splitter.run(batch, window.lengths, lambda places: self._read(window, places))
        self._hold([t for each in read for t in each.states.values()], store.held_bytes)
        wrong = not_finite([one.states for one in read])
        for place, found in zip(batch, wrong, strict=True):
            if found and not self._session.allow_nan:
                self._check_finite(window.items[place], found, store)
        examples = [self._example(window, *each) for each in zip(batch, read, wrong, strict=True)]
        del read  # a shard frees the states of each site as it writes them
        self._keep(store.add(unit, examples))
        self._session.progress.advance(len(batch), sum(window.lengths[place] for place in batch))

    def _check_finite(self, record: Tokenized, found: Mapping[str, int], store: Store) -> None:
        """Stops a run whose states are no numbers, unless they may be; what was done before is stored."""
        problem = refused(found, self._reader.points)
        if problem is None:
            return
        self._keep(store.finish())
        run = self._session.folder
        go_on = (
            f"what is done is kept, and `ullage run --resume {run.path} --allow-nan` goes on and counts them"
            if run.done
            else "allow_nan: true of the capture, or --allow-nan, keeps and counts them"
        )
        raise InputError(
            f"{self._section.input}:{record.line}: record {record.id!r}: {problem}; another precision may "
            f"not overflow; {go_on}"
        )

    def _hold(self, states: Sequence[Tensor], stored: int) -> None:
        """Says where the states of a batch lie; `stored` bytes of earlier ones wait in host memory."""
        for device in self._session.monitor.devices:
            size = self._session.bytes_on(device, states)
            self._session.hold(self._name, device, "captures", size + (stored if device == CPU else 0))

    def _store(self) -> Store:
        entries = read_entries(self._session.journal.work)
        states = self._session.folder.path / "states"
        if self._section.store == "safetensors":
            return ShardStore(states, parse_bytes(self._section.shard), entries)
        return ArrayStore(states, entries)

    def _rows(self, window: Window[Tokenized]) -> dict[str, list[int]]:
        """How many rows each site keeps of each record."""
        choosing = self._reader.choosing([one.tokens for one in window.items], _spans(window.items))
        rows = {point.name: choosing.rows(point.capture.positions) for point in self._reader.points}
        if self._backward is None:
            return rows
        return (
            rows
            | {f"{name}{GRADIENT}": each for name, each in rows.items()}
            | {LOSS: [1] * len(window.items)}
        )

    def _read(self, window: Window[Tokenized], batch: Sequence[int]) -> list[ReadSequence]:
        tokens = [window.items[place].tokens for place in batch]
        spans = _spans([window.items[place] for place in batch])
        if not self._section.generate:
            read = self._reader.read if self._backward is None else self._backward.read
            return read_counted(self._session.live, tokens, lambda: read(tokens, spans))
        session = self._session
        session.monitor.enter(session.phase(self._name))
        writer = _writer(self._loaded, self._reader.chunk_tokens, session.reading_done)
        seeds = [seed_of(self._section.seed, window.begin + place) for place in batch]
        rows = [new_row(prompt, seed) for prompt, seed in zip(tokens, seeds, strict=True)]
        sampling = Sampling(self._new_tokens, self._section.temperature)
        return written_states(self._reader, writer, rows, sampling, spans)

    def _example(
        self, window: Window[Tokenized], place: int, read: ReadSequence, wrong: Mapping[str, int]
    ) -> Example:
        record = window.items[place]
        text, offsets = record.text, list(record.offsets)
        new = read.tokens[read.prompt_tokens :]
        if new and text is not None and self._tokenizer is not None:
            text, added = generated_offsets(text, new, self._tokenizer)
            offsets += added
        offsets += [(-1, -1)] * (len(read.tokens) - len(offsets))
        return Example(
            window.begin + place,
            record.id,
            text,
            read.tokens,
            tuple(offsets),
            read.prompt_tokens,
            {name: _on_host(states) for name, states in read.states.items()},
            self._name,
            EXTRACT,
            positions=some_of(self._reader.points, read.positions),
            not_finite=wrong,
        )

    def _keep(self, stored: Sequence[StoredBatches]) -> None:
        for each in stored:
            self._session.journal.append(each.to_json())


def _spans(records: Iterable[Tokenized]) -> list[Range]:
    return [record.span or NOWHERE for record in records]


def _on_host(states: Tensor) -> Tensor:
    """States where they are written from; of what is there already nothing is asked, as each call of torch is
    watched."""
    return states if states.device.type == "cpu" else states.cpu()


def _writer(loaded: Loaded, chunk_tokens: int | None, on_prefilled: Callable[[], None]) -> Writer:
    """What goes on from texts; nothing in it looks for stop sequences."""
    ends = end_tokens(loaded.model)
    return Writer(loaded.model, loaded.device, ends, lambda _: "", chunk_tokens, on_prefilled)
