"""A model parked or dropped and brought back is, bit for bit, the one a fresh load gives."""

import json
import shutil

import pytest
import small_families
import small_models
import torch
from safetensors.torch import load_file, save_file

from ullage.errors import FormatError
from ullage.facts.abilities import PROCESSOR
from ullage.facts.model import open_model
from ullage.memory.weights.precision import resolve_precision
from ullage.planning.plan import Kernel, LoadedPart, Placed, RolePlan
from ullage.runtime.live import LiveTensors
from ullage.runtime.parking import ModelWeights, model_weights
from ullage.runtime.role_weights import HOST, Cancelled
from ullage.spec.role import Role

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])


def never():
    return False


def weights_of(folder, precision="auto", one_memory=None):
    role = Role(model=str(folder), precision=precision)
    model = open_model(str(folder))
    blocks = {f"block {index}": "cpu" for index in range(len(model.layers) + 2)}
    planned = RolePlan(
        resolve_precision(role, model, PROCESSOR),
        Kernel("sdpa", "as the test says"),
        Placed(blocks, "cpu", "there is no GPU"),
        LoadedPart(),
    )
    found = model_weights(role, planned)
    if one_memory is not None:
        found = ModelWeights(found._load, found._parking, found._folder, one_memory)
    return found


def said(model):
    """Logits, and the text that greedy decoding gives where the model writes."""
    with torch.inference_mode():
        logits = model(IDS).logits.clone()
        if not hasattr(model, "generate") or not model.can_generate():
            return logits, None
        return logits, model.generate(IDS, do_sample=False, max_new_tokens=4, use_cache=True, pad_token_id=0)


def same(one, other):
    return torch.equal(one[0], other[0]) and (one[1] is None or torch.equal(one[1], other[1]))


@pytest.mark.parametrize("one_memory", [True, False])
@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_parked_dropped_and_back_is_bit_for_bit_what_was_loaded(family, one_memory, tmp_path):
    folder = small_models.save(tmp_path / family, family)
    weights = weights_of(folder, one_memory=one_memory)
    first = said(weights.bring(never).model)
    for move in (weights.park, weights.park, weights.drop, weights.park, weights.drop, weights.drop):
        move()
        assert same(said(weights.bring(never).model), first)
    assert same(said(weights_of(folder).bring(never).model), first)
