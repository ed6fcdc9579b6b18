"""Other people's probes score as they did, and nothing in their files is run."""

import enum
import io
import pickle
import re
import sys
import tracemalloc
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import ullage
from ullage.errors import FormatError, InputError, UllageError
from ullage.probes.card import open_probe
from ullage.probes.importing import import_file
from ullage.probes.pickles import loads

SITE = "blocks.{l}.hook_resid_post"
ENUM = "deception.detectors.utils.types"


def brought(file, out, allow_pickle=False, site=SITE):
    import_file(file, out, site, "", allow_pickle)
    return open_probe(out)


@pytest.fixture
def architecture(monkeypatch):
    """The enum that published checkpoints pickle, under its name."""
    module = types.ModuleType(ENUM)
    found = enum.Enum("ProbeArchitecture", {"DIM": "dim", "LR": "lr", "MLP": "mlp"}, type=str, module=ENUM)
    module.ProbeArchitecture = found
    parts = ENUM.split(".")
    for count in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:count]), types.ModuleType(".".join(parts[:count])))
    monkeypatch.setitem(sys.modules, ENUM, module)
    return found


def lie_detector(form, hidden=6):
    """State dict as that collection's, and what its own forward makes of states."""
    chance = torch.Generator().manual_seed(1)

    def drawn(*shape):
        return torch.randn(*shape, generator=chance)

    mean, std = drawn(hidden), drawn(hidden).abs() + 0.5
    if form == "DIM":
        state = {"direction": drawn(hidden), "threshold": torch.tensor(0.25)}
        return state, lambda x: x @ state["direction"]
    standard = {"dataset_mean": mean, "dataset_std": std, "threshold": torch.tensor(0.25)}
    if form == "LR":
        linear = torch.nn.Linear(hidden, 1)
        own = {f"linear.{name}": value for name, value in linear.state_dict().items()}
    else:
        linear = torch.nn.Sequential(torch.nn.Linear(hidden, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        own = {f"net.{name}": value for name, value in linear.state_dict().items()}
    return own | standard, lambda x: linear((x - mean) / std).squeeze(-1)


@pytest.mark.parametrize("form", ["DIM", "LR", "MLP"])
def test_a_lie_detector_scores_as_its_own_forward(form, architecture, tmp_path):
    state, forward = lie_detector(form)
    settings = {"layer": 7, "probe_architecture": architecture[form], "l2_lambda": 10.0}
    torch.save({"state_dict": state, "hyperparams": settings}, tmp_path / "probe.pt")
    probe, card = brought(tmp_path / "probe.pt", tmp_path / "out")
    assert probe.sites == ("blocks.7.hook_resid_post",)
    assert (card.threshold, card.strength, card.source) == (0.25, 10.0, "lie-detectors checkpoint")
    states = torch.randn(20, 6)
    with torch.no_grad():
        assert probe.tokens(states.double().numpy()) == pytest.approx(forward(states).numpy(), abs=1e-5)


@pytest.mark.parametrize("arrays", ["torch", "numpy"])
def test_a_pickled_detector_scores_as_the_mean_over_its_layers(arrays, tmp_path):
    chance = np.random.default_rng(0)
    layers, hidden = [3, 5], 4
    made = {name: chance.normal(size=(2, hidden)) for name in ("directions", "scaler_mean")}
    made["scaler_scale"] = np.abs(chance.normal(size=(2, hidden))) + 0.1
    held = {name: torch.from_numpy(v) if arrays == "torch" else v for name, v in made.items()}
    held |= {"layers": layers, "normalize": True, "reg_coeff": 10.0}
    (tmp_path / "detector.pt").write_bytes(pickle.dumps(held))
    with pytest.raises(InputError, match="--allow-pickle"):
        brought(tmp_path / "detector.pt", tmp_path / "out")
    probe, card = brought(tmp_path / "detector.pt", tmp_path / "out", allow_pickle=True)
    assert probe.sites == tuple(f"blocks.{layer}.hook_resid_post" for layer in layers)
    assert (card.strength, probe.hidden) == (10.0, hidden)
    states = chance.normal(size=(9, 2, hidden))
    wanted = (((states - made["scaler_mean"]) / made["scaler_scale"]) * made["directions"]).sum(2).mean(1)
    assert probe.tokens(states.reshape(9, -1)) == pytest.approx(wanted, abs=1e-5)


class Asks:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self._what = function, arguments

    def __reduce__(self):
        return self._what


def mark(name):
    """Says that something was run."""
    RAN.append(name)


RAN = []


def payloads(folder):
    """Objects whose pickles run something, or would if they could."""
    flag = str(folder / "ran")
    code = f"open({flag!r}, 'w')"
    touch = f"touch {flag}"
    import builtins
    import importlib
    import operator
    import os
    import runpy
    import subprocess

    yield Asks(os.system, touch)
    yield Asks(os.popen, touch)
    yield Asks(subprocess.Popen, ["touch", flag])
    yield Asks(subprocess.run, ["touch", flag])
    yield Asks(builtins.eval, code)
    yield Asks(builtins.exec, code)
    yield Asks(builtins.open, flag, "w")
    yield Asks(operator.attrgetter, "x")
    yield Asks(importlib.import_module, "antigravity")
    yield Asks(runpy.run_path, flag)
    yield Asks(pickle.loads, pickle.dumps(Asks(os.system, touch)))
    yield Asks(torch.load, io.BytesIO(b""))
    yield Asks(torch.storage._load_from_bytes, pickle.dumps(Asks(os.system, touch)))
    yield Asks(mark, "own")


def hostile(folder):
    """Fifty files and more: every payload in every place."""
    for payload in payloads(folder):
        yield pickle.dumps(payload, 2)
        yield pickle.dumps({"layers": [1], "directions": payload}, 4)
        yield pickle.dumps(OrderedDict(layers=[1], scaler_mean=[payload]), 3)
        saved = io.BytesIO()
        torch.save({"state_dict": {"direction": payload}}, saved)
        yield saved.getvalue()
    tensor = torch.zeros(2)
    inner = io.BytesIO()
    torch.save({"a": Asks(mark, "inner")}, inner)
    yield pickle.dumps({"layers": [1], "directions": Asks(torch.storage._load_from_bytes, inner.getvalue())})
    old = io.BytesIO()
    torch.save({"a": Asks(mark, "old"), "b": tensor}, old, _use_new_zipfile_serialization=False)
    yield old.getvalue()
    # Opcodes by hand: an instance by INST, by NEWOBJ, a state that sets a function's own attributes.
    yield b"\x80\x02(S'x'\nios\nsystem\n."
    yield b"\x80\x02ctypes\nSimpleNamespace\n)\x81."
    yield b"\x80\x02ccollections\nOrderedDict\nN}X\x08\x00\x00\x00__code__K\x01s\x86b."
    yield b"\x80\x02ctorch.storage\n_load_from_bytes\n}X\x01\x00\x00\x00aK\x01sb."
    yield b"\x80\x02cnumpy\nndarray\n(I2\nt\x81."
    yield b"\x80\x02P1\n."
    yield pickle.dumps({"layers": [1], "directions": np.array([Asks(mark, "object")], dtype=object)})


def test_fifty_hostile_files_run_nothing(tmp_path):
    files = list(hostile(tmp_path))
    assert len(files) >= 50
    for at, data in enumerate(files):
        file = tmp_path / f"{at}.pt"
        file.write_bytes(data)
        with pytest.raises(UllageError):
            brought(file, tmp_path / f"out{at}", allow_pickle=True)
        assert RAN == []
        assert not (tmp_path / "ran").exists()


def test_a_refused_pickle_names_what_it_asked_for(tmp_path):
    import os

    with pytest.raises(FormatError, match=r"asks for (posix|nt)\.system.*nothing of it was run"):
        loads(pickle.dumps(Asks(os.system, "true")), "it")
    torch.save({"state_dict": Asks(os.system, "true")}, tmp_path / "probe.pt")
    with pytest.raises(FormatError, match=r"asks for (posix|nt)\.system; nothing of it was run"):
        brought(tmp_path / "probe.pt", tmp_path / "out")


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(6.0).reshape(2, 3).T,
        torch.ones(3, dtype=torch.bfloat16),
        np.arange(6).reshape(2, 3).T,
        np.arange(3, dtype=">f4"),
        np.float32(2.5),
        [1, {"a": (True, None)}],
    ],
    ids=str,
)
def test_what_is_tensors_arrays_and_plain_values_is_read_whole(value):
    for protocol in range(2, 6):
        found = loads(pickle.dumps({"x": value, "y": value}, protocol), "it")
        for each in found.values():
            if isinstance(value, torch.Tensor):
                assert torch.equal(each, value)
            else:
                assert np.array_equal(each, value) if hasattr(value, "dtype") else each == value


