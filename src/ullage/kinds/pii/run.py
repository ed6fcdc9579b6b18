"""Verifies candidates: records in, a verdict for every candidate out, in the order of the input."""

from __future__ import annotations

import hmac
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

from ullage.engines.engine import Chat, Deciding, Engine, Failure, Reply, Sampling
from ullage.engines.states import Asked
from ullage.engines.turns import Turns
from ullage.errors import InputError
from ullage.kinds.pii.asking import EXPLAIN, Asking
from ullage.kinds.pii.calibration import Calibration, read_calibration
from ullage.kinds.pii.detection import open_detector
from ullage.kinds.pii.ending import FILES, conclude
from ullage.kinds.pii.failing import FAILED, failed_row
from ullage.kinds.pii.input_lines import Line
from ullage.kinds.pii.items import Item, likeliest
from ullage.kinds.pii.locating import locate
from ullage.kinds.pii.phases import reads_together
from ullage.kinds.pii.reading import SCORE, Reading
from ullage.kinds.pii.records import Record
from ullage.kinds.pii.redaction import read_key, redacted_row
from ullage.kinds.pii.section import VERIFIER, Section
from ullage.kinds.pii.seen import SeenIds, ids_of
from ullage.kinds.pii.sources import Source
from ullage.kinds.pii.survey import surveyed
from ullage.kinds.pii.types import OWN, read_types
from ullage.kinds.pii.windows import Window, WindowReader
from ullage.kinds.pii.wording import Wording, prompt_version, wording_of
from ullage.phases.blocks import base_work, own_section
from ullage.records.lines import LineStore
from ullage.runtime.session import Session
from ullage.units import parse_bytes

WINDOW_BATCHES: Final = 64
"""Of candidates; a window is verified and written before the next is read."""
UNSURE: Final = 0.2
"""How far from the threshold a probability is that `explain: uncertain` gives a reason for."""


def run(session: Session) -> None:
    """Verifies every record of the input.

    Raises InputError for settings and files that cannot be used, before any model is loaded; with `strict`
    also at the first line that is no record.
    """
    section = own_section(session.workload, Section)
    if section.input is None:
        raise InputError("pii: input: is missing; name a file of records, or - for standard input")
    types = read_types(OWN if section.types is None else session.path(section.types))
    wanted = frozenset(one for name in section.only_types for one in types.choose(name))
    wording = wording_of(section, session.workload.roles[VERIFIER].model)
    version = prompt_version(wording, section, types)
    calibration = Calibration()
    if section.calibration is not None:
        calibration = read_calibration(session.path(section.calibration))
        model = session.workload.roles[VERIFIER].model
        same = PurePath(calibration.model).name == PurePath(model).name  # paths differ from run to run
        if not same or calibration.prompt_version != version:
            session.say(
                f"{section.calibration} was fitted to {calibration.model} with prompt "
                f"{calibration.prompt_version}; this is {model} with prompt {version}"
            )
    if section.threshold is not None:
        calibration = replace(calibration, threshold=section.threshold)
    key = read_key(section.key_env) if section.redact == "hash" else b""
    detector = open_detector(section.detect, types, section.languages, section.least_score)
    turns = Turns(session)
    store = turns.store(VERIFIER, FILES)
    path = session.path(section.input)
    longest = parse_bytes(section.longest_line)
    source = Source(section.input, path, longest, section.fields.text, session.part)
    reader, lines = surveyed(
        source, section, types, session.progress.note, store.finished, any(True for _ in store.entries)
    )
    with SeenIds(session.folder.path / "ids.sqlite", ids_of(store)) as seen:
        mark = _mark_of(key, section.key_env, store)
        batches = 1 if session.smallest else WINDOW_BATCHES
        most = batches * base_work(VERIFIER, session.workload).batch
        windows = WindowReader(section, reader, seen, detector, wanted, most)
        engine = turns.engine(VERIFIER, SCORE)
        verification = _Verification(
            turns, section, engine, wording, calibration, version, key, mark, store, windows
        )
        verification.run(source, lines)


