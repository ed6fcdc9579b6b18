"""A large file is known again by a sample of it, a small one by all of it."""

import json
import struct

import pytest

from ullage.records.contents import BLOCK, WHOLE, digest

SIZE = WHOLE + 6 * 2**20


@pytest.fixture
def large(tmp_path):
    """A sparse safetensors file of 70 MiB."""
    path = tmp_path / "model.safetensors"
    header = json.dumps({"weight": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(SIZE)
    return path


def put(path, place, data):
    with path.open("rb+") as file:
        file.seek(place)
        file.write(data)


def test_a_small_file_is_read_whole(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"a" * 1000)
    way, before = digest(path)
    assert way == "sha256"
    put(path, 500, b"b")
    assert digest(path)[1] != before


@pytest.mark.parametrize("place", [9, 20, SIZE // 2, SIZE - 2 * BLOCK])
def test_any_piece_longer_than_the_gaps_is_found(large, place):
    way, before = digest(large)
    assert way == "sampled"
    assert digest(large) == (way, before)
    put(large, place, b"\x01" * 2 * BLOCK)
    assert digest(large)[1] != before


def test_another_length_is_found(large):
    before = digest(large)[1]
    with large.open("rb+") as file:
        file.truncate(SIZE + 1)
    assert digest(large)[1] != before


def test_strict_finds_a_single_byte(large):
    way, before = digest(large, strict=True)
    assert way == "sha256"
    sampled = digest(large)[1]
    for place in range(SIZE // 2, SIZE // 2 + 4 * BLOCK, BLOCK // 8):  # one of them lies in a gap
        put(large, place, b"\x01")
        if digest(large)[1] == sampled:
            break
        put(large, place, b"\x00")
    assert digest(large)[1] == sampled
    assert digest(large, strict=True)[1] != before
