"""One role's turn in a run: its engine, and its work batch by batch into lines on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ullage.engines.engine import Engine
from ullage.engines.openai import OpenAIEngine, Usage
from ullage.records.journal import Journal
from ullage.records.lines import LineStore
from ullage.runtime.batching import Limits, Splitter, make_batches, release
from ullage.runtime.session import Session
from ullage.workloads.engines import batch_limits, open_engine

Row = dict[str, Any]


class Turns:
    """What the turns of a run share: its session, and the folder and journal its lines go to.

    Invariant: after a turn, and however a run was cut short, every row of a stage is on disk once.
    """

    def __init__(self, session: Session, folder: Path, journal: Journal) -> None:
        self.session, self._folder, self._journal = session, folder, journal
        self._usage: dict[str, Usage] = {}

    def store(self, stage: str) -> LineStore:
        return LineStore(self._folder, stage, self._journal)

    def engine(self, name: str) -> Engine:
        """Role `name`'s engine; what it asks a server for is counted."""
        engine = open_engine(self.session, name)
        if isinstance(engine, OpenAIEngine):
            self._usage[name] = engine.usage
        return engine

    def keep_usage(self, name: str) -> None:
        """Writes down what role `name` asked a server for, so that a resumed run still knows it."""
        used = self._usage.pop(name, None)
        if used is not None:
            self._journal.append({"usage": name, **asdict(used)})

    def usage(self) -> dict[str, dict[str, Any]]:
        """Requests and tokens of every remote role, and what they cost where the file gives prices."""
        found: dict[str, dict[str, Any]] = {}
        for entry in self._journal.entries:
            if "usage" in entry:
                held = found.setdefault(entry["usage"], dict.fromkeys(asdict(Usage()), 0))
                for name in held:
                    held[name] += entry[name]
        for role, held in found.items():
            prices = self.session.workload.roles[role].openai.price_per_million
            if prices is not None:
                held["usd"] = (held["prompt_tokens"] * prices[0] + held["new_tokens"] * prices[1]) / 1e6
        return found

    def limits(self, name: str, verb: str = "score") -> Limits:
        """What a batch of role `name` may hold while it does `verb` ("" is writing answers)."""
        return batch_limits(self.session, name, self.longest(name, verb))

    def longest(self, name: str, verb: str = "score") -> int:
        """Tokens of the longest prompt that role `name` is planned for in doing `verb`."""
        phase = self.session.planned(name, verb)
        return 2**62 if phase is None else phase.work.prompt_tokens

    def work(
        self,
        stage: str,
        name: str,
        verb: str,
        lengths: Sequence[int],
        limits: Limits,
        unit: Callable[[Sequence[int]], Sequence[Row]],
    ) -> None:
        """Does `unit` for the items, numbered from 0, in batches of like `lengths`; keeps its rows."""
        session, store = self.session, self.store(stage)
        batches = make_batches(lengths, limits)
        splitter = Splitter(limits, release, session.say)
        finished = sum(len(batch) for number, batch in enumerate(batches) if number in store.done)
        session.progress.start(f"{stage}", len(lengths), finished)
        with session.monitor.phase(session.phase_name(name, verb)):
            for number, batch in enumerate(batches):
                if number in store.done:
                    continue
                store.add(number, {stage: splitter.run(batch, lengths, unit)})
                session.progress.advance(len(batch), sum(lengths[i] for i in batch))
        store.finish()
        session.splits += splitter.splits
