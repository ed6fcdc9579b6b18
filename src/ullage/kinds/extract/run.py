"""Runs an extraction: texts in, states of every record out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ullage.capture.entries import StoredBatches, read_entries
from ullage.capture.index import write_index
from ullage.capture.listener import ReadSequence
from ullage.capture.proofs import proof_of, proven_points, to_json
from ullage.capture.reader import Reader
from ullage.capture.store import ArrayStore, Example, ShardStore, Store
from ullage.capture.tokens import Tokenized, generated_offsets, read_records, tokenize
from ullage.engines.engine import Sampling
from ullage.engines.row import new_row, seed_of
from ullage.engines.writing import Writer, end_tokens
from ullage.engines.written import written_states
from ullage.errors import InputError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.kinds.extract.phases import EXTRACT, all_captures
from ullage.kinds.extract.section import Section
from ullage.memory.captures.sites import SEQUENCES_PER_PLANNED
from ullage.phases.blocks import base_work, own_section
from ullage.runtime.batching import Limits, Splitter, batches_left, make_batches, release
from ullage.runtime.layout import find_layout
from ullage.runtime.loader import Loaded, load_tokenizer
from ullage.runtime.reading import CPU, device_name
from ullage.runtime.session import Session
from ullage.units import parse_bytes

if TYPE_CHECKING:
    from torch import Tensor


def run(session: Session) -> None:
    """Reads every record the input has and stores its states.

    Raises InputError for records that cannot be read, before any model is loaded.
    """
    workload = session.workload
    section = own_section(workload, Section)
    name = next(iter(workload.roles))
    work = base_work(name, workload)
    whole = session.plan.models[workload.roles[name].model]
    captures = all_captures(name, workload, section)
    if workload.training is not None:
        raise UnsupportedError(
            "training: `ullage run` reads states and trains nothing; use ullage.Extractor in your own loop "
            "with with_gradients=True"
        )
    if not captures or not isinstance(whole, Architecture):
        raise InputError("captures: names no site to read; add captures with sites")
    records = _records(session, section, name, whole, work.prompt_tokens)
    if session.smallest:
        records = [min(records, key=lambda record: len(record.tokens))]
    lengths = [len(record.tokens) for record in records]
    most = work.batch if section.generate else work.batch * SEQUENCES_PER_PLANNED
    limits = Limits(work.batch * max(work.prompt_tokens, 1), most)
    batches = make_batches(lengths, limits)
    session.bring(session.phase(name, _verb(section)), session.load)
    loaded = session.loaded[name]
    layout = find_layout(loaded.model)
    ways = workload.memory.streaming_chunk_size is not None, section.generate
    points = proven_points(
        captures, layout, name=whole.name, depth=len(whole.layers), ways=ways, say=session.say
    )
    session.outcome["proofs"] = {name: to_json(proof_of(layout))}
    reader = Reader(
        loaded.model,
        layout,
        points,
        chunk_tokens=workload.memory.streaming_chunk_size,
        stop=not loaded.offloaded,
        device=loaded.device,
    )
    extraction = _Extraction(session, section, name, reader, records, loaded, work.new_tokens)
    extraction.run(batches, lengths, limits)


def _verb(section: Section) -> str:
    """What the role is planned to do: read states, or write and have them read."""
    return "" if section.generate else EXTRACT


def _records(
    session: Session, section: Section, name: str, whole: Architecture, longest: int
) -> list[Tokenized]:
    if section.input is None:
        raise InputError("extract: input: is missing; name a file of JSON lines with text or tokens")
    role = session.workload.roles[name]
    path = session.path(section.input)
    tokenizer = load_tokenizer(role, session.plan.base, session.download)
    records = tokenize(
        read_records(path, section.text_field),
        section.input,
        tokenizer,
        whole.vocab_size,
        section.text_field,
        section.special_tokens,
    )
    for index, record in enumerate(records):
        if len(record.tokens) <= longest:
            continue
        if section.too_long == "error":
            raise InputError(
                f"{section.input}: record {record.id!r} has {len(record.tokens):,} tokens, the plan is for "
                f"prompt_tokens: {longest:,}; raise it, or set extract.too_long: truncate"
            )
        kept = record.tokens[:longest], record.offsets[:longest]
        records[index] = Tokenized(record.id, record.text, *kept, record.span)
    session.told_longest(name, max(len(record.tokens) for record in records), longest)
    for capture in session.workload.captures:
        if capture.positions == "span":
            _check_spans(section.input, records, capture.span_tokens or 1)
    return records


def _check_spans(where: str, records: Sequence[Tokenized], most: int) -> None:
    for record in records:
        if record.span is None:
            raise InputError(f"{where}: record {record.id!r} has no span, which positions: span reads")
        begin, end = record.span
        if end > len(record.tokens):
            raise InputError(f"{where}: record {record.id!r}: its span ends beyond its tokens")
        if end - begin > most:
            raise InputError(
                f"{where}: record {record.id!r}: its span has {end - begin} tokens, span_tokens is {most}"
            )


class _Extraction:
    """Goes through the batches and stores what was read. Invariant: a batch is in the journal once its
    states are on disk, and never before."""

    def __init__(
        self,
        session: Session,
        section: Section,
        name: str,
        reader: Reader,
        records: Sequence[Tokenized],
        loaded: Loaded,
        new_tokens: int,
    ) -> None:
        self._session, self._section, self._name = session, section, name
        self._reader, self._records = reader, records
        self._loaded, self._tokenizer, self._new_tokens = loaded, loaded.tokenizer, new_tokens

    def run(self, batches: list[tuple[int, ...]], lengths: Sequence[int], limits: Limits) -> None:
        session = self._session
        stored = read_entries(session.journal.work)
        done = {example.index for each in stored for example in each.examples}
        units = {unit for each in stored for unit in each.units}
        left = batches_left(batches, units, done, lengths, limits)
        store = self._store(lengths)
        splitter = Splitter(limits, release, session.say)
        session.progress.start(f"{self._name} extract", len(self._records), len(done))
        with session.monitor.inside(session.phase(self._name, _verb(self._section))):
            for unit, batch in left.items():
                read = splitter.run(batch, lengths, self._read)
                self._hold([t for each in read for t in each.states.values()], store.held_bytes)
                self._keep(store.add(unit, [self._example(i, r) for i, r in zip(batch, read, strict=True)]))
                session.progress.advance(len(batch), sum(lengths[i] for i in batch))
            self._keep(store.finish())
        session.splits = splitter.splits
        session.examples = sum(map(len, batches))
        session.tokens = sum(lengths[i] for batch in batches for i in batch)
        models = {self._name: session.workload.roles[self._name].model}
        index = write_index(session.folder.path / "states", read_entries(session.journal.work), models)
        session.outcome |= {name: index[name] for name in ("examples", "tokens", "sites")}

    def _hold(self, states: Sequence[Tensor], stored: int) -> None:
        """Says where the states of a batch lie; `stored` bytes of earlier ones wait in host memory."""
        for device in self._session.monitor.devices:
            size = sum(tensor.nbytes for tensor in states if device_name(tensor) == device)
            self._session.hold(self._name, device, "captures", size + (stored if device == CPU else 0))

    def _store(self, lengths: Sequence[int]) -> Store:
        entries = read_entries(self._session.journal.work)
        states = self._session.folder.path / "states"
        if self._section.store == "safetensors":
            return ShardStore(states, parse_bytes(self._section.shard), entries)
        return ArrayStore(states, lengths, self._rows(lengths), entries)

    def _rows(self, lengths: Sequence[int]) -> dict[str, list[int]]:
        """How many rows each site keeps of each record."""
        found = {}
        for point in self._reader.points:
            positions = point.capture.positions
            if positions == "all":
                found[point.name] = list(lengths)
            elif positions == "span":
                spans = [record.span or (0, 0) for record in self._records]
                found[point.name] = [end - begin for begin, end in spans]
            else:
                found[point.name] = [1] * len(lengths)
        return found

    def _read(self, batch: Sequence[int]) -> list[ReadSequence]:
        tokens = [self._records[index].tokens for index in batch]
        if not self._section.generate:
            spans = [self._records[index].span or (0, 0) for index in batch]
            return self._reader.read(tokens, spans)
        session = self._session
        session.monitor.enter(session.phase(self._name))
        writer = _writer(self._loaded, self._reader.chunk_tokens, session.reading_done)
        seeds = [seed_of(self._section.seed, index) for index in batch]
        rows = [new_row(prompt, seed) for prompt, seed in zip(tokens, seeds, strict=True)]
        sampling = Sampling(self._new_tokens, self._section.temperature)
        return written_states(self._reader, writer, rows, sampling)

    def _example(self, index: int, read: ReadSequence) -> Example:
        record = self._records[index]
        text, offsets = record.text, list(record.offsets)
        new = read.tokens[read.prompt_tokens :]
        if new and text is not None and self._tokenizer is not None:
            text, added = generated_offsets(text, new, self._tokenizer)
            offsets += added
        offsets += [(-1, -1)] * (len(read.tokens) - len(offsets))
        return Example(
            index,
            record.id,
            text,
            read.tokens,
            tuple(offsets),
            read.prompt_tokens,
            {name: states.cpu() for name, states in read.states.items()},
            self._name,
            EXTRACT,
        )

    def _keep(self, stored: Sequence[StoredBatches]) -> None:
        for each in stored:
            self._session.journal.append(each.to_json())


def _writer(loaded: Loaded, chunk_tokens: int | None, on_prefilled: Callable[[], None]) -> Writer:
    """What goes on from texts; nothing in it looks for stop sequences."""
    ends = end_tokens(loaded.model)
    return Writer(loaded.model, loaded.device, ends, lambda _: "", chunk_tokens, on_prefilled)
