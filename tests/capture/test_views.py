"""Stored states as a data set: every row once, in an order that a seed gives, and read by others."""

import re
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import small_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ullage
from ullage.capture.array_store import ArrayStore
from ullage.capture.index import write_index
from ullage.capture.store import Example, ShardStore
from ullage.cli.main import main
from ullage.errors import InputError
from ullage.runtime.live import LiveTensors

SITE, LAST = "blocks.0.hook_resid_post", "ln_final"
PAGE = Path(__file__).parents[2] / "docs/extract.md"


def example(index, length, number, special=1):
    """A sequence whose states say which they are; its first tokens are special."""
    import torch

    rows = torch.arange(number, number + length, dtype=torch.float32)[:, None].repeat(1, 2)
    offsets = ((-1, -1),) * min(special, length) + ((0, 1),) * (length - special)
    return Example(
        index=index,
        id=f"r{index}",
        text="x",
        tokens=tuple(range(10, 10 + length)),
        offsets=offsets,
        prompt_tokens=length,
        states={SITE: rows, LAST: rows[-1:]},
        role="model",
        stage="extract",
    )


def stored(folder, lengths, each=3, kind="shards"):
    """A store of sequences of `lengths`, `each` to a file, the longest first within it."""
    states = folder / "states"
    folder.mkdir(exist_ok=True)
    store = ShardStore(states, 1, ()) if kind == "shards" else ArrayStore(states)
    starts = [sum(lengths[:n]) for n in range(len(lengths))]
    store.expect(0, lengths, {SITE: lengths, LAST: [1] * len(lengths)})
    entries = []
    for unit, first in enumerate(range(0, len(lengths), each)):
        some = sorted(range(first, min(first + each, len(lengths))), key=lambda n: -lengths[n])
        entries += store.add(unit, [example(n, lengths[n], starts[n]) for n in some])
    entries += store.finish()
    write_index(states, lambda: entries, {"model": "m"})
    return ullage.open_states(folder)


def numbers(batches):
    return [int(row) for batch in batches for row in batch[..., 0].flatten().tolist()]


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=12),
    st.sampled_from(["shards", "maps"]),
    st.integers(1, 300),
    st.one_of(st.just(1), st.integers(2, 300)),
    st.one_of(st.none(), st.integers(0, 5)),
    st.integers(1, 2000),
    st.booleans(),
)
def test_every_row_comes_once_and_as_the_seed_says(lengths, kind, batch, context, seed, buffer, special):
    with tempfile.TemporaryDirectory() as folder:
        store = stored(Path(folder), lengths, kind=kind)
        options = {"batch": batch, "context": context, "seed": seed, "buffer_rows": buffer}
        view = store.view(SITE, skip_special=special, **options)
        batches = list(view)
        assert len(batches) == len(view)
        assert all(len(each) == batch for each in batches[:-1])
        found = numbers(batches)
        starts = {sum(lengths[:n]) for n in range(len(lengths))} if special else set()
        wanted = [n for n in range(sum(lengths)) if n not in starts]
        assert view.rows == len(wanted)
        assert len(found) == len(wanted) - view.left_out
        assert len(set(found)) == len(found)
        assert set(found) <= set(wanted)
        if context == 1:
            assert sorted(found) == wanted
        assert numbers(store.view(SITE, skip_special=special, **options)) == found


def test_rows_are_mixed_and_another_seed_is_another_order(tmp_path):
    store = stored(tmp_path, [300] * 12)
    one, other, none = (numbers(store.view(SITE, seed=seed, buffer_rows=1024)) for seed in (1, 2, None))
    assert sorted(one) == sorted(other) == sorted(none)
    assert one != other
    follow = sum(b == a + 1 for a, b in pairwise(one))
    assert follow < len(one) / 20


def test_a_context_is_rows_that_follow_one_another_of_texts_laid_end_to_end(tmp_path):
    store = stored(tmp_path, [5, 4, 6, 3], each=1)
    plain = numbers(store.view(SITE, skip_special=False))
    view = store.view(SITE, context=4, batch=2, skip_special=False)
    assert [tuple(each.shape) for each in view] == [(2, 4, 2), (2, 4, 2)]
    assert numbers(view) == plain[:16]
    assert view.left_out == 2
    mixed = [
        tuple(map(int, one[:, 0]))
        for batch in store.view(SITE, context=4, seed=0, skip_special=False)
        for one in batch
    ]
    assert sorted(mixed) == sorted(tuple(plain[n : n + 4]) for n in range(0, 16, 4))