def test_a_tensor_outside_its_storage_is_refused():
    import torch._utils

    storage = torch.arange(4.0).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32)
    made = Asks(torch._utils._rebuild_tensor_v2, typed, 2, (3,), (1,), False, OrderedDict())
    with pytest.raises(FormatError, match="outside its storage"):
        loads(pickle.dumps(made), "it")


@pytest.mark.parametrize("size", [(10**6, 10**6), (10**12,), (1, 2**40)], ids=str)
def test_a_small_file_that_claims_a_large_tensor_is_refused(size, tmp_path):
    wide = torch.ones(1).expand(size)
    plain, saved, old = tmp_path / "plain.pkl", tmp_path / "saved.pt", tmp_path / "old.pt"
    plain.write_bytes(pickle.dumps({"layers": [1], "directions": wide}))
    torch.save({"state_dict": {"direction": wide}, "hyperparams": {"layer": 1}}, saved)
    torch.save({"layers": [1], "directions": wide}, old, _use_new_zipfile_serialization=False)
    for file in (plain, saved, old):
        assert file.stat().st_size < 4096
        with pytest.raises(FormatError) as raised:
            brought(file, tmp_path / "out", allow_pickle=True)
        assert "\n" not in str(raised.value)
        if file is not old:
            assert "values, and" in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pooled", [True, False])
