"""One role's turn in a run: its engine, and its work batch by batch into lines on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Final, TypeVar

from ullage.engines.engine import Engine, Metered, Usage
from ullage.engines.opening import open_engine
from ullage.engines.states import KeptStates
from ullage.fields import Fields
from ullage.phases.blocks import base_work
from ullage.phases.phase import Phase
from ullage.records.lines import LineStore
from ullage.runtime.batching import Done, Limits, Splitter, Window, make_batches, release, windows
from ullage.runtime.session import Session

MEASURED: Final = 256
"""Prompts that are asked for their lengths at a time."""
Row = dict[str, object]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Turns:
    """What a kind does with the roles of a run, one after another; the plan says who is in memory meanwhile.

    Invariant: after a turn, and however a run was cut short, every row of a stage is on disk once.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.states = KeptStates(session)
        self._usage: dict[str, Usage] = {}
        self._splitters: dict[tuple[str, str], Splitter] = {}

    def store(self, stage: str, files: Sequence[str] = ()) -> LineStore:
        """The lines of one stage, in the run's folder."""
        return LineStore(self.session.folder.path, stage, self.session.journal, files)

    def engine(self, name: str, verb: str = "") -> Engine:
        """Role `name`'s engine, with those beside it whom the plan has in memory while it does `verb`.

        What it asks a server for is counted.
        """
        self.session.bring(self.session.phase(name, verb), lambda other: open_engine(self.session, other))
        engine = open_engine(self.session, name)
        if isinstance(engine, Metered):
            self._usage[name] = engine.usage
        return engine

    def keep_usage(self, name: str) -> None:
        """Writes down what role `name` asked a server for, so that a resumed run still knows it."""
        used = self._usage.pop(name, None)
        if used is not None:
            self.session.journal.append({"usage": name, **asdict(used)})

    def usage(self) -> dict[str, dict[str, float]]:
        """Requests and tokens of every remote role, and what they cost where the file gives prices."""
        found: dict[str, dict[str, float]] = {}
        for entry in self.session.journal.entries:
            if "usage" in entry:
                told = Fields(entry, str(self.session.journal.path))
                held = found.setdefault(told.text("usage"), dict.fromkeys(asdict(Usage()), 0))
                for name in held:
                    held[name] += told.number(name)
        for role, held in found.items():
            prices = self.session.workload.roles[role].settings.prices()
            if prices is not None:
                held["usd"] = (held["prompt_tokens"] * prices[0] + held["new_tokens"] * prices[1]) / 1e6
        return found

    def longest(self, name: str, verb: str = "") -> int:
        """Tokens of the longest prompt, cached ones too, that role `name` is planned for in doing `verb`."""
        phase = self.session.planned(name, verb)
        return 2**62 if phase is None else phase.work.cached_tokens + phase.work.prompt_tokens

    def limits(self, name: str, verb: str = "") -> Limits:
        """What a batch of role `name` may hold while it does `verb`."""
        role, work = self.session.workload.roles[name], base_work(name, self.session.workload)
        if not role.runs_with.local:
            return Limits(2**62, max(work.batch, role.settings.at_once()))
        phase = self.session.planned(name, verb)
        batch = work.batch if phase is None else phase.work.batch
        return Limits(batch * self.longest(name, verb), batch)

    def splitter(self, name: str, verb: str = "") -> Splitter:
        """Runs batches of role `name` doing `verb`; what has shrunk one shrinks all later ones."""
        key = (name, verb)
        if key not in self._splitters:
            self._splitters[key] = Splitter(self.limits(name, verb), release, self.session.say)
        return self._splitters[key]

    def run(
        self,
        name: str,
        verb: str,
        batches: Collection[Sequence[int]],
        lengths: Sequence[int],
        unit: Callable[[Sequence[int]], Sequence[Result]],
        within: Phase | None = None,
    ) -> Iterator[list[Result]]:
        """`unit` of each batch of indices into `lengths`, one for each, in the phase planned for it; `within`
        is another of the same work, beside others."""
        splitter = self.splitter(name, verb)
        with self.session.monitor.inside(within or self.session.phase(name, verb)) as phase:
            for batch in batches:
                found = splitter.run(batch, lengths, self._beginning(phase, unit))
                self.session.splits = sum(each.splits for each in self._splitters.values())
                yield found

    def _beginning(
        self, phase: Phase, unit: Callable[[Sequence[int]], Sequence[Result]]
    ) -> Callable[[Sequence[int]], Sequence[Result]]:
        """A batch begins by reading its prompts, even where the one before ended by writing."""

        def begun(batch: Sequence[int]) -> Sequence[Result]:
            if self.session.monitor.phase is not phase:
                self.session.monitor.enter(phase)
            return unit(batch)

        return begun

    def each(
        self,
        name: str,
        verb: str,
        lengths: Sequence[int],
        unit: Callable[[Sequence[int]], Sequence[Result]],
        within: Phase | None = None,
    ) -> list[Result]:
        """`unit` over all items in batches of like `lengths`, as `run`; one result for each, in order."""
        batches = make_batches(lengths, self.splitter(name, verb).limits)
        found: dict[int, Result] = {}
        for batch, results in zip(batches, self.run(name, verb, batches, lengths, unit, within), strict=True):
            found.update(zip(batch, results, strict=True))
        return [found[index] for index in range(len(lengths))]

    def work(
        self,
        stage: str,
        name: str,
        verb: str,
        items: Iterable[tuple[Item, int]],
        unit: Callable[[Sequence[tuple[int, Item]]], Sequence[Row]],
        *,
        total: int,
        most: int | None = None,
        of_each: int = 1,
    ) -> None:
        """Does `unit` for items, numbered from 0, each of which comes with its length; keeps its rows.

        They are taken window by window, in batches of like length, of `most` items where that is fewer than
        the plan allows. `total` is how many there are about, for whoever waits. Items of a partition are
        numbered on from those before it, `of_each` for each of its items; 0 where nobody knows how many that
        are: then from 0, and the merge numbers them on.
        """
        store, limits = self.store(stage), self.limits(name, verb)
        if store.finished:
            return
        limits = Limits(limits.tokens, min(limits.sequences, most or limits.sequences))
        done = Done()
        done.add((unit for unit in store.done if isinstance(unit, int)), ())
        for item, standing in store.changes():
            done.note(item, standing)
        self.session.progress.start(stage, total, done.count)
        first = 0 if self.session.part is None else self.session.part.item * of_each
        for window in windows(items, limits, done, first):
            self._keep(stage, store, name, verb, window, unit)
        store.finish()

    def measured(
        self, lengths_of: Callable[[Sequence[Item]], list[int]], items: Iterable[Item]
    ) -> Iterator[tuple[Item, int]]:
        """Each item with its tokens; a few are asked for at a time."""
        coming = iter(items)
        while some := list(islice(coming, MEASURED)):
            yield from zip(some, lengths_of(some), strict=True)

    def _keep(
        self,
        stage: str,
        store: LineStore,
        name: str,
        verb: str,
        window: Window[Item],
        unit: Callable[[Sequence[tuple[int, Item]]], Sequence[Row]],
    ) -> None:
        """Does what is left of a window, batch by batch."""
        left, lengths = window.left, window.lengths

        def numbered(places: Sequence[int]) -> Sequence[Row]:
            return unit([(window.begin + place, window.items[place]) for place in places])

        rows = self.run(name, verb, left.values(), lengths, numbered)
        for (number, batch), found in zip(left.items(), rows, strict=True):
            places = [window.begin + place for place in batch]
            store.add(number, {stage: found}, items=places, **self.states.taken())
            self.session.progress.advance(len(batch), sum(lengths[place] for place in batch))
