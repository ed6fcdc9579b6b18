"""Measurements by phase, and warnings."""

import json
import time

import pytest

import ullage
from ullage.errors import InputError
from ullage.phases.phase import Phase, Work
from ullage.runtime.gauges import ProcessorGauge
from ullage.runtime.live import LiveTensors
from ullage.runtime.monitor import Monitor
from ullage.runtime.reading import read_device
from ullage.units import MIB


def phase(name):
    return Phase(name, (), "model", Work("prefill"))


def monitor(said, live=None, budget=None, threshold=0.99, timeline=None):
    budgets = {} if budget is None else {"cpu": budget}
    return Monitor((ProcessorGauge(live),), budgets, threshold, said.append, timeline)


def test_each_phase_has_its_own_peak_however_often_it_is_entered():
    import torch

    live = LiveTensors()
    with monitor([], live) as watch, live:
        watch.enter(phase("small"))
        torch.zeros(1 << 10)
        watch.enter(phase("large"))
        kept = torch.zeros(1 << 20)
        watch.hold("cpu", "captures", kept.nbytes)
        watch.enter(phase("small"))
        torch.zeros(1 << 12)
        del kept
    found = {each.phase: each for each in watch.measured}
    assert set(found) == {"small", "large"}
    assert found["large"].live == 4 << 20
    assert found["small"].live == (4 << 20) + (4 << 12)
    assert found["large"].components == {"captures": 4 << 20}
    assert found["small"].process > 20 * MIB


def test_pages_of_a_file_that_no_tensor_lies_in_are_not_counted(tmp_path):
    import mmap

    path = tmp_path / "checkpoint"
    path.write_bytes(b"1" * (64 * MIB))
    live = LiveTensors()
    with monitor([], live) as watch, live:
        with watch.inside(phase("before")):
            pass
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            pages = sum(mapped[at] for at in range(0, len(mapped), 4096))
            with watch.inside(phase("with the file")):
                pass
    assert pages > 0
    before, after = (each.process for each in watch.measured)
    assert abs(after - before) < 32 * MIB


def test_a_warning_comes_once_a_phase_and_names_it(tmp_path):
    said = []
    timeline = tmp_path / "timeline.jsonl"
    with (
        monitor(said, budget=10 * MIB, threshold=0.5, timeline=timeline) as watch,
        watch.inside(phase("work")),
    ):
        watch.far = lambda: ("work", 3, 9)
        time.sleep(0.7)
    assert len(said) == 1
    assert "in work" in said[0]
    assert "50%" in said[0]
    lines = [json.loads(line) for line in timeline.read_text().splitlines()]
    assert lines
    assert {"seconds", "phase", "device", "live", "process"} <= set(lines[0])
    assert [lines[-1][key] for key in ("doing", "done", "total")] == ["work", 3, 9]


def test_whether_something_fits_now():
    reading = read_device("cpu")
    assert ullage.can_allocate(1 << 20)
    assert not ullage.can_allocate(reading.total + 1)
    assert ullage.check_threshold(1.0) == ()
    assert [warning.device for warning in ullage.check_threshold(1e-9)] == ["cpu"]
    ullage.reset_peak(["cpu"])


def test_live_bytes_need_a_count():
    assert read_device("cpu").live is None
    with pytest.raises(InputError):
        read_device("gpu:99")