def _mark_of(key: bytes, name: str, store: LineStore) -> str:
    """What tells a hash key from others without giving it away.

    A run has one key from begin to end, so that equal values have equal hashes. Raises InputError.
    """
    mark = hmac.new(key, b"ullage", "sha256").hexdigest() if key else ""
    if any(entry.get("key", mark) != mark for entry in store.entries):
        raise InputError(f"the environment variable {name} holds another key than when this run was begun")
    return mark


def _places(items: Sequence[Item]) -> dict[int, Asked]:
    """By an item's identity: its record's line and id, and which of the record's candidates it is."""
    found: dict[int, Asked] = {}
    seen: Counter[int] = Counter()
    for item in items:
        line = item.record.line
        found[id(item)] = Asked(line, str(item.record.id or line), seen[line])
        seen[line] += 1
    return found


@dataclass(slots=True)
class _Verification:
    """Invariant: a window is in the journal once its rows are on disk, and rows are in the input's order."""

    turns: Turns
    section: Section
    engine: Engine
    wording: Wording
    calibration: Calibration
    version: str
    key: bytes
    mark: str
    store: LineStore
    windows: WindowReader
    clock: float = 0.0

    @property
    def session(self) -> Session:
        """The run's."""
        return self.turns.session

    def run(self, source: Source, lines: Iterator[Line]) -> None:
        session = self.session
        first = 0 if session.part is None else session.part.line
        after = max(self.store.told("line"), default=first)
        session.progress.start(f"{VERIFIER} score", source.count(), after - first)
        if not source.once:
            lines = source.lines(after)
        asking, reading = self._asking(), self._reading()
        self.clock = time.monotonic()
        if not self.store.finished:
            with session.monitor.inside(session.phase(VERIFIER, SCORE)):
                for window in self.windows.read(lines, source.name, after):
                    self._verify(window, asking, reading)
                    if session.smallest:
                        break
                self.store.finish()
        self.turns.states.finish()
        conclude(session, self.store, self.section, source.once)

    def _asking(self) -> Asking:
        section, work = self.section, base_work(VERIFIER, self.session.workload)
        asked = section.branch_tokens if self.wording.once else 0
        longest = work.prompt_tokens + section.prefix_tokens + asked
        return Asking(
            self.wording, longest, section.prefix_tokens, lambda chat: self.engine.lengths([chat])[0]
        )

    def _reading(self) -> Reading:
        """A row holds what is planned for it. Where texts are read once for each candidate after all, that is
        said, here and in the run's record."""
        if not reads_together(self.session.workload):
            return Reading(self.turns, self.engine, self.section, None)
        most = self._longest(SCORE)
        why = "its engine shares no text"
        if isinstance(self.engine, Deciding):
            why = self.engine.why_singly(most, self.section.verdicts)
        if why:
            self.session.say(f"a text is read again for each of its candidates: {why}")
            self.session.outcome["read_singly"] = why
        return Reading(self.turns, self.engine, self.section, None if why else most)

    def _longest(self, verb: str) -> int:
        """Tokens of the longest prompt that is planned for in doing `verb`."""
        if self.session.planned(VERIFIER, verb) is not None:
            return self.turns.longest(VERIFIER, verb)
        return base_work(VERIFIER, self.session.workload).prompt_tokens + self.section.prefix_tokens

    def _verify(self, window: Window, asking: Asking, reading: Reading) -> None:
        meant = [item.meant() for item in self._items(window.records)]
        items = [item for each in meant for item in each]
        self._ask(items, asking)
        read = reading.settle(items, self.session.phase(VERIFIER, SCORE), _places(items))
        items = [likeliest(each, self.calibration) for each in meant]
        self._explain(items)
        rows, failed = [], []
        per_record: dict[int, list[Item]] = {}
        for item in items:
            per_record.setdefault(item.record.line, []).append(item)
        for record in window.records:
            own = per_record.get(record.line, [])
            rows.append(self._row(record, own))
            failed += [
                failed_row(record, place, item) for place, item in enumerate(own) if item.margin is None
            ]
        begun, self.clock = self.clock, time.monotonic()
        self.store.add(
            window.last,
            {"verified": rows, FAILED: failed, "rejects": window.rejects},
            line=window.last,
            records=len(window.records),
            tokens=read.tokens,
            batches=read.batches,
            candidates=len(items),
            unread=window.unread,
            seconds=round(self.clock - begun, 4),
            key=self.mark,
            threshold=self.calibration.threshold,
            temperature=self.calibration.temperature,
            **self.turns.states.taken(),
        )
        self.session.progress.advance(window.last - window.after, read.tokens)

    @staticmethod
    def _ask(items: Sequence[Item], asking: Asking) -> None:
        """Gives every item that can be asked about its prompt."""
        asked = [item for item in items if not item.reason and item.candidate.start is not None]
        kinds = {item.candidate.type.name: item.candidate.type for item in asked}
        instructions = asking.instructions([*kinds.values()])
        for item in asked:
            system = instructions[item.candidate.type.name]
            item.chat = asking.prompt(item.record, item.candidate, system)
            if item.chat is None:
                item.reason = "the span alone is longer than the plan's prompt_tokens"

    def _items(self, records: Sequence[Record]) -> list[Item]:
        """One for each candidate, bare types located."""
        items = [Item(record, one, reason=one.reason) for record in records for one in record.candidates]
        if not any(item.candidate.bare for item in items):
            return items
        if self.section.locate:
            most = self._longest("locate")
            return locate(
                items,
                lambda chat: self.engine.lengths([chat])[0] <= most,
                lambda chats: self._written("locate", chats),
            )
        for item in items:
            if item.candidate.bare:
                item.reason = "it is a type without a span; set pii.locate or pii.detect"
        return items

    def _explain(self, items: Sequence[Item]) -> None:
        chosen = [item for item in items if self._wants_reason(item)]
        chats: list[Chat] = []
        for item in chosen:
            assert item.chat is not None
            said = self.section.verdicts[0 if item.personal(self.calibration) else 1]
            answered = {"role": "assistant", "content": said}
            chats.append((*item.chat, answered, {"role": "user", "content": EXPLAIN}))
        if not chats:
            return
        for item, reply in zip(chosen, self._written("explain", chats), strict=True):
            item.explanation = reply.text.strip() if isinstance(reply, Reply) else ""

    def _wants_reason(self, item: Item) -> bool:
        wanted = self.section.explain
        if item.margin is None or wanted == "none":
            return False
        if wanted == "uncertain":
            probability = self.calibration.probability(item.margin)
            return abs(probability - self.calibration.threshold) <= UNSURE
        return wanted == "all" or wanted == ("verified" if item.personal(self.calibration) else "rejected")

    def _written(self, verb: str, chats: Sequence[Chat]) -> list[Reply | Failure]:
        """Replies to chats, in the phase that is planned for `verb`."""
        sampling = Sampling(base_work(VERIFIER, self.session.workload).new_tokens)

        def write(batch: Sequence[int]) -> list[Reply | Failure]:
            return self.engine.generate([chats[i] for i in batch], sampling, [0] * len(batch))

        return self.turns.each(VERIFIER, verb, self.engine.lengths(chats), write)

    def _row(self, record: Record, items: Sequence[Item]) -> dict[str, object]:
        """One line of output; nothing but what was asked for stands in it."""
        row: dict[str, object] = {
            "id": record.id,
            "line": record.line,
            "candidates": [item.row(self.calibration) for item in items],
            "model": self.session.workload.roles[VERIFIER].model,
            "prompt": self.version,
        }
        if self.section.redact != "none":
            found = filter(None, (item.sensitive(self.calibration) for item in items))
            row |= redacted_row(record.text, [*found], self.section, self.key)
        return row
