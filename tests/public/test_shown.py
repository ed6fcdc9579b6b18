"""Values show themselves: one line in a traceback, a page when printed, a table in a notebook."""

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

import ullage
from ullage.cli.main import main
from ullage.records.record import Environment, Measured, Record
from ullage.records.verification import Comparison, TimeComparison, Verification
from ullage.reports import shown
from ullage.reports.console import PlainConsole
from ullage.reports.pages.screen import show
from ullage.reports.pages.table import Table
from ullage.reports.plan_page import plan_page
from ullage.reports.verification_page import verification_page
from ullage.units import Estimate, Interval

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
HOSTILE = "<script>alert(1)</script>\n" + "x" * 500


def one_line(value):
    assert len(repr(value)) < 700
    assert "\n" not in repr(value)
    return repr(value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example(path):
    plan = ullage.plan(path, "4xL4", advice=False)
    assert one_line(plan).startswith("<Plan of ")
    assert plan.verdict in repr(plan)
    workload = ullage.load(path)
    assert workload.kind in one_line(workload)
    assert str(workload) == repr(workload)


def test_a_plan_prints_as_the_terminal_shows_it():
    plan = ullage.plan(EXAMPLES[0], "4xL4", advice=False)
    console = Console(file=io.StringIO(), width=140, highlight=False, markup=False, emoji=False)
    show((plan_page(plan),), console)
    shown = console.file.getvalue()
    assert str(plan).split() == shown.split()
    assert "\x1b" not in str(plan)
    assert str(plan) == f"{plan}"
    assert "how it is known" in f"{plan:details}"
    with pytest.raises(ValueError, match="format"):
        f"{plan:more}"


def test_a_plan_gives_the_document_that_the_terminal_prints(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["plan", str(EXAMPLES[0]), "--gpus", "4xL4", "--no-advice", "--json"])
    plan = ullage.plan(EXAMPLES[0], "4xL4", advice=False)
    assert plan.to_json() == json.loads(capsys.readouterr().out)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan.to_json()))
    assert ullage.read_plan(path, base=EXAMPLES[0].parent).to_json() == plan.to_json()


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def parsed(value):
    cells = Cells()
    cells.feed(value._repr_html_())
    return cells


def test_a_notebook_shows_a_table_and_what_files_say_is_escaped():
    workload = ullage.load(EXAMPLES[0]).model_copy(update={"name": HOSTILE})
    plan = ullage.plan(workload, "2xA100+1xL4", base=EXAMPLES[0].parent, advice=False)
    one_line(plan)
    cells = parsed(plan)
    # Times; a request's stages by its way, what it takes in all, and how many go each way, and all.
    ways = 0 if plan.latency is None else len(plan.latency.ways)
    assert cells.tags.count("table") == 5
    of_requests = 2 * (1 + ways) + (1 + ways + 1)
    assert cells.tags.count("tr") == 1 + len(plan.devices) + 1 + len(plan.times) + of_requests
    assert {"derived", "basis"} <= {text.strip() for text in cells.text}
    assert "script" not in cells.tags
    assert {"gpu:0", "gpu:2", plan.verdict} <= {text.strip() for text in cells.text}


