"""A model parked or dropped and brought back is, bit for bit, the one a fresh load gives."""

import json
import shutil
import weakref

import pytest
import small_models
import torch
import transformers
from safetensors.torch import load_file, save_file

from ullage.errors import FormatError
from ullage.facts.abilities import PROCESSOR
from ullage.facts.diffusion import Pipeline
from ullage.facts.model import open_model
from ullage.memory.weights.parking import Parking
from ullage.memory.weights.precision import resolve_precision
from ullage.planning.role_plan import Kernel, LoadedPart, Placed, RolePlan
from ullage.runtime.live import LiveTensors
from ullage.runtime.parking import ModelWeights, model_weights
from ullage.runtime.role_weights import HOST, Cancelled
from ullage.spec.role import Role

FAMILIES = ("gemma2", "gpt2", "opt", "mixtral")
"""Tied weights, tables and causal masks as buffers, positions that are added, experts that are merged; every
family stands in benchmarks/parked_families.py."""
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])


def never():
    return False


def weights_of(folder, precision="auto", one_memory=None):
    role = Role(model=str(folder), precision=precision)
    model = open_model(str(folder))
    count = len(model.components) if isinstance(model, Pipeline) else len(model.layers) + 2
    blocks = {f"block {index}": "cpu" for index in range(count)}
    planned = RolePlan(
        resolve_precision(role, model, PROCESSOR),
        Kernel("sdpa", "as the test says"),
        Placed(blocks, "cpu", "there is no GPU"),
        LoadedPart(),
    )
    return model_weights(role, planned, open_model(role.model), one_memory=one_memory)


def said(model):
    """Logits, and the text that greedy decoding gives where the model writes."""
    with torch.inference_mode():
        logits = model(IDS).logits.clone()
        if not hasattr(model, "generate") or not model.can_generate():
            return logits, None
        return logits, model.generate(IDS, do_sample=False, max_new_tokens=4, use_cache=True, pad_token_id=0)


def same(one, other):
    return torch.equal(one[0], other[0]) and (one[1] is None or torch.equal(one[1], other[1]))


