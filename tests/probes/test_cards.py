"""A probe on disk: the same when it is read, refused when it was changed or is of another model."""

import numpy as np
import pytest

from ullage.errors import FormatError, InputError, UnknownNameError
from ullage.probes.card import Card, Origin, check_sites, open_probe, save_probe
from ullage.probes.probe import Probe, Reading

SITE = "blocks.3.hook_resid_post"


@pytest.fixture
def probe():
    chance = np.random.default_rng(0)
    return Probe(
        "linear",
        (SITE,),
        4,
        chance.normal(size=4),
        np.ones(4) * 2,
        {"weight": chance.normal(size=4)},
        0.5,
        Reading("tokens", "rolling", 3, 1),
    )


CARD = Card(
    "logistic",
    Origin("model", "ab" * 32, "bf16"),
    10.0,
    {"passes": 7.0},
    "cd" * 32,
    12,
    {"auroc": 0.9},
    1.25,
    0.01,
    "label 0",
    (frozenset({1, 2}), frozenset({3})),
)


def test_what_is_read_is_what_was_saved(probe, tmp_path):
    document = save_probe(probe, CARD, tmp_path / "probe")
    again, card = open_probe(tmp_path / "probe")
    assert card == CARD
    assert (again.form, again.sites, again.hidden, again.reading) == ("linear", (SITE,), 4, probe.reading)
    states = np.random.default_rng(1).normal(size=(9, 4))
    assert np.array_equal(again.tokens(states), probe.tokens(states))
    assert document["layers"] == [3]
    assert {each.name for each in (tmp_path / "probe").iterdir()} == {"probe.json", "probe.safetensors"}


@pytest.mark.parametrize("name", ["probe.json", "probe.safetensors"])
def test_what_was_edited_by_hand_is_refused(probe, tmp_path, name):
    save_probe(probe, CARD, tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    place = data.index(b'"window": 3') + 10 if name == "probe.json" else len(data) - 3
    data[place] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FormatError, match="was changed since it was written"):
        open_probe(tmp_path)


def test_a_folder_without_a_probe_says_so(tmp_path):
    with pytest.raises(InputError, match="no probe here"):
        open_probe(tmp_path)


def test_another_site_or_hidden_size_is_refused_and_another_model_is_told(probe):
    with pytest.raises(UnknownNameError, match=r"blocks\.3.*nearest: blocks\.4"):
        check_sites(probe, {"blocks.4.hook_resid_post": {"dtype": "bf16", "width": [4]}}, "run")
    with pytest.raises(InputError, match="has hidden size 8, and the probe reads 4"):
        check_sites(probe, {SITE: {"dtype": "bf16", "width": [8]}}, "run")
    assert CARD.other_origin(Origin("model", "ab" * 32, "bf16")) == []
    assert CARD.other_origin(Origin()) == []
    (told,) = CARD.other_origin(Origin("model", "ab" * 32, "int8"))
    assert "another precision (bf16; these states are of int8)" in told
