"""Verifies candidates: records in, a verdict for every candidate out, in the order of the input."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ullage.engines.engine import Chat, Engine, Failure, Reply, Sampling
from ullage.errors import InputError
from ullage.records.journal import Journal
from ullage.records.lines import LineStore
from ullage.runtime.batching import Splitter, make_batches, release
from ullage.runtime.session import Session
from ullage.units import parse_bytes
from ullage.workloads.engines import batch_limits, open_engine
from ullage.workloads.pii.asking import EXPLAIN, SYSTEM, VERSION, Asking
from ullage.workloads.pii.calibration import Calibration, read_calibration
from ullage.workloads.pii.detection import Detector, open_detector
from ullage.workloads.pii.lines import count_lines, read_lines
from ullage.workloads.pii.locating import questions, spans
from ullage.workloads.pii.records import Candidate, NotARecord, Record, RecordReader
from ullage.workloads.pii.redaction import read_key, redact
from ullage.workloads.pii.section import VERIFIER, Section
from ullage.workloads.pii.seen import SeenIds
from ullage.workloads.pii.types import OWN, read_types
from ullage.workloads.stages import base_work, own_section

FILES: Final = ("verified", "failed", "rejects")
WINDOW_BATCHES: Final = 64
WINDOW_LINES: Final = 4096
"""A window of lines is read, verified and written before the next: what is held does not grow."""
NOT_FOUND: Final = "no span of this type was found in the text"
UNSURE: Final = 0.2
"""How far from the threshold a probability is that `explain: uncertain` gives a reason for."""


def run(session: Session) -> None:
    """Verifies every record of the input.

    Raises InputError for settings and files that cannot be used, before any model is loaded; with `strict`
    also at the first line that is no record.
    """
    section = own_section(session.workload, Section)
    if section.input is None:
        raise InputError("pii: input: is missing; name a file of JSON lines")
    types = read_types(OWN if section.types is None else session.path(section.types))
    wanted = frozenset(types.find(name).name for name in section.only_types)
    calibration = Calibration()
    if section.calibration is not None:
        calibration = read_calibration(session.path(section.calibration))
    if section.threshold is not None:
        calibration = replace(calibration, threshold=section.threshold)
    key = read_key(section.key_env) if section.redact == "hash" else b""
    detector = open_detector(section.detect, types)
    lines = count_lines(session.path(section.input))
    with ExitStack() as stack:
        if session.folder is not None and session.journal is not None:
            folder, journal = session.folder.path, session.journal
            folder.chmod(0o700)  # it holds personal data
        else:  # a check: nothing of it is kept
            folder = Path(stack.enter_context(TemporaryDirectory()))
            journal = Journal(folder / "journal.jsonl")
            stack.callback(journal.close)
        seen = stack.enter_context(SeenIds(folder / "ids.sqlite"))
        store = LineStore(folder, VERIFIER, journal, FILES)
        reader = RecordReader(types, section.fields, section.offsets)
        engine = open_engine(session, VERIFIER)
        verification = _Verification(
            session, section, engine, calibration, key, detector, wanted, store, reader, seen
        )
        verification.run(session.path(section.input), section.input, lines)


@dataclass(slots=True)
class _Item:
    """A candidate on its way to a verdict."""

    record: Record
    candidate: Candidate
    chat: Chat | None = None
    margin: float | None = None
    reason: str = ""
    explanation: str = ""


@dataclass(slots=True)
class _Window:
    """Lines that are verified and written together."""

    after: int
    last: int = 0
    records: list[Record] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    candidates: int = 0


@dataclass(slots=True)
class _Verification:
    """Invariant: a window is in the journal once its rows are on disk, and rows are in the input's order."""

    session: Session
    section: Section
    engine: Engine
    calibration: Calibration
    key: bytes
    detector: Detector | None
    wanted: frozenset[str]
    store: LineStore
    reader: RecordReader
    seen: SeenIds

    def run(self, path: Path, name: str, lines: int) -> None:
        session, done = self.session, self.store.entries
        after = done[-1]["line"] if done else 0
        session.progress.start(f"{VERIFIER} score", lines, after)
        asking = self._asking()
        if not self.store.finished:
            with session.monitor.phase(session.phase_name(VERIFIER, "score")):
                for window in self._windows(path, name, after):
                    self._verify(window, asking)
                    if session.smallest:
                        break
                self.store.finish()
        session.examples = sum(entry.get("records", 0) for entry in self.store.entries)
        session.tokens = sum(entry.get("tokens", 0) for entry in self.store.entries)

    def _asking(self) -> Asking:
        section = self.section
        return Asking(
            SYSTEM if section.system is None else section.system,
            section.template,
            section.verdicts,
            base_work(VERIFIER, self.session.workload).prompt_tokens + section.prefix_tokens,
            lambda chat: self.engine.lengths([chat])[0],
        )

    def _windows(self, path: Path, name: str, after: int) -> Iterator[_Window]:
        window = _Window(after)
        batches = 1 if self.session.smallest else WINDOW_BATCHES
        most = batches * base_work(VERIFIER, self.session.workload).batch
        for line in read_lines(path, parse_bytes(self.section.longest_line), after):
            reason = line.reason
            if line.record is not None:
                try:
                    record = self._record(line.number, line.record)
                    window.records.append(record)
                    window.candidates += len(record.candidates)
                except NotARecord as error:
                    reason = str(error)
            if reason:
                if self.section.strict:
                    raise InputError(f"{name}:{line.number}: {reason}")
                window.rejects.append({"line": line.number, "reason": reason})
            window.last = line.number
            if window.candidates >= most or len(window.records) + len(window.rejects) >= WINDOW_LINES:
                yield window
                window = _Window(window.last)
        if window.records or window.rejects:
            yield window

    def _record(self, number: int, given: Mapping[str, Any]) -> Record:
        record = self.reader.read(number, given)
        if not self.seen.add(record.id, number):
            raise NotARecord("its id is that of an earlier record")
        candidates = list(record.candidates)
        if self.detector is not None and (self.section.detect == "all" or not candidates):
            known = {(one.type.name, one.start, one.end) for one in candidates}
            found = self.detector.find(record.text, [kind.name for kind in record.bare_types])
            candidates += [one for one in found if (one.type.name, one.start, one.end) not in known]
        there = {one.type.name for one in candidates}
        candidates += [Candidate(kind, None, None) for kind in record.bare_types if kind.name not in there]
        if self.wanted:
            candidates = [one for one in candidates if one.type.name in self.wanted]
        return Record(record.line, record.id, record.text, tuple(candidates))

    def _verify(self, window: _Window, asking: Asking) -> None:
        begun = time.monotonic()
        items = self._items(window.records)
        for item in items:
            if item.reason or item.candidate.start is None:
                continue
            item.chat = asking.prompt(item.record, item.candidate)
            if item.chat is None:
                item.reason = "the span alone is longer than the plan's prompt_tokens"
        tokens, seconds = self._score(items, asking)
        self._explain(items)
        rows, failed = [], []
        per_record: dict[int, list[_Item]] = {}
        for item in items:
            per_record.setdefault(item.record.line, []).append(item)
        for record in window.records:
            own = per_record.get(record.line, [])
            rows.append(self._row(record, own))
            failed += [
                {"id": record.id, "line": record.line, "candidate": place, "reason": item.reason}
                for place, item in enumerate(own)
                if item.margin is None
            ]
        self.seen.keep()
        self.store.add(
            window.last,
            {"verified": rows, "failed": failed, "rejects": window.rejects},
            line=window.last,
            records=len(window.records),
            tokens=tokens,
            batch_seconds=[round(one, 5) for one in seconds],
            seconds=round(time.monotonic() - begun, 4),
        )
        self.session.progress.advance(window.last - window.after, tokens)

    def _score(self, items: Sequence[_Item], asking: Asking) -> tuple[int, list[float]]:
        """Fills in each item's margin; tokens read, and seconds of each batch for one candidate.

        Candidates of one type are read together: they share an instruction, which stays in the cache.
        """
        limits = batch_limits(self.session, VERIFIER, asking.longest)
        seconds: list[float] = []
        tokens = 0
        by_type: dict[str, list[_Item]] = {}
        for item in items:
            if item.chat is not None:
                by_type.setdefault(item.candidate.type.name, []).append(item)
        splitter = Splitter(limits, release, self.session.say)
        for name in sorted(by_type):
            some = by_type[name]
            chats = [item.chat for item in some if item.chat is not None]
            lengths = self.engine.lengths(chats)
            tokens += sum(lengths)

            def weigh(batch: Sequence[int], chats: Sequence[Chat] = chats) -> list[Any]:
                return self.engine.score([chats[i] for i in batch], self.section.verdicts)

            for batch in make_batches(lengths, limits):
                begun = time.monotonic()
                found = splitter.run(batch, lengths, weigh)
                seconds.append((time.monotonic() - begun) / len(batch))
                for index, scores in zip(batch, found, strict=True):
                    _settle(some[index], scores)
        self.session.splits += splitter.splits
        return tokens, seconds

    def _items(self, records: Sequence[Record]) -> list[_Item]:
        """One for each candidate; a bare type becomes one for each span that the model copies out."""
        items = [_Item(record, one, reason=one.reason) for record in records for one in record.candidates]
        bare = [item for item in items if item.candidate.start is None and not item.reason]
        if not self.section.locate:
            for item in bare:
                item.reason = "it is a type without a span; set pii.locate or pii.detect"
        if not bare or not self.section.locate:
            return items
        planned = self.session.planned(VERIFIER, "locate")
        most = 2**62 if planned is None else planned.work.prompt_tokens
        asked = [
            (item, chat)
            for item in bare
            for chat in questions(
                item.record.text, item.candidate.type, lambda chat: self.engine.lengths([chat])[0] <= most
            )
        ]
        said: dict[int, list[str]] = {}
        for (item, _), reply in zip(asked, self._written("locate", [chat for _, chat in asked]), strict=True):
            said.setdefault(id(item), []).append(reply.text if isinstance(reply, Reply) else "")
            if isinstance(reply, Failure):
                item.reason = reply.reason
        found = []
        for item in items:
            places = spans(item.record.text, "\n".join(said.get(id(item), ())))
            one = item.candidate
            found += [_Item(item.record, Candidate(one.type, *place, one.gold)) for place in places]
            if not places:
                if id(item) in said:
                    item.reason = item.reason or NOT_FOUND
                found.append(item)
        return found

    def _explain(self, items: Sequence[_Item]) -> None:
        chosen = [item for item in items if item.margin is not None and self._wants_reason(item.margin)]
        chats: list[Chat] = []
        for item in chosen:
            assert item.chat is not None
            assert item.margin is not None
            said = self.section.verdicts[0 if self._personal(item.margin) else 1]
            chats.append(
                (
                    *item.chat,
                    {"role": "assistant", "content": said},
                    {"role": "user", "content": EXPLAIN},
                )
            )
        if not chats:
            return
        for item, reply in zip(chosen, self._written("explain", chats), strict=True):
            item.explanation = reply.text.strip() if isinstance(reply, Reply) else ""

    def _written(self, verb: str, chats: Sequence[Chat]) -> list[Reply | Failure]:
        """Replies to chats, in the phase that is planned for `verb`."""
        session = self.session
        planned, name = session.planned(VERIFIER, verb), session.phase_name(VERIFIER, verb)
        longest = 2**62 if planned is None else planned.work.cached_tokens + planned.work.prompt_tokens
        limits = batch_limits(session, VERIFIER, longest)
        sampling = Sampling(base_work(VERIFIER, session.workload).new_tokens)
        splitter = Splitter(limits, release, session.say)
        lengths = self.engine.lengths(chats)
        found: dict[int, Reply | Failure] = {}

        def write(batch: Sequence[int]) -> list[Reply | Failure]:
            session.monitor.enter(name)
            return self.engine.generate([chats[i] for i in batch], sampling, [0] * len(batch))

        for batch in make_batches(lengths, limits):
            found |= dict(zip(batch, splitter.run(batch, lengths, write), strict=True))
        session.splits += splitter.splits
        session.monitor.enter(session.phase_name(VERIFIER, "score"))
        return [found[index] for index in range(len(chats))]

    def _personal(self, margin: float) -> bool:
        return self.calibration.probability(margin) >= self.calibration.threshold

    def _wants_reason(self, margin: float) -> bool:
        wanted = self.section.explain
        if wanted == "uncertain":
            return abs(self.calibration.probability(margin) - self.calibration.threshold) <= UNSURE
        return wanted == "all" or wanted == ("verified" if self._personal(margin) else "rejected")

    def _row(self, record: Record, items: Sequence[_Item]) -> dict[str, Any]:
        """One line of output; nothing but what was asked for stands in it."""
        role = self.session.workload.roles[VERIFIER]
        row: dict[str, Any] = {
            "id": record.id,
            "line": record.line,
            "candidates": [self._candidate(record, item) for item in items],
            "model": role.model,
            "prompt": VERSION if self.section.system is None else "own",
        }
        if self.section.redact != "none":
            out = [
                (*place, item.candidate.type.name)
                for item in items
                if item.margin is None or self._personal(item.margin)
                for place in item.candidate.places(record.text)
            ]
            row["redacted"] = redact(record.text, out, self.section.redact, self.key)
        return row

    def _candidate(self, record: Record, item: _Item) -> dict[str, Any]:
        one = item.candidate
        row: dict[str, Any] = {"type": one.type.name, "start": one.start, "end": one.end}
        if one.start is not None:
            row["value"] = record.text[one.start : one.end]
        if item.margin is None:
            row["verdict"] = "failed"
            row["reason"] = item.reason
        else:
            row["verdict"] = "verified" if self._personal(item.margin) else "rejected"
            row["probability"] = round(self.calibration.probability(item.margin), 6)
            row["margin"] = round(item.margin, 6)
        if one.gold is not None:
            row["gold"] = one.gold
        if item.explanation:
            row["explanation"] = item.explanation
        return row


def _settle(item: _Item, scores: tuple[float, ...] | Failure) -> None:
    """The margin of an item, or why it has none: an answer that says nothing is never a yes."""
    if isinstance(scores, Failure):
        item.reason = scores.reason
        return
    margin = scores[0] - scores[1]
    if margin != margin or margin in (float("inf"), float("-inf")):
        item.reason = "the model gives neither verdict a probability"
        return
    item.margin = margin
