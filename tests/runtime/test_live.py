"""The count of live tensors, held against torch's own profiler."""

import gc

import pytest
import small_models

import ullage
from ullage.runtime.live import LiveTensors


def profiled_peak(work):
    """Largest sum of bytes that torch's CPU allocator had handed out while `work` ran."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        kept = work()
    del kept
    live = peak = 0
    for event in run.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.parametrize("chunk", [None, 64])
def test_it_counts_what_the_profiler_counts(family, chunk):
    model = small_models.build(family, hidden=128)
    extractor = ullage.Extractor(model, ["blocks.2.hook_resid_post"], positions="mean", chunk_tokens=chunk)
    ids = [[(7 * k) % 90 + 3 for k in range(256)]] * 2
    extractor.read(ids)
    expected = profiled_peak(lambda: extractor.read(ids))
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