def test_activations_that_lmprobe_laid_out_are_a_store_with_labels(pooled, tmp_path):
    folder, counts = tmp_path / "lmprobe", [1, 1, 1] if pooled else [2, 3, 1]
    (folder / "index").mkdir(parents=True)
    (folder / "tensors").mkdir()
    rows = torch.randn(sum(counts), 4)
    for layer in (0, 1):
        for shard, some in ((0, rows[: sum(counts[:2])]), (1, rows[sum(counts[:2]) :])):
            save_file(
                {f"hidden.layer_{layer}": some + layer},
                folder / f"tensors/hidden_layer{layer:03d}_shard{shard:03d}.safetensors",
            )
    offsets = [0, counts[0], 0]
    table = pa.table(
        {
            "text": ["a b", "c d e", "f"],
            "label": pa.array([0, 1, None], pa.int32()),
            "num_tokens": pa.array([2, 3, 1], pa.int32()),
            "shard_index": pa.array([0, 0, 1], pa.int32()),
            "row_offset": pa.array(offsets, pa.int32()),
            "token_offset": pa.array(offsets, pa.int64()),
        }
    )
    hidden = {
        "layers": [0, 1],
        "storage": "pooled" if pooled else "full_sequence",
        "file_pattern": "tensors/hidden_layer{layer:03d}_shard{shard:03d}.safetensors",
        "key_pattern": "hidden.layer_{layer}",
    }
    import json

    said = {b"lmprobe:tensors": json.dumps({"hidden_layers": hidden}).encode()}
    pq.write_table(table.replace_schema_metadata(said), folder / "index/train-00000-of-00001.parquet")
    import_file(folder, tmp_path / "out", SITE, "", False)
    store = ullage.open_states(tmp_path / "out")
    assert torch.equal(store.matrix("blocks.1.hook_resid_post"), rows + 1)
    lines = [json.loads(line) for line in (tmp_path / "out/labels.jsonl").read_text().splitlines()]
    assert [(line["id"], line["label"]) for line in lines] == [("0", 0), ("1", 1)]


def test_an_exported_probe_is_scikit_learns_pipeline(tmp_path, monkeypatch):
    from ullage.probes.card import Card, save_probe
    from ullage.probes.probe import Probe, Reading

    chance = np.random.default_rng(0)
    mean, scale, weight = chance.normal(size=5), np.full(5, 2.0), chance.normal(size=5)
    probe = Probe("linear", ("blocks.0.hook_resid_post",), 5, mean, scale, {"weight": weight}, 0.5, Reading())
    save_probe(probe, Card("logistic"), tmp_path / "probe")
    from ullage import api

    files = api.export_probe(tmp_path / "probe", tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    there = {}
    exec((tmp_path / "out/probe.py").read_text(), there)
    states = chance.normal(size=(7, 5))
    assert there["probe"].decision_function(states) == pytest.approx(probe.tokens(states))
    from safetensors.numpy import load_file

    held = load_file(files[0])
    assert states @ held["weight"] + held["bias"] == pytest.approx(probe.tokens(states))


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": ["a"]},
        {"layers": None},
        {"layers": [2.5]},
        {"layers": [], "directions": torch.ones(0, 4)},
        {"directions": torch.ones(1, 4, dtype=torch.complex64)},
        {"intercept": float("nan")},
        {"intercept": []},
        {"scaler_mean": torch.ones(3), "scaler_scale": torch.ones(4)},
        {"scaler_mean": torch.ones(4), "scaler_scale": torch.zeros(4)},
    ],
    ids=str,
)
def test_a_detector_that_would_score_nothing_is_refused(wrong, tmp_path):
    file = tmp_path / "detector.pkl"
    file.write_bytes(pickle.dumps({"layers": [1], "directions": torch.ones(1, 4), **wrong}))
    with pytest.raises(UllageError):
        brought(file, tmp_path / "out", allow_pickle=True)
    assert not (tmp_path / "out").exists()


