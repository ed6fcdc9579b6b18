"""Headers of real safetensors files, and of hostile ones."""

import json
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import FormatError
from ullage.facts.safetensors_header import read_checkpoint


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_a_real_file_gives_every_tensor_and_its_exact_bytes(tmp_path):
    import torch
    from safetensors.torch import save_file

    tensors = {"a": torch.zeros(3, 5, dtype=torch.bfloat16), "b": torch.zeros(7, dtype=torch.int8)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = {t.name: (t.dtype, t.shape, t.bytes) for t in read_checkpoint(tmp_path).tensors}
    assert found == {"a": ("BF16", (3, 5), 30), "b": ("I8", (7,), 7)}


def test_a_sharded_model_is_the_sum_of_its_shards(tmp_path):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=64, n_layer=2, n_head=2, vocab_size=500, n_positions=64))
    model.to(torch.float16).save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert read_checkpoint(tmp_path).bytes == 2 * sum(p.numel() for p in model.parameters())


INDICES = {
    "not JSON": ("{", "not valid JSON"),
    "no map": ('{"metadata": {}}', "lacks weight_map"),
    "a map to no names": ('{"weight_map": {"a": 3}}', "lacks weight_map"),
    "a tensor that is not there": ('{"weight_map": {"b": "one.safetensors"}}', "'b' is not in"),
}


@pytest.mark.parametrize("name", INDICES)
def test_an_index_that_lies_is_refused(tmp_path, name):
    text, said = INDICES[name]
    write(tmp_path / "one.safetensors", {"a": entry()}, bytes(8))
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(FormatError, match=said):
        read_checkpoint(tmp_path)


def test_a_tensor_in_two_files_and_a_folder_without_any_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"holds no \.safetensors"):
        read_checkpoint(tmp_path)
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", {"a": entry()}, bytes(8))
    with pytest.raises(FormatError, match="stands in another file too"):
        read_checkpoint(tmp_path)


def test_a_huge_index_is_not_read(tmp_path):
    with (tmp_path / "model.safetensors.index.json").open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(FormatError, match="larger than"):
        read_checkpoint(tmp_path)


HOSTILE = {
    "length field of 2^60": struct.pack("<Q", 2**60) + b"{}",
    "too short": b"abc",
    "header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "not JSON": struct.pack("<Q", 4) + b"{{{{",
    "deeply nested": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "not an object": struct.pack("<Q", 2) + b"[]",
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused_in_little_memory(tmp_path, name):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"model\.safetensors"):
        read_checkpoint(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        ({"a": entry(), "b": entry(offsets=(4, 12))}, b"0" * 12, "overlaps"),
        ({"a": entry(), "b": entry(offsets=(16, 24))}, b"0" * 24, "hole"),
        ({"a": entry()}, b"0" * 9, "end at byte"),
        ({"a": entry(offsets=(0, 4))}, b"0" * 4, "takes"),
        ({"a": entry(shape=(2**62, 2**62))}, b"0" * 8, "takes"),
        ({"a": entry(dtype="F7")}, b"0" * 8, "dtype"),
        ({"a": entry(shape=(-2,))}, b"0" * 8, "whole numbers"),
        ({"a": entry(offsets=(0, 8, 9))}, b"0" * 8, "whole numbers"),
        ({"a": 3}, b"", "not an object"),
    ],
)
def test_a_header_that_contradicts_itself_names_the_tensor(tmp_path, header, data, problem):
    with pytest.raises(FormatError, match=problem):
        read_checkpoint(write(tmp_path / "x.safetensors", header, data))


def test_a_name_that_stands_twice_is_refused(tmp_path):
    one = json.dumps(entry())
    with pytest.raises(FormatError, match="twice"):
        read_checkpoint(write(tmp_path / "x.safetensors", f'{{"a": {one}, "a": {one}}}'.encode(), b"0" * 8))


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", "..", "missing.safetensors"])
def test_an_index_cannot_lead_out_of_its_folder(tmp_path, shard):
    index = {"weight_map": {"a": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(FormatError, match="shard"):
        read_checkpoint(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_bytes_gives_a_result_or_one_clear_error(tmp_path_factory, data):
    good = json.dumps({"a": entry(), "b": entry("BF16", (4,), (8, 16))}).encode()
    content = bytearray(struct.pack("<Q", len(good)) + good + b"0" * 16)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("m") / "x.safetensors"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        read_checkpoint(path)
    except FormatError as error:
        assert "x.safetensors" in str(error)
