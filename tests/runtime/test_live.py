"""The count of live tensors, held against torch's own profiler."""

import gc

import profiled
import pytest
import small_models

import ullage
from ullage.runtime.live import EVERY, LiveTensors


@pytest.mark.long
@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.parametrize("chunk", [None, 64])
def test_it_counts_what_the_profiler_counts(family, chunk):
    model = small_models.build(family, hidden=128)
    extractor = ullage.Extractor(model, ["blocks.2.hook_resid_post"], positions="mean", chunk_tokens=chunk)
    ids = [[(7 * k) % 90 + 3 for k in range(256)]] * 2
    extractor.read(ids)
    expected = profiled.peak(lambda: extractor.read(ids))
    with LiveTensors() as live:
        live.track_model(model)
        before = live.bytes
        live.reset_peak()
        extractor.read(ids)
        peak = live.peak - before
        gc.collect()
        assert live.bytes == before
    assert peak == pytest.approx(expected, rel=0.01)


def test_tensors_that_lie_in_a_file_are_told_apart_as_long_as_they_live(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    save_file({"weight": torch.ones(100, 100)}, tmp_path / "model.safetensors")
    model = torch.nn.Linear(100, 100, bias=False)
    with LiveTensors() as live:
        live.track_model(model)
        assert live.mapped == 0
        model.load_state_dict(load_file(tmp_path / "model.safetensors"), assign=True)
        live.track_model(model)
        assert live.mapped == 40_000
        del model
        gc.collect()
        assert live.mapped == 0


def test_views_share_their_storage_and_freed_tensors_are_gone():
    import torch

    with LiveTensors() as live:
        tensor = torch.zeros(1000)
        assert live.bytes == 4000
        view = tensor[10:].reshape(99, 10)
        assert live.bytes == 4000
        del tensor
        assert live.bytes == 4000
        del view
        assert live.bytes == 0
        assert live.peak == 4000
        live.reset_peak()
        assert live.peak == 0


def test_dropout_that_drops_nothing_makes_nothing():
    import torch

    with torch.inference_mode(), LiveTensors() as live:
        tensor = torch.ones(1000)
        kept = torch.nn.functional.dropout(tensor, 0.1, training=False)
        assert (live.bytes, live.peak) == (4000, 4000)
        dropped = torch.nn.functional.dropout(kept, 0.5, training=True)
        assert live.bytes >= 8000
    assert (dropped == 0).any()


def test_an_operand_that_is_turned_into_the_dtype_of_the_other_is_counted():
    import torch

    half, full = torch.ones(40, 1000, dtype=torch.bfloat16), torch.ones(40, 1000)
    half + full
    expected = profiled.peak(lambda: half + full)
    with LiveTensors() as live:
        half + full
        assert live.peak == expected


def passes(extractor, shapes, live=None):
    """The states of every pass, all of them kept; told of by `passing` where `live` is given."""
    kept = []
    for count, length in shapes:
        ids = [[(7 * k) % 90 + 3 for k in range(length)]] * count
        if live is None:
            kept += [tensor for each in extractor.read(ids) for tensor in each.states.values()]
            continue
        own = []
        with live.passing(count, length, own):
            own += [tensor for each in extractor.read(ids) for tensor in each.states.values()]
        kept += own
    return kept


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_passes_that_are_not_looked_into_add_what_those_like_them_did(family):
    model = small_models.build(family)
    extractor = ullage.Extractor(model, ["blocks.*.hook_resid_post"])
    shapes = [(4, 64), (4, 60), (2, 64), (4, 64), (4, 64), (4, 52), (1, 64), (4, 64)]
    with LiveTensors() as whole:
        whole.track_model(model)
        before = whole.bytes
        kept = passes(extractor, shapes)
        expected, held = whole.peak - before, whole.bytes - before
        del kept
    with LiveTensors() as live:
        live.track_model(model)
        before = live.bytes
        kept = passes(extractor, shapes, live)
        assert live.bytes - before == held
        assert live.peak - before == pytest.approx(expected, rel=0.01)
        del kept
        gc.collect()
        assert live.bytes == pytest.approx(before, rel=0.05)


def fail(live):
    import torch

    with live.passing(1, 90, []):
        torch.zeros(7000)
        torch.zeros(-1)


def test_a_longer_pass_is_counted_and_one_that_fails_leaves_the_count_whole():
    import torch

    with LiveTensors() as live:
        with live.passing(1, 10, []):
            torch.zeros(1000)
        with live.passing(1, 10, []):
            torch.zeros(9000)  # not looked into: as much as the one before
        assert live.peak == 4000
        with live.passing(1, 20, []):
            torch.zeros(5000)
        assert live.peak == 20_000
        with pytest.raises(RuntimeError, match="negative"):
            fail(live)
        assert live.peak == 28_000
        assert live.bytes == 0
        torch.zeros(8000)
        assert live.peak == 32_000


def test_one_in_so_many_passes_is_counted_whatever_its_shape():
    import torch

    with LiveTensors() as live:
        for size in range(1, EVERY + 1):
            with live.passing(1, 10, []):
                torch.zeros(1000 * size)
        assert live.peak == 4000 * EVERY
