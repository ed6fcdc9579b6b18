"""Extractions on a CUDA GPU: skipped where there is none."""

import gc
import json

import pytest
import small_models

import ullage

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")

BODY = {
    "kind": "extract",
    "batch": 8,
    "prompt_tokens": 256,
    "examples": 64,
    "captures": [{"sites": ["blocks.*.hook_resid_post", "ln_final"], "positions": "all", "keep": "disk"}],
    "extract": {"input": "texts.jsonl"},
}


@pytest.fixture
def workload(tmp_path):
    small_models.save(tmp_path / "model", "llama", hidden=512, heads=8, kv_heads=4, layers=6)
    small_models.write_texts(tmp_path / "texts.jsonl", 64)
    return tmp_path


def run(folder, name, gpus, precision="fp32", **changes):
    body = BODY | {"roles": {"model": {"model": "model", "precision": precision}}} | changes
    file = folder / f"{name}.json"
    file.write_text(json.dumps(body))
    out = folder / name
    _, record = ullage.run(ullage.load(file), out, gpus, base=folder)
    return out, record


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.1), ("fp16", 0.02)])
def test_states_are_those_of_the_processor(workload, precision, tolerance):
    exact = ullage.open_states(run(workload, "cpu", "cpu")[0])
    found = ullage.open_states(run(workload, "gpu", "local", precision)[0])
    for index in range(0, 64, 7):
        for site, states in exact[index].items():
            assert (found[index][site].float() - states).abs().max() <= tolerance * states.abs().max()


def test_streamed_states_are_those_of_one_pass(workload):
    whole = ullage.open_states(run(workload, "whole", "local")[0])
    chunks = ullage.open_states(run(workload, "chunks", "local", memory={"streaming_chunk_size": 32})[0])
    for index in range(0, 64, 7):
        for site, states in whole[index].items():
            assert (chunks[index][site] - states).abs().max() <= 1e-3 * states.abs().max()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_nothing_exceeds_the_plan(workload, precision):
    if precision in ("int8", "nf4"):
        pytest.importorskip("bitsandbytes")
    out, _ = run(workload, precision, "local", precision)
    for each in ullage.verify(out).comparisons:
        if each.what in ("live", "reserved"):
            assert each.verdict != "above", each


def test_real_out_of_memory_is_split_and_nothing_is_lost(workload, monkeypatch):
    from ullage.runtime import opening

    clean = ullage.open_states(run(workload, "clean", "local")[0])
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory

    def keep_little(_plan, _sharing):
        room = torch.cuda.memory_reserved(0) + 160 * 2**20  # weights 73, cuBLAS 32, and so little beside them
        torch.cuda.set_per_process_memory_fraction(room / total, 0)

    monkeypatch.setattr(opening, "_keep_inside", keep_little)
    try:
        out, record = run(workload, "tight", "local", batch=256, prompt_tokens=512)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert record.splits > 0
    store = ullage.open_states(out)
    assert [row["id"] for row in store.rows] == [row["id"] for row in clean.rows]
    for index in range(0, 64, 7):
        for site, states in clean[index].items():
            assert (store[index][site] - states).abs().max() <= 1e-3 * states.abs().max()


def test_the_monitor_reads_the_gpu():
    from ullage.runtime.reading import read_device

    reading = read_device("gpu:0")
    assert 0 < reading.on_device <= reading.total
    assert ullage.can_allocate(1 << 20, "gpu:0")
    assert not ullage.can_allocate(reading.total + 1, "gpu:0")
    ullage.reset_peak(["gpu:0"])
    assert ullage.check_threshold(1.0, ["gpu:0"]) == ()
    assert ullage.can_allocate("1MiB", 0)
    info = next(each for each in ullage.device_info() if each.device == "gpu:0")
    assert info.name
    assert info.peak is not None
    assert 0 <= info.peak <= info.total
    assert 0 < info.used <= info.total
    held = torch.zeros(256 << 20, dtype=torch.uint8, device="cuda:0")
    del held
    freed = next(each for each in ullage.clear_cache() if each.device == "gpu:0")
    assert freed.bytes >= 256 << 20


def test_a_snapshot_is_left(workload):
    body = BODY | {"roles": {"model": "model"}}
    (workload / "w.json").write_text(json.dumps(body))
    ullage.run(ullage.load(workload / "w.json"), workload / "s", "local", base=workload, snapshot=True)
    assert (workload / "s" / "allocator.pickle").stat().st_size > 1000
