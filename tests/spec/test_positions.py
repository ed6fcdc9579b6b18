"""Which positions a file may ask for, and what each way of asking means for a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.errors import SpecError
from ullage.spec.positions import (
    awaited,
    chosen,
    full_rows,
    lacking,
    most_rows,
    read_positions,
    rows_of,
    written,
)

FILE = {
    "kind": "extract",
    "roles": {"model": {"model": "ullage:tiny"}},
    "extract": {"input": "texts.jsonl"},
}
WRONG = {
    "a word nobody knows": ("lats", "'lats': names no positions; nearest: last"),
    "a word with the wrong line": ("not_special", "nearest: not-special"),
    "the last none": ("last:0", "keeps no position; give last:1 or more"),
    "one number": (3, "names no positions (a list of one: [3])"),
    "a list of nothing": ([], "names no position"),
    "twice the same": ([0, 5, 0], "0 stands twice"),
    "truth": ([True], "true is neither a position nor a range"),
    "three ends": ([[0, 1, 2]], "[0, 1, 2] is not a range [begin, end) of two whole numbers"),
    "backwards": ([[4, 2]], "the range [4, 2] is empty in every text"),
    "to before the first": ([[-3, 0]], "the range [-3, 0] is empty in every text"),
}


def load(**capture):
    return ullage.load({**FILE, "captures": [{"sites": ["ln_final"], **capture}]})


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG)
def test_what_names_no_positions_is_told_in_one_line(given, said):
    with pytest.raises(SpecError) as error:
        load(positions=given)
    (line,) = error.value.mistakes
    assert line.startswith("captures.0.positions: ")
    assert said in line


def test_every_mistake_is_told_at_once():
    with pytest.raises(SpecError) as error:
        load(positions=["x", 1.5, [1]], precision="fp8", allow_nan="yes")
    assert len(error.value.mistakes) == 3
    assert "'x' is neither" in str(error.value)
    assert "1.5 is neither" in str(error.value)
    assert "[1] is not a range" in str(error.value)


@pytest.mark.parametrize("positions", ["last:4", "not-special", [0, -1], [[0, 8], [-4, -1], 12]])
def test_a_file_that_was_written_says_the_same(positions):
    workload = load(positions=positions)
    body = workload.model_dump(mode="json", exclude_defaults=True)
    assert body["captures"][0]["positions"] == positions
    assert load(positions=body["captures"][0]["positions"]).captures == workload.captures
    assert written(workload.captures[0].positions) == (
        positions if isinstance(positions, str) else str(positions)
    )


@pytest.mark.parametrize("positions", ["last:2", [0], "not-special", "mean"])
def test_patterns_have_all_positions_or_the_last(positions):
    with pytest.raises(SpecError, match="of attention patterns is not defined; use all or last"):
        load(sites=["blocks.0.attn.hook_pattern"], positions=positions)


@pytest.mark.parametrize("kind", ["evaluate", "pii"])
@pytest.mark.parametrize("positions", ["not-special", "[0, -1]"])
def test_other_kinds_say_which_positions_they_keep(kind, positions):
    roles = {
        "evaluate": {"generator": "ullage:tiny", "judge": "ullage:tiny"},
        "pii": {"verifier": "ullage:tiny"},
    }
    captured = f"captures=[{{role: {next(iter(roles[kind]))}, sites: [ln_final], positions: {positions}}}]"
    with pytest.raises(SpecError, match="use all, last, last:4 or mean"):
        ullage.load({"kind": kind, "roles": roles[kind]}, [captured])
    ullage.load({"kind": kind, "roles": roles[kind]}, [captured.replace(positions, "last:4")])


entries = st.integers(-30, 30) | st.tuples(st.integers(-30, 30), st.integers(-30, 30))
lists = st.lists(entries, min_size=1, max_size=5, unique=True)


def valid(given):
    try:
        return read_positions(given)
    except ValueError:
        return None


@given(lists, st.integers(1, 40))
def test_entries_are_what_python_would_take_of_the_text(given, length):
    positions = valid(given)
    if positions is None:
        return
    text = list(range(length))
    if lacking(positions, length) is not None:
        with pytest.raises(IndexError):
            [text[each] for each in given if isinstance(each, int)]
        return
    wanted = []
    for each in given:
        wanted += [text[each]] if isinstance(each, int) else text[slice(*each)]
    ranges = chosen(positions, length)
    assert [at for begin, end in ranges for at in range(begin, end)] == wanted
    assert rows_of(positions, ranges) <= most_rows(positions, 1, length)
    full = full_rows(positions)
    assert full is None or len(wanted) <= full


@given(st.just("all") | st.builds("last:{}".format, st.integers(1, 9)) | lists.map(valid), st.integers(1, 40))
def test_what_is_chosen_at_the_end_was_awaited_all_along(positions, length):
    if positions is None or lacking(positions, length) is not None:
        return
    ranges, tail = awaited(positions)
    for begin, end in chosen(positions, length):
        for at in range(begin, end):
            assert any(low <= at < high for low, high in ranges) or length - tail <= at


@given(st.lists(st.booleans(), max_size=20))
def test_special_tokens_are_left_out(special):
    ranges = chosen("not-special", len(special), special=special)
    assert [at for begin, end in ranges for at in range(begin, end)] == [
        at for at, each in enumerate(special) if not each
    ]