def test_many_comparisons_are_one_screen_with_the_worst_of_each_device():
    planned = Interval(0, 2**20, 10 * 2**20)
    phases = [f"voice prefill beside specialist {at}" for at in range(40)]
    found = [
        Comparison(phase, device, what, "level", planned, (at * 7 % 40) * 2**20 // 4)
        for at, phase in enumerate(phases)
        for device in ("gpu:0", "gpu:1")
        for what in ("live", "device")
    ]
    times = [
        TimeComparison(phase, 1, Estimate(1, 2, 3), "derived", at + 1) for at, phase in enumerate(phases)
    ]
    value = Verification((*found, replace(found[0], measured=2**30)), times=tuple(times))
    pages = {}
    for details in (False, True):
        file = StringIO()
        console = PlainConsole(file=file, width=80, color_system=None)
        show(verification_page(value, details=details), console)
        pages[details] = file.getvalue()
        assert "1 measurements exceed" in pages[details]
    short, whole = pages[False].splitlines(), " ".join(pages[True].split())
    assert len(short) <= 50 < len(pages[True].splitlines())
    assert max(map(len, short)) <= 80
    rows = [line.split() for line in short if line.startswith("gpu:")]
    assert [row[0] for row in rows] == ["gpu:0"] * 2 + ["gpu:1"] * 2
    assert [row[-1] for row in rows] == ["ABOVE", "inside", "inside", "inside"]
    assert all("9.8" in row for row in rows[1:])  # the largest measurement, of one phase in forty
    assert "--details all 161 comparisons and 40 times" in short[-1]
    assert all(f"specialist {at}" in whole for at in (0, 39))
    assert whole.count(" ABOVE") == 1
    assert shown.details(value).count("gpu:") == len(value.comparisons)


@pytest.mark.parametrize("width", [60, 74, 80])
def test_a_table_tears_neither_names_nor_figures(width):
    names, figures = ["blocks.5.hook_resid_post", "x" * 30], ["1.25 (0.50-2.00)", "12.50 (5.00-20.00)"]
    rows = tuple((name, "100", size, "bfloat16") for name, size in zip(names, figures, strict=True))
    table = Table(("site", "rows", "GiB", "dtype"), rows, frozenset({"rows", "GiB"}))
    file = StringIO()
    show((table,), PlainConsole(file=file, width=width, color_system=None))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for name, size in zip(names, figures, strict=True):
        at = next(at for at, line in enumerate(lines) if line.startswith(name))
        figures = lines[at + (lines[at].rstrip() == name)]
        assert size in figures
        assert figures.rstrip().endswith("bfloat16")


def test_verifications_and_records():
    inside = Comparison("model prefill", "gpu:0", "live", "level", Interval(1, 2, 4 * 2**20), 3)
    found = Verification((inside, replace(inside, phase=HOSTILE, measured=2**30)))
    assert one_line(found) == "<Verification of 2 numbers: 1 levels exceed the plan>"
    assert "1 measurements exceed what was planned at most" in str(found)
    cells = parsed(found)
    assert cells.tags.count("tr") == 3
    document = found.to_json()
    jsonschema.validate(document, ullage.document_schema("verification"))
    assert [one["measured"] for one in document["comparisons"]] == [3, 2**30]
    assert document["times"] == []
    assert "script" not in cells.tags
    where = Environment("A100", "590", "2.11", "5.17", "3.11", "0.1.0")
    peak = Measured("model prefill", "gpu:0", 1, 2, None, None, 1.0)
    record = Record(where, (peak,) * 50, 1000, 123_456, 12.34, 0, {"long": "x" * 10_000})
    assert one_line(record) == "<Record of 1,000 examples, 123,456 tokens in 12.3 s on A100: 50 peaks>"
    jsonschema.validate(json.loads(json.dumps(record.to_json())), ullage.document_schema("record"))
    cells = parsed(replace(record, measured=(replace(peak, phase=HOSTILE, live=3 * 2**20),)))
    assert cells.tags.count("tr") == 2
    assert "script" not in cells.tags
    assert "3.00" in cells.text


def test_a_bill_shows_its_totals_and_every_reason_for_them():
    plan = ullage.plan(EXAMPLES[0], "4xL4", advice=False)
    cells = parsed(plan.bill)
    assert cells.tags.count("table") == 2
    device = plan.devices[0]
    peak = plan.bill.totals[device.name][device.peak_phase].device
    assert any(f"-{peak.high / 2**30:.2f})" in text for text in cells.text)
    reasons = {item.component.replace("_", " ") for item in plan.bill.items if item.bytes.high}
    assert reasons <= set(cells.text)