def test_ids_are_skipped_wherever_they_stand(tmp_path):
    store = stored(tmp_path, [5, 2, 9])
    kept = numbers(store.view(SITE, skip={12, 13}))
    assert sorted(kept) == [1, 4, 6, 8, 11, 12, 13, 14, 15]
    with pytest.raises(InputError, match="not every position of a text has its states"):
        store.view(LAST, skip={12})
    assert sorted(numbers(store.view(LAST))) == [4, 6, 15]


def test_rows_of_a_list_of_positions_are_not_taken_for_those_of_every_position(tmp_path):
    import torch

    states = tmp_path / "states"
    store = ShardStore(states, 1, ())
    store.expect(0, [2], {SITE: [2], LAST: [1]})
    turned = replace(example(0, 2, 0), positions={SITE: ((1, 2), (0, 1))})
    entries = [*store.add(0, [turned]), *store.finish()]
    write_index(states, lambda: entries, {"model": "m"})
    found = ullage.open_states(tmp_path)
    assert torch.equal(next(iter(found.view(SITE)))[:, 0], torch.tensor([0.0, 1.0]))
    with pytest.raises(InputError, match="not every position"):
        found.view(SITE, skip={11})


def test_what_is_held_does_not_grow_with_the_store(tmp_path):
    def peak(name, files):
        store = stored(tmp_path / name, [300] * files, each=1)
        with LiveTensors() as live:
            for _ in store.view(SITE, seed=0, batch=64, buffer_rows=512):
                pass
            return live.peak

    assert peak("many", 40) <= 1.05 * peak("few", 10)


@pytest.mark.parametrize("options", [{"batch": 0}, {"context": 0}, {"buffer_rows": 0}])
def test_sizes_below_one_are_refused(tmp_path, options):
    with pytest.raises(InputError, match="is not 1 or more"):
        stored(tmp_path, [3]).view(SITE, **options)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.sampled_from(["shards", "maps"]))
@settings(max_examples=20)
def test_a_matrix_is_the_records_one_below_the_other(lengths, kind):
    import torch

    with tempfile.TemporaryDirectory() as folder:
        store = stored(Path(folder), lengths, kind=kind)
        for site in (SITE, LAST):
            assert torch.equal(store.matrix(site), torch.cat([store[n][site] for n in range(len(store))]))


def test_a_matrix_opens_each_file_once(tmp_path, bounded):
    store = stored(tmp_path, [2] * 1500, each=1000)
    store.matrix(SITE)
    with bounded(2000):
        assert store.matrix(SITE).shape == (3000, 2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("exported")
    small_models.write_texts(folder / "texts.jsonl", 12)
    out = folder / "runs" / "extract-1"
    ullage.extract(str(model_folder), folder / "texts.jsonl", [SITE, "blocks.0.attn.hook_q"], out, gpus="cpu")
    return folder


def test_the_page_of_the_data_set_runs_as_it_stands(finished, monkeypatch):
    datasets = pytest.importorskip("datasets")
    import torch

    text = PAGE.read_text().partition("## As a data set\n")[2].partition("\n## ")[0]
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    monkeypatch.chdir(finished)
    with pytest.raises(SystemExit) as done:
        main(re.sub(r"\s+#.*", "", lines[0]).split()[1:])
    assert done.value.code in (0, None)
    names = {"datasets": datasets, "ullage": ullage}
    exec("\n".join(lines[1:]), names)
    vectors, store = names["vectors"], ullage.open_states(finished / "runs/extract-1")
    assert len(vectors) == len(store.matrix(SITE))
    width = store.sites["blocks.0.attn.hook_q"]["width"]
    assert list(vectors[0]["blocks.0.attn.hook_q"].shape) == width
    first = [each for each in vectors if each["index"] == 3]
    assert [int(each["token"]) for each in first] == store.rows[3]["tokens"]
    assert torch.equal(torch.stack([each[SITE] for each in first]), store[3][SITE])
    assert names["batch"].shape[1] == store.sites[SITE]["width"][0]


def test_sites_of_other_positions_do_not_go_into_one_table(tmp_path):
    stored(tmp_path, [3, 4])
    with pytest.raises(InputError, match=r"keeps other rows than .* --site"):
        ullage.export_states(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(ullage.export_states(tmp_path, tmp_path / "out", [LAST])) == 1
    with pytest.raises(InputError, match="is there already"):
        ullage.export_states(tmp_path, tmp_path / "out", [LAST])
