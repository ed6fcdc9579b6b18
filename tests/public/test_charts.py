"""Charts: whole, harmless markup whatever is in them, the same for the same, true to what they show."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.reports.charts import Bar, Bars, Line, Lines, Segment, table
from ullage.reports.plan_chart import plan_chart
from ullage.reports.svg import MOST_POINTS, drawn, thinned, ticks

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"
sizes = st.floats(0, 1e6, allow_subnormal=False)
bars = st.builds(
    Bar,
    st.text(max_size=30),
    st.lists(st.builds(Segment, st.text(max_size=12), sizes, st.text(max_size=12)), max_size=9).map(tuple),
    st.none() | sizes,
    st.none() | sizes,
)
points = st.lists(st.tuples(sizes, sizes), max_size=20).map(tuple)
lines = st.builds(Line, st.text(max_size=20), points, st.booleans(), st.just(()))


@given(st.text(max_size=40), st.lists(bars, max_size=5).map(tuple))
def test_any_bars_are_markup_and_say_their_names(title, some):
    chart = Bars(title, "what it shows", "GiB", some)
    root = ElementTree.fromstring(drawn(chart))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert [each.tag for each in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert drawn(chart) == drawn(Bars(title, "what it shows", "GiB", some))
    rows = table(chart).rows
    assert [row[0] for row in rows] == [bar.title for bar in some]
    assert all(len(row) == len(table(chart).columns) for row in rows)


@given(st.text(max_size=40), st.lists(lines, max_size=8).map(tuple), st.booleans())
def test_any_lines_are_markup(title, some, diagonal):
    chart = Lines(title, "", "seconds", "GiB", some, diagonal=diagonal, marks=((1.0, "load"),))
    ElementTree.fromstring(drawn(chart))
    assert len(table(chart).rows) == sum(len(line.points) for line in some)


def test_names_are_text_and_never_markup():
    bad = '</svg><script>alert("1")</script>\u202e'
    line = Line(bad, ((0.0, 1.0), (1.0, 2.0)), weights=(1.0, 0.5))
    charts = (
        Bars(bad, bad, bad, (Bar(bad, (Segment(bad, 1.0, bad),), 2.0, 3.0),)),
        Lines(bad, bad, bad, bad, (line,), marks=((0.5, bad),)),
    )
    for chart in charts:
        text = drawn(chart)
        assert "<script" not in text
        assert "\u202e" not in text
        assert not any(each.tag == f"{SVG}script" for each in ElementTree.fromstring(text).iter())
        assert " style=" not in text  # a strict Content-Security-Policy would drop it


def test_segments_are_as_wide_as_they_are_large_and_told_apart_by_more_than_colour():
    chart = Bars("a", "b", "GiB", (Bar("one", (Segment("x", 1.0), Segment("y", 3.0)), 6.0, 8.0),))
    root = ElementTree.fromstring(drawn(chart))
    found = [each for each in root if each.tag == f"{SVG}rect" and each.find(f"{SVG}title") is not None]
    wide = [float(each.get("width").removesuffix("%")) for each in found]
    assert wide[1] == pytest.approx(3 * wide[0], rel=0.01)
    assert sum(wide) == pytest.approx(50, rel=0.02)  # of eight, four
    names = [each.get("id") for each in root.iter(f"{SVG}pattern")]
    assert len({*names}) == len(names) == 2
    hatched = [len(each.findall(f"{SVG}path")) for each in root.iter(f"{SVG}pattern")]
    assert hatched == [0, 1]


def test_a_part_looks_the_same_in_every_chart_that_knows_it():
    whole = Bars("a", "b", "GiB", (Bar("one", (Segment("x", 1.0), Segment("y", 3.0))),), ("x", "y"))
    less = Bars("a", "b", "GiB", (Bar("one", (Segment("z", 1.0), Segment("y", 3.0))),), ("x", "y"))
    assert (whole.looks, less.looks) == ({"x": 0, "y": 1}, {"z": 2, "y": 1})
    filled = [
        re.findall(r'<rect x="[^"]*"[^>]*fill="url\(#\w+-(\d)\)"', drawn(each)) for each in (whole, less)
    ]
    assert filled == [["0", "1"] * 2, ["2", "1"] * 2]  # in the bar, and in the legend


@pytest.mark.parametrize(("name", "lines"), [("load", 1), ("gpu:0: a long name of " + "a phase " * 5, 2)])
def test_no_bars_words_lie_over_one_another(name, lines):
    chart = Bars(
        "", "", "GiB", (Bar(name, (Segment("x", 1.0),), 2.0, 3.0), Bar("next", (Segment("x", 1.0),)))
    )
    texts = [each for each in ElementTree.fromstring(drawn(chart)) if each.tag == f"{SVG}text"]
    at = {each.text: float(each.get("y")) for each in texts if each.text}
    said = "1.00 of 3.00 GiB, at most 2.00"
    assert (at[said] > at[name]) == (lines == 2)
    assert at["next"] > at[said] + 20


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=200), st.integers(1, 40))
def test_of_many_points_the_ends_and_the_highest_are_drawn(some, times):
    many = some * (times * MOST_POINTS // len(some) // 20 + 1)
    kept = thinned(many)
    assert len(kept) <= max(MOST_POINTS, 1)
    assert (kept[0], kept[-1]) == (many[0], many[-1])
    assert max(y for _, y in kept) == max(y for _, y in many)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(low, wide):
    found = ticks(low, low + wide)
    assert 1 <= len(found) <= 12
    assert found == sorted(found)
    assert all(low - wide * 1e-6 <= each <= low + wide * (1 + 1e-6) for each in found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_plan_is_drawn_with_what_its_bill_says(path):
    plan = ullage.plan(path, "4xL4", advice=False)
    drawing = plan.plot()
    chart = drawing.chart
    assert drawing._repr_html_() == drawing.to_svg() in plan._repr_html_()
    shown = {bar.title: bar for bar in chart.bars}
    assert shown
    for device in plan.devices:
        bar = shown.get(f"{device.name}: {device.peak_phase}")
        if bar is not None:
            assert bar.size == pytest.approx(device.peak.device.expected / 2**30)
            assert bar.most == pytest.approx(device.peak.device.high / 2**30)
    assert re.search(r"gpu:\d.*, \d+\.\d\d GiB usable", drawing.to_svg())
    whole = {bar.title for bar in plan_chart(plan, everything=True).bars}
    assert set(shown) <= whole
    assert (len(shown) < len(whole)) == bool(chart.note)
    peaks = {f"{device.name}: {device.peak_phase}" for device in plan.devices}
    assert peaks & whole - set(shown) <= {each for each in whole if not each.startswith("gpu")}
