"""Watches memory while a run goes on: peaks by phase, a timeline, warnings before trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ullage.phases.phase import Phase
from ullage.records.notes import Notes
from ullage.records.record import Measured
from ullage.runtime.gauges import Gauge
from ullage.runtime.malloc import trim_malloc
from ullage.runtime.reading import CPU, PastThreshold, Reading

SAMPLE_SECONDS: Final = 0.05
TIMELINE_SECONDS: Final = 0.5


class Monitor:
    """Samples the devices of a run in a thread while it is entered.

    Invariant: the peaks of a phase cover all the time spent in it, however often it was entered: torch's
    own counters for live and reserved, the largest sample for process and device.
    """

    def __init__(
        self,
        gauges: Sequence[Gauge],
        budgets: Mapping[str, int],
        threshold: float,
        warn: Callable[[str], None],
        timeline: Path | None = None,
    ) -> None:
        self._gauges = tuple(gauges)
        self.devices = tuple(gauge.device for gauge in self._gauges)
        self._budgets, self._threshold, self._warn = budgets, threshold, warn
        self._timeline = timeline
        self.far: Callable[[], tuple[str, int, int | None]] | None = None
        self._phase: Phase | None = None
        self._entered = self._begun = time.monotonic()
        self._samples: dict[str, dict[str, int]] = {}
        self._holds: dict[tuple[str, str], int] = {}
        self._found: dict[tuple[str, str], Measured] = {}
        self._warned: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="memory monitor", daemon=True)

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enter(None)
        self._stop.set()
        self._thread.join()

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Every phase that has been left, by device."""
        return tuple(self._found.values())

    @property
    def phase(self) -> Phase | None:
        """The phase that peaks are counted for now."""
        return self._phase

    def enter(self, phase: Phase | None) -> None:
        """From here on, peaks are those of `phase`; None is between phases."""
        self._sample()
        now = time.monotonic()
        with self._mutex:
            if self._phase is not None:
                for gauge in self._gauges:
                    self._leave(self._phase, gauge, now - self._entered)
            before, self._phase, self._entered = self._phase, phase, now
            self._samples = {}
        if CPU in self.devices and not _goes_on(before, phase):
            trim_malloc()
        for gauge in self._gauges:
            gauge.begin(phase)

    @contextmanager
    def inside(self, phase: Phase) -> Iterator[Phase]:
        """Everything inside is `phase`; afterwards it is what it was before."""
        before = self._phase
        self.enter(phase)
        try:
            yield phase
        finally:
            self.enter(before)

    def hold(self, device: str, component: str, bytes_: int) -> None:
        """Says what `component` takes on `device` from now on; a phase records the most it held."""
        key = (device, component)
        self._holds[key] = bytes_
        if self._phase is None:
            return
        place = (self._phase.name, device)
        found = self._found.get(place) or _nothing(self._phase, device)
        most = max(found.components.get(component, 0), bytes_)
        self._found[place] = replace(found, components={**found.components, component: most})

    def alive(self) -> dict[str, int | None]:
        """Bytes of tensors on each device now, where they are known."""
        return {gauge.device: gauge.read().live for gauge in self._gauges}

    def free(self) -> int:
        """Bytes that may still be taken of the first device."""
        return self._gauges[0].read().free

    def _leave(self, phase: Phase, gauge: Gauge, seconds: float) -> None:
        device = gauge.device
        samples = self._samples.get(device, {})
        peaks = gauge.peaks(samples)
        holds = {component: size for (where, component), size in self._holds.items() if where == device}
        now = replace(
            _nothing(phase, device),
            live=peaks.live,
            reserved=peaks.reserved,
            process=samples.get("process"),
            on_device=peaks.on_device,
            seconds=seconds,
            components=holds,
        )
        self._found[phase.name, device] = _most(self._found.get((phase.name, device)), now)

    def _watch(self) -> None:
        written = 0.0
        notes = None if self._timeline is None else Notes(self._timeline, self._warn)
        while not self._stop.wait(SAMPLE_SECONDS):
            readings = self._sample()
            now = time.monotonic()
            if notes is not None and now - written >= TIMELINE_SECONDS:
                written = now
                notes.add(*(self._line(reading, now) for reading in readings))

    def _line(self, reading: Reading, now: float) -> dict[str, object]:
        doing, done, total = ("", 0, None) if self.far is None else self.far()
        return {
            "seconds": round(now - self._begun, 3),
            "phase": "" if self._phase is None else self._phase.name,
            "device": reading.device,
            "live": reading.live,
            "reserved": reading.reserved,
            "process": reading.process,
            "on_device": reading.on_device,
            **({"doing": doing, "done": done, "total": total} if doing else {}),
        }

    def _sample(self) -> list[Reading]:
        with self._mutex:
            readings = [gauge.read() for gauge in self._gauges]
            for reading in readings:
                held = self._samples.setdefault(reading.device, {})
                for name in ("process", "on_device"):
                    value = getattr(reading, name)
                    if value is not None:
                        held[name] = max(held.get(name, 0), value)
                self._check(reading)
        return readings

    def _check(self, reading: Reading) -> None:
        budget = self._budgets.get(reading.device, reading.total)
        used = (reading.process or 0) if reading.device == CPU else reading.on_device
        if self._phase is None or used <= self._threshold * budget:
            return
        key = (self._phase.name, reading.device)
        if key not in self._warned:
            self._warned.add(key)
            said = PastThreshold(reading.device, used, budget)
            self._warn(f"{said} in {self._phase.name}; the threshold is {self._threshold:.0%}")


def _goes_on(before: Phase | None, after: Phase | None) -> bool:
    """Whether a role goes on with what it was doing: it reads and writes by turns, batch for batch.

    What malloc would give back between them is taken again at once, page by page.
    """
    if before is None or after is None:
        return False
    return (before.running, before.verb) == (after.running, after.verb)


def _nothing(phase: Phase, device: str) -> Measured:
    """A phase of which nothing has been read yet."""
    return Measured(phase.name, device, None, None, None, None, 0.0, {}, phase.activity)


def _most(before: Measured | None, now: Measured) -> Measured:
    """The larger of each number; seconds add up."""
    if before is None:
        return now

    def larger(name: str) -> int | None:
        values = [v for v in (getattr(before, name), getattr(now, name)) if v is not None]
        return max(values, default=None)

    components = dict(before.components)
    for name, size in now.components.items():
        components[name] = max(components.get(name, 0), size)
    return replace(
        now,
        live=larger("live"),
        reserved=larger("reserved"),
        process=larger("process"),
        on_device=larger("on_device"),
        seconds=before.seconds + now.seconds,
        components=components,
    )
