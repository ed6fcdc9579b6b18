"""A price list of one's own: what it says, and a line for each row that says nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import InputError, SpecError, UllageError
from ullage.facts.gpu_set import parse_gpu_set
from ullage.spec.price_list import NEEDED, read_prices

ROW = {
    "date": "2026-11-09",
    "provider": "Mine",
    "label": "on-demand",
    "card": "A100-80GB",
    "usd_per_hour": 1.5,
}


def written(folder, rows, name="prices.yaml"):
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


def test_yaml_json_and_csv_say_the_same(tmp_path):
    lines = "date,provider,label,card,count,currency,usd_per_hour,host_memory\n"
    texts = {
        "list.csv": lines
        + "2026-11-09,Mine,spot,A100-80GB,,usd,1.5,\n2026-11-09,Mine,spot,L4,4,USD,2.0,192GiB\n",
        "list.json": [
            {**ROW, "label": "spot"},
            {**ROW, "label": "spot", "card": "L4", "count": 4, "usd_per_hour": 2, "host_memory": "192GiB"},
        ],
        "list.yaml": "prices:\n- {date: 2026-11-09, provider: Mine, label: spot, card: A100-80GB, "
        "usd_per_hour: 1.5}\n"
        "- {date: 2026-11-09, provider: Mine, label: spot, card: l4, count: 4, usd_per_hour: 2.0, "
        "currency: USD, host_memory: 192GiB}\n",
    }
    for name, text in texts.items():
        found = read_prices(written(tmp_path, text, name))
        assert found.label == "spot"
        assert found.of(parse_gpu_set("3xA100-80GB")).usd_per_hour == pytest.approx(4.5)
        four = found.of(parse_gpu_set("4xL4"))
        assert (four.usd_per_hour, four.as_of, four.provider) == (2.0, "2026-11-09", "Mine")
        assert four.host_bytes == 192 * 2**30
        assert found.of(parse_gpu_set("L4")) is None


@pytest.mark.parametrize("lacking", NEEDED)
def test_a_row_that_lacks_what_is_needed_is_one_line(tmp_path, lacking):
    path = written(tmp_path, [{key: value for key, value in ROW.items() if key != lacking}])
    with pytest.raises(SpecError) as told:
        read_prices(path)
    assert str(told.value).startswith(f"{path}: row 1: {lacking} is missing")
    assert len(told.value.mistakes) == 1


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("date", "yesterday", "is no day; write it as 2026-11-09"),
        ("date", "2999-01-01", "2999-01-01 is not here yet; a price has the day on which it was read"),
        ("card", "RTX 4091", "unknown GPU 'RTX 4091'; nearest: RTX 4090"),
        ("card", "RTX 6000", "may be any of"),
        ("label", "cheap", "prices are on-demand, marketplace, spot"),
        ("currency", "EUR", "no exchange rate is known here; give prices in USD"),
        ("usd_per_hour", "free", "is no price in dollars an hour"),
        ("usd_per_hour", -1, "is no price in dollars an hour"),
        ("count", 0, "is no number of cards"),
        ("host_memory", "much", "is not a size"),
        ("gpu", "L4", "is no column"),
    ],
)
def test_a_value_that_means_nothing_is_one_line(tmp_path, column, value, said):
    path = written(tmp_path, [ROW, {**ROW, column: value}])
    with pytest.raises(SpecError, match=said) as told:
        read_prices(path)
    assert [line.startswith(f"{path}: row 2: ") for line in told.value.mistakes] == [True]


def test_all_mistakes_are_told_at_once(tmp_path):
    rows = [3, {**ROW, "date": "never", "label": "new"}, ROW, {**ROW, "card": "Voodoo"}]
    with pytest.raises(SpecError) as told:
        read_prices(written(tmp_path, rows))
    assert [line.split(": ")[1] for line in told.value.mistakes] == ["row 1", "row 2", "row 2", "row 4"]


@pytest.mark.parametrize("text", ["", "[]", "prices: 3", "a: [", "{prices: []}", "date,card\n"])
def test_a_file_without_prices_is_refused(tmp_path, text):
    for name in ("a.yaml", "a.csv"):
        with pytest.raises(InputError):
            read_prices(written(tmp_path, text, name))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read as a price list"):
        read_prices(tmp_path / "none.yaml")


@given(text=st.text(max_size=60), name=st.sampled_from(["a.yaml", "a.csv", "a.json"]))
def test_any_text_is_a_list_or_an_error_of_ours(text, name, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / name
    path.write_text(text)
    try:
        assert read_prices(path).offers
    except UllageError as error:
        assert str(error)


def test_a_list_as_spreadsheets_save_it_is_read(tmp_path):
    """They begin it with a byte order mark; some part columns by semicolons, which is said once."""
    head, row = "date,provider,label,card,usd_per_hour", "2026-01-09,Lambda,on-demand,A100-80GB,2.5"
    file = tmp_path / "prices.csv"
    file.write_text(f"{head}\n{row}\n", encoding="utf-8-sig")
    assert [offer.usd_per_hour for offer in read_prices(file).offers] == [2.5]
    file.write_text("\n".join([head, *[row] * 50]).replace(",", ";"), encoding="utf-8")
    with pytest.raises(InputError, match=r"row 1: columns are separated by commas") as told:
        read_prices(file)
    assert "\n" not in str(told.value)
    file.write_text(f"{head}\n{row}\n{row},7\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 2 has more than the 5 cells of the first line"):
        read_prices(file)