@pytest.mark.long
@pytest.mark.parametrize("one_memory", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_parked_dropped_and_back_is_bit_for_bit_what_was_loaded(family, one_memory, tmp_path):
    folder = small_models.save(tmp_path / family, family)
    weights = weights_of(folder, one_memory=one_memory)
    first = said(weights.bring(never).model)
    for move in (weights.park, weights.drop, weights.park, weights.drop):
        move()
        assert same(said(weights.bring(never).model), first)
    assert same(said(weights_of(folder).bring(never).model), first)


def painted(model):
    chance = torch.Generator().manual_seed(0)
    sizes = {"height": 16, "width": 16, "num_inference_steps": 1}
    return [model.pipeline("a red boat", **sizes, generator=chance, output_type="pt").images]


def looked_at(model):
    from ullage.facts.pictures import AnyResolution

    rule = AnyResolution(28, 7, 1, ((28, 56), (56, 28), (56, 56)))
    picture = rule.lay(56, 56)
    ids = torch.tensor([[5, *[model.config.image_token_id] * picture.tokens, 6, 7]])
    pixels = torch.linspace(-1, 1, picture.pixels).reshape(1, picture.tiles, 3, 28, 28)
    with torch.inference_mode():
        given = {"pixel_values": pixels, "image_sizes": torch.tensor([[56, 56]])}
        return [model(input_ids=ids, **given).logits, model.generate(ids, **given, max_new_tokens=4)]


@pytest.mark.long
@pytest.mark.parametrize("one_memory", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["artist", "perception"])
def test_models_of_several_parts_are_bit_for_bit_what_was_loaded(kind, precision, one_memory, request):
    folder = request.getfixturevalue(f"{kind}_folder")
    does = {"artist": painted, "perception": looked_at}[kind]
    weights = weights_of(folder, precision, one_memory)
    first = does(weights.bring(never).model)
    for move in (weights.park, weights.drop, weights.park, weights.drop):
        move()
        again = does(weights.bring(never).model)
        assert all(torch.equal(*each) for each in zip(again, first, strict=True))
    fresh = does(weights_of(folder, precision).bring(never).model)
    assert all(torch.equal(*each) for each in zip(fresh, first, strict=True))


def test_a_pipeline_is_dropped_without_its_modules_and_stays_inside_what_was_said(artist_folder):
    weights = weights_of(artist_folder, "bf16", one_memory=False)
    with LiveTensors() as live:
        model = weights.bring(never).model
        live.track_model(model)
        assert live.bytes <= sum(weights.sizes.values())
        assert live.peak <= sum(weights.load_peaks.values())
    weights.park()
    assert 0 < weights.copied_bytes <= weights.parked_bytes
    weights.drop()
    assert weights.copied_bytes == 0
    assert {each.device.type for each in model.parameters()} == {"meta"}
    assert weights.bring(never).model is model


def test_the_modules_are_built_once_and_stand_on_meta_while_they_wait(model_folder):
    weights = weights_of(model_folder)
    model = weights.bring(never).model
    for move in (weights.park, weights.drop):
        move()
        held = [*model.parameters(), *model.buffers()]
        assert {each.device.type for each in held} == {"meta"}
        with pytest.raises((NotImplementedError, RuntimeError)):
            model(IDS).logits.tolist()
        assert weights.bring(never).model is model
        held = [*model.parameters(), *model.buffers()]
        assert {each.device.type for each in held} == {"cpu"}


def test_on_a_processor_nothing_is_copied(model_folder):
    weights = weights_of(model_folder)
    model = weights.bring(never).model
    places = [each.data_ptr() for each in (*model.parameters(), *model.buffers())]
    weights.park()
    with LiveTensors() as live:
        weights.bring(never)
    assert live.peak == 0
    assert [each.data_ptr() for each in (*model.parameters(), *model.buffers())] == places


def test_what_host_holds_is_not_copied_back(model_folder, monkeypatch):
    weights = weights_of(model_folder, one_memory=False)
    weights.bring(never)
    weights.park()
    weights.bring(never)
    monkeypatch.setattr("ullage.runtime.host_copy.gather", lambda *_: pytest.fail("copied to host again"))
    weights.park()
    weights.bring(never)


def after(count):
    """Whether to stop: yes from the question after `count` others on."""
    asked = iter([False] * count)
    return lambda: next(asked, True)


def tensors_alive():
    """Bytes of all tensors on the processor that the collector knows of."""
    import gc

    gc.collect()
    storages = {}
    for each in gc.get_objects():
        if isinstance(each, torch.Tensor) and each.device.type == "cpu":
            storages[each.untyped_storage().data_ptr()] = each.untyped_storage().nbytes()
    return sum(storages.values())


@pytest.mark.parametrize("one_memory", [True, False])
def test_a_cancelled_or_failed_load_leaves_nothing_and_can_be_tried_again(
    model_folder, one_memory, monkeypatch
):
    monkeypatch.setattr("ullage.runtime.arena.CHUNK", 4096)
    monkeypatch.setattr("ullage.runtime.weight_files._PIECE", 4096)
    weights = weights_of(model_folder, one_memory=one_memory)
    before = tensors_alive()
    for count in (0, 3):
        with pytest.raises(Cancelled):
            weights.bring(after(count))
        assert tensors_alive() == before
    first = said(weights.bring(never).model)
    for move, counts in ((weights.park, (0,) if one_memory else (0, 3)), (weights.drop, (0, 3))):
        move()
        resting = tensors_alive()
        for count in counts:
            with pytest.raises(Cancelled):
                weights.bring(after(count))
            assert tensors_alive() == resting
        assert same(said(weights.bring(never).model), first)


def test_dropped_no_tensor_holds_more_than_tables_even_where_somebody_kept_one(model_folder):
    weights = weights_of(model_folder)
    model = weights.bring(never).model
    kept = [*model.parameters()]
    before = tensors_alive()
    weights.drop()
    assert sum(each.untyped_storage().nbytes() for each in kept) == 0
    assert tensors_alive() < before - sum(weights.sizes.values()) / 2
    weights.bring(never)
    assert all(one is other for one, other in zip(kept, model.parameters(), strict=True))


def test_a_sharded_checkpoint_comes_from_all_its_files(tmp_path):
    model = small_models.build("llama", seed=3)
    small_models.save(tmp_path / "m", "llama", seed=3)
    (tmp_path / "m" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "m", max_shard_size="100KB")
    assert len(list((tmp_path / "m").glob("*.safetensors"))) > 2
    weights = weights_of(tmp_path / "m")
    model = weights.bring(never).model
    first = said(model)
    weights.drop()
    assert weights.bring(never).model is model
    assert same(said(model), first)


def test_a_checkpoint_that_changed_while_it_was_dropped_is_loaded_anew(tmp_path):
    folder = small_models.save(tmp_path / "m", "llama")
    weights = weights_of(folder)
    before = said(weights.bring(never).model)
    weights.drop()
    tensors = {name: 2 * each for name, each in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    after = said(weights.bring(never).model)
    assert not same(after, before)
    assert same(after, said(weights_of(folder).bring(never).model))


def test_a_checkpoint_that_is_gone_says_so_and_leaves_nothing(tmp_path):
    folder = small_models.save(tmp_path / "m", "llama")
    weights = weights_of(folder)
    first = said(weights.bring(never).model)
    weights.drop()
    shutil.move(folder / "model.safetensors", tmp_path / "away")
    resting = tensors_alive()
    with pytest.raises(FormatError):
        weights.bring(never)
    assert tensors_alive() <= resting
    shutil.move(tmp_path / "away", folder / "model.safetensors")
    assert same(said(weights.bring(never).model), first)


@pytest.mark.parametrize(("precision", "one_memory"), [("int8", True), ("int8", False), ("nf4-dq", False)])
def test_quantized_weights_keep_their_state(tmp_path, precision, one_memory):
    folder = small_models.save(tmp_path / "m", "llama", hidden=128)
    weights = weights_of(folder, precision, one_memory)
    first = said(weights.bring(never).model)
    for move in (weights.park, weights.park, weights.drop):
        move()
        assert same(said(weights.bring(never).model), first)


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_bytes_are_those_the_formula_says(tmp_path, precision):
    folder = small_models.save(tmp_path / "m", "llama", hidden=128, layers=8, vocabulary=2000)
    weights = weights_of(folder, precision)
    with LiveTensors() as live:
        loaded = weights.bring(never)
        live.track_model(loaded.model)
    assert 0.9 * weights.sizes["cpu"] - 65536 <= live.bytes <= weights.sizes["cpu"]
    assert live.peak <= weights.load_peaks["cpu"]
    assert weights.load_peaks[HOST] == 0
    copied = weights_of(folder, precision, one_memory=False)
    copied.bring(never)
    copied.park()
    assert 0.9 * copied.parked_bytes - 65536 <= copied.copied_bytes <= copied.parked_bytes


def kinds(model):
    """What moving must not change of each tensor: who shares it, its class, dtype, strides, gradients."""
    held = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    first = {}
    return [
        (name, first.setdefault(id(each), name), type(each), each.dtype, each.stride(), each.requires_grad)
        for name, each in held
    ]


@pytest.mark.parametrize("one_memory", [True, False])
def test_tied_weights_stay_tied_and_no_tensor_changes_its_kind(tmp_path, one_memory):
    weights = weights_of(small_models.save(tmp_path / "m", "gemma2"), one_memory=one_memory)
    model = weights.bring(never).model
    before = kinds(model)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    for move in (weights.park, weights.drop):
        move()
        assert model.lm_head.weight is model.model.embed_tokens.weight
        weights.bring(never)
        assert kinds(model) == before


def test_tables_that_no_state_dict_has_come_back(model_folder):
    weights = weights_of(model_folder, one_memory=False)
    rotary = weights.bring(never).model.model.rotary_emb
    tables = {"inv_freq", "original_inv_freq"}
    before = {name: getattr(rotary, name).clone() for name in tables}
    assert not tables & {name.rpartition(".")[2] for name in weights.bring(never).model.state_dict()}
    for move in (weights.park, weights.drop):
        move()
        weights.bring(never)
        assert all(torch.equal(getattr(rotary, name), before[name]) for name in tables)


@pytest.mark.parametrize("one_memory", [True, False])
def test_tables_that_a_long_prompt_changed_are_parked_as_they_are(tmp_path, one_memory):
    folder = small_models.save(tmp_path / "m", "llama", positions=16)
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(config))
    weights = weights_of(folder, one_memory=one_memory)
    model = weights.bring(never).model
    longer, between = torch.arange(3, 63).reshape(1, 60), torch.arange(3, 43).reshape(1, 40)
    with torch.inference_mode():
        weights.park()
        weights.bring(never)
        model(longer)
        first = model(between).logits.clone()
        model(longer)
        weights.park()
        weights.bring(never)
        assert torch.equal(model(between).logits, first)


@pytest.mark.parametrize("one_memory", [True, False])
def test_an_adapter_is_parked_with_its_base(tmp_path, one_memory):
    peft = pytest.importorskip("peft", reason="peft is not installed: pip install 'ullage[peft]'")
    base = small_models.save(tmp_path / "base", "llama", hidden=32, layers=2)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lora = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    peft.get_peft_model(model, lora).save_pretrained(tmp_path / "adapter")
    weights = weights_of(tmp_path / "adapter", one_memory=one_memory)
    first = said(weights.bring(never).model)
    for move in (weights.park, weights.drop):
        move()
        assert same(said(weights.bring(never).model), first)


@pytest.mark.parametrize("how", ["overwritten", "replaced", "deleted"])
def test_a_parked_model_whose_file_was_written_into_is_loaded_anew(how, tmp_path):
    folder = small_models.save(tmp_path / "one", layers=2)
    other = small_models.save(tmp_path / "other", layers=2, seed=1)
    file, new = folder / "model.safetensors", other / "model.safetensors"
    weights = weights_of(folder)
    expected = said(weights.bring(never).model)
    weights.park()
    if how == "overwritten":
        expected = said(weights_of(other).bring(never).model)
        file.write_bytes(new.read_bytes())
    elif how == "replaced":
        new.rename(file)
    else:
        file.unlink()
    assert same(said(weights.bring(never).model), expected)


def test_a_file_that_is_no_longer_one_is_told(tmp_path):
    folder = small_models.save(tmp_path / "one", layers=2)
    weights = weights_of(folder)
    weights.bring(never)
    weights.drop()
    (folder / "model.safetensors").write_bytes(bytes(64))
    with pytest.raises(FormatError, match="cannot be loaded"):
        weights.bring(never)


def test_memory_that_ran_out_is_told_as_such_and_the_error_keeps_nothing_alive():
    class Half:
        pass

    seen = []

    def load():
        half = Half()
        seen.append(weakref.ref(half))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    with pytest.raises(MemoryError) as kept:
        ModelWeights(load, Parking({"cpu": 1}, {"cpu": 1}, 1)).bring(never)
    assert kept.value.__cause__ is not None
    assert seen[0]() is None


def test_weights_that_a_pass_packed_anew_are_copied_anew(tmp_path):
    folder = small_models.save(tmp_path / "one", layers=2, hidden=128)
    expected = said(weights_of(folder, "nf4").bring(never).model)
    weights = weights_of(folder, "nf4", one_memory=False)
    weights.bring(never)
    weights.park()  # before any pass
    for _ in range(2):
        assert same(said(weights.bring(never).model), expected)
        weights.park()
