"""Headers of real GGUF files, and of lying ones."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import FormatError, InputError, UnsupportedError
from ullage.facts.gguf import GGML_TYPES, read_gguf

gguf = pytest.importorskip("gguf")


def write(path, architecture="llama", tied=False, quantized=False, more=None):
    writer = gguf.GGUFWriter(str(path), architecture)
    if more is not None:
        more(writer)
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_token_list([b"a", b"b", b"c"])
    kind = gguf.GGMLQuantizationType.Q4_0 if quantized else gguf.GGMLQuantizationType.F16

    def add(name, *shape):
        values = np.zeros(shape, dtype=np.float32)
        if quantized and len(shape) == 2:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values.astype(np.float16))

    add("token_embd.weight", 100, 64)
    add("blk.0.attn_q.weight", 64, 64)
    if not tied:
        add("output.weight", 100, 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_real_file_becomes_an_architecture_with_its_stored_bytes(tmp_path):
    found = read_gguf(write(tmp_path / "model.gguf"))
    assert (found.hidden_size, found.vocab_size, len(found.layers), found.tied) == (64, 100, 2, False)
    assert found.layers[0].mixer.kv_heads == 2
    assert found.checkpoint.bytes == 2 * (100 * 64 * 2 + 64 * 64)


def test_quantized_tensors_have_the_bytes_of_their_blocks(tmp_path):
    found = read_gguf(write(tmp_path / "model.gguf", tied=True, quantized=True))
    assert found.tied
    assert found.checkpoint.bytes == (100 * 64 + 64 * 64) // 32 * 18


def test_parts_are_one_model(tmp_path):
    first = write(tmp_path / "big-00001-of-00002.gguf")
    write(tmp_path / "big-00002-of-00002.gguf")
    assert read_gguf(first).checkpoint.bytes == 2 * read_gguf(write(tmp_path / "whole.gguf")).checkpoint.bytes


def test_a_llama_with_experts_is_a_mixtral(tmp_path):
    def experts(writer):
        writer.add_expert_count(4)
        writer.add_expert_used_count(2)

    found = read_gguf(write(tmp_path / "model.gguf", more=experts))
    assert found.model_type == "mixtral"
    assert (found.layers[0].feed_forward.count, found.layers[0].feed_forward.active) == (4, 2)


def test_sizes_that_differ_from_layer_to_layer_are_refused(tmp_path):
    def uneven(writer):
        writer.add_sliding_window_pattern([True, False])
        writer.add_array("llama.expert_count", [2, 4])

    with pytest.raises(UnsupportedError, match="differs from layer to layer"):
        read_gguf(write(tmp_path / "model.gguf", more=uneven))


def test_a_tensor_that_cannot_be_is_refused(tmp_path):
    def tensor(axes, kind, *shape):
        name = struct.pack("<Q", 1) + b"t"
        return header(tensors=1, rest=name + struct.pack(f"<I{len(shape)}QIQ", axes, *shape, kind, 0))

    for said, content in {
        "9 axes": tensor(9, 0, *[1] * 9),
        "has shape": tensor(1, 2, 33),  # Q4_0 holds blocks of 32
        "type 999": tensor(1, 999, 32),
    }.items():
        (tmp_path / "model.gguf").write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_gguf(tmp_path / "model.gguf")


def test_a_folder_named_like_a_file_cannot_be_read(tmp_path):
    (tmp_path / "model.gguf").mkdir()
    with pytest.raises(FormatError, match="cannot be read"):
        read_gguf(tmp_path / "model.gguf")


def test_block_sizes_are_those_of_the_gguf_package():
    for number, (name, elements, size) in GGML_TYPES.items():
        kind = gguf.GGMLQuantizationType(number)
        assert kind.name == name
        assert gguf.GGML_QUANT_SIZES[kind] == (elements, size)


def test_an_architecture_without_a_reader_is_named(tmp_path):
    with pytest.raises(UnsupportedError, match="'rwkv6'"):
        read_gguf(write(tmp_path / "model.gguf", "rwkv6"))


def test_a_missing_part_is_named(tmp_path):
    write(tmp_path / "big-00001-of-00003.gguf")
    with pytest.raises(FormatError, match="00002-of-00003"):
        read_gguf(tmp_path / "big-00001-of-00003.gguf")


def header(tensors=0, pairs=0, rest=b"", version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + rest


KEY = struct.pack("<Q", 1) + b"k"
LYING = {
    "tensor count of 2^60": header(tensors=2**60),
    "metadata count of 2^60": header(pairs=2**60),
    "string of 2^60": header(pairs=1, rest=struct.pack("<Q", 2**60)),
    "array of 2^60 strings": header(pairs=1, rest=KEY + struct.pack("<IIQ", 9, 8, 2**60)),
    "array of 2^60 numbers": header(pairs=1, rest=KEY + struct.pack("<IIQ", 9, 4, 2**60)),
    "arrays within arrays": header(pairs=1, rest=KEY + struct.pack("<IIQ", 9, 9, 9) * 50),
    "a million tensors that are not there": header(tensors=999_999),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "old version": header(version=1),
    "no magic": b"GGML" + b"\0" * 40,
    "empty": b"",
}


@pytest.mark.parametrize("name", LYING)
def test_a_lying_header_is_refused_after_little_work_and_in_little_memory(tmp_path, name, bounded):
    path = tmp_path / "model.gguf"
    path.write_bytes(LYING[name])
    tracemalloc.start()
    with bounded(10_000), pytest.raises(InputError, match=r"model\.gguf"):
        read_gguf(path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_bytes_gives_a_result_or_one_clear_error(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("g") / "model.gguf")
    content = bytearray(path.read_bytes()[:900])
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        read_gguf(path)
    except InputError as error:
        assert str(error)
