"""Where states are stored: forms that numpy can read, and disks that are full."""

import errno
import os

import numpy as np
import pytest
import safetensors.torch
import small_models
import torch

import ullage
from ullage.errors import InputError

COUNT = 100


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    small_models.save(folder / "model", "llama", layers=2, hidden=128)
    small_models.write_texts(folder / "texts.jsonl", COUNT)
    return folder


def work(computed="fp32", store="safetensors", kept="compute"):
    return {
        "kind": "extract",
        "roles": {"model": {"model": "./model", "precision": computed}},
        "batch": 4,
        "prompt_tokens": 200,
        "examples": COUNT,
        "budget": {"gpus": "cpu"},
        "captures": [{"sites": ["blocks.*.hook_resid_post"], "precision": kept}],
        "extract": {"input": "texts.jsonl", "store": store, "shard": "1MiB"},
    }


def run(place, out, *given):
    folder, _ = ullage.run(ullage.load(work(*given)), out, base=place)
    return folder


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "states").iterdir()}


@pytest.mark.parametrize(("computed", "kept"), [("bf16", "compute"), ("fp32", "bf16")])
def test_numpy_reads_bf16_states_as_the_same_numbers_in_fp32(place, tmp_path, capfd, computed, kept):
    shards = ullage.open_states(run(place, tmp_path / "shards", computed, "safetensors", kept))
    given = work(computed, "npy", kept)
    plan = ullage.plan(ullage.load(given), "cpu", base=place)
    maps = ullage.open_states(run(place, tmp_path / "maps", computed, "npy", kept))
    assert capfd.readouterr().err.count(".npy files hold them as fp32, the same numbers") == 1
    for row in (0, 17, COUNT - 1):
        for site, states in shards[row].items():
            assert states.dtype == torch.bfloat16
            assert torch.equal(maps[row][site], states.float())
    whole = np.load(tmp_path / "maps" / "states" / "blocks.1.hook_resid_post.npy", mmap_mode="r")
    assert whole.dtype == np.float32
    assert np.array_equal(whole, maps.matrix("blocks.1.hook_resid_post").numpy())
    assert maps.sites["blocks.1.hook_resid_post"]["dtype"] == "float32"
    disk = [item for item in plan.bill.items if (item.component, item.device) == ("captures", "disk")]
    assert {item.note for item in disk} == {"hook_resid_post, in fp32: numpy has no bf16"}
    assert sum(item.bytes.expected for item in disk) == COUNT * 200 * 2 * 128 * 4


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Disk:
    """Takes so many writes of one function, and then is full."""

    def __init__(self, write, room, refuse=full):
        self.write, self.room, self.refuse = write, room, refuse

    def __call__(self, *given):
        self.room -= 1
        return self.write(*given) if self.room >= 0 else self.refuse(*given)


def refused(*_):
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    raise safetensors.SafetensorError(said)


@pytest.mark.parametrize("store", ["npy", "safetensors"])
def test_what_is_done_when_the_disk_is_full_is_kept_and_gone_on_with(place, tmp_path, monkeypatch, store):
    whole = files(run(place, tmp_path / "whole", "fp32", store))
    if store == "npy":
        monkeypatch.setattr(os, "pwrite", Disk(os.pwrite, 250))
    else:
        monkeypatch.setattr(safetensors.torch, "save_file", Disk(safetensors.torch.save_file, 1, refused))
    with pytest.raises(
        InputError, match="No space left on device; what is done is kept, and `ullage"
    ) as told:
        run(place, tmp_path / "run", "fp32", store)
    assert "\n" not in str(told.value)
    assert "serializing" not in str(told.value)
    monkeypatch.undo()
    ullage.resume(tmp_path / "run")
    assert files(tmp_path / "run") == whole


def test_a_disk_that_is_full_from_the_start_keeps_nothing(place, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", Disk(os.pwrite, 6))
    with pytest.raises(InputError, match="No space left on device; nothing was done yet"):
        run(place, tmp_path / "run", "fp32", "npy")
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_when_the_index_is_written_costs_no_state(place, tmp_path, monkeypatch):
    import pyarrow.parquet

    whole = files(run(place, tmp_path / "whole"))
    monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write_table", full)
    with pytest.raises(InputError, match="No space left on device; what is done is kept"):
        run(place, tmp_path / "run")
    monkeypatch.undo()
    ullage.resume(tmp_path / "run")
    assert files(tmp_path / "run") == whole