PACKED = "torch.save packs nothing, so nothing of it was unpacked"


def repacked(file, out, part, packed=True):
    """The zip file with 64 MiB more in one part of it, packed or only said to be there."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(out, "w") as target:
        for one in source.infolist():
            grown = one.filename.endswith(part)
            data = source.read(one) + (b"\0" * 2**26 if grown and packed else b"")
            how = zipfile.ZIP_DEFLATED if grown and packed else zipfile.ZIP_STORED
            target.writestr(zipfile.ZipInfo(one.filename), data, how)
        if not packed:
            for one in target.infolist():
                one.file_size = one.compress_size = 2**26
    return out


@pytest.mark.parametrize(
    ("part", "packed", "said"),
    [
        ("data.pkl", True, PACKED),
        ("data/0", True, PACKED),
        ("version", True, PACKED),
        ("", False, "bytes; nothing of it was read"),
    ],
)
def test_a_zip_that_is_larger_inside_is_refused_before_it_is_unpacked(part, packed, said, tmp_path):
    torch.save({"state_dict": {"direction": torch.ones(4)}, "hyperparams": {"layer": 1}}, tmp_path / "p.pt")
    bomb = repacked(tmp_path / "p.pt", tmp_path / "bomb.pt", part, packed)
    assert bomb.stat().st_size < 2**18
    inner = tmp_path / "inner.pkl"
    made = Asks(torch.storage._load_from_bytes, bomb.read_bytes())
    inner.write_bytes(pickle.dumps({"layers": [1], "directions": made}))
    for file in (bomb, inner):
        tracemalloc.start()
        with pytest.raises(FormatError, match=re.escape(said.split(";")[0])) as raised:
            brought(file, tmp_path / "out", allow_pickle=True)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "state",
    [
        {"linear.weight": torch.ones(1, 4)},
        {"linear.weight": torch.ones(1, 4), "linear.bias": torch.tensor([float("nan")])},
        {"net.0.weight": torch.ones(4)},
        {"direction": None},
        {"direction": torch.ones(4), "threshold": torch.ones(2)},
        {"direction": torch.ones(4), "threshold": torch.tensor(float("nan"))},
    ],
    ids=str,
)
def test_a_checkpoint_that_would_score_nothing_is_refused(state, tmp_path):
    torch.save({"state_dict": state, "hyperparams": {"layer": 1}}, tmp_path / "probe.pt")
    with pytest.raises(UllageError):
        brought(tmp_path / "probe.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_keys_of_tuples_within_tuples_are_refused_before_they_are_hashed():
    deep = b")" + b"\x85" * 300_000
    ordered = b"\x80\x04ccollections\nOrderedDict\n]" + deep + b"N\x86a\x85R."
    made = (b"}" + deep + b"Ns.", b"}(" + deep + b"Nu.", b"(" + deep + b"Nd.", b"\x8f(" + deep + b"\x90.")
    for each in (*(b"\x80\x04" + one for one in made), b"\x80\x04(" + deep + b"\x91.", ordered):
        with pytest.raises(FormatError):
            loads(each, "it")


@pytest.mark.parametrize(
    ("column", "hidden"),
    [
        ({"row_offset": [None, 1]}, {}),
        ({"row_offset": ["a", "b"]}, {}),
        ({"row_offset": [0, 9]}, {}),
        ({"label": [0.5, 1.0]}, {}),
        ({}, {"layers": []}),
        ({}, {"key_pattern": "{layer.x}"}),
        ({}, {"key_pattern": "{"}),
        ({}, {"file_pattern": "{layer:>3000000000}"}),
        ({}, {"file_pattern": "../{layer}"}),
    ],
    ids=str,
)
def test_activations_that_are_not_as_they_say_are_refused_and_leave_nothing(column, hidden, tmp_path):
    import json

    folder = tmp_path / "lmprobe"
    (folder / "index").mkdir(parents=True)
    save_file({"0": torch.ones(2, 4)}, folder / "0")
    held = {"layers": [0], "storage": "pooled", "file_pattern": "{layer}", "key_pattern": "{layer}", **hidden}
    columns = {"text": ["a", "b"], "label": [0, 1], "num_tokens": [1, 1], "shard_index": [0, 0]}
    table = pa.table(columns | {"row_offset": [0, 1]} | column)
    said = {b"lmprobe:tensors": json.dumps({"hidden_layers": held}).encode()}
    pq.write_table(table.replace_schema_metadata(said), folder / "index/a.parquet")
    with pytest.raises(FormatError):
        import_file(folder, tmp_path / "out", SITE, "", False)
    assert not (tmp_path / "out/states").exists()
