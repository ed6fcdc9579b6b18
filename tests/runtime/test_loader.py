"""Models get into memory as planned, or not at all."""

import json
import shutil

import pytest
import small_models

import ullage
from ullage.errors import FormatError, InputError, UllageError, UnsupportedError
from ullage.facts.abilities import PROCESSOR
from ullage.facts.model import open_model
from ullage.facts.quantization.known import SCHEMES
from ullage.memory.weights.precision import resolve_precision
from ullage.planning.role_plan import Kernel, LoadedPart, Placed, RolePlan
from ullage.runtime.loader import load_model
from ullage.runtime.quantization import check_capability
from ullage.spec.role import Role


def planned(folder, role, layers=None, head=True, eager=False):
    """What a plan says of a role whose model of four layers lies on the processor."""
    precision = resolve_precision(role, open_model(str(folder)), PROCESSOR)
    blocks = {f"block {index}": "cpu" for index in range((layers or 4) + 2)}
    kernel = Kernel("eager" if eager else "sdpa", "as the test says")
    return RolePlan(precision, kernel, Placed(blocks, "cpu", "there is no GPU"), LoadedPart(layers, head))


def load(folder, precision="auto", layers=None, head=True, eager=False):
    role = Role(model=str(folder), precision=precision)
    return load_model(role, planned(folder, role, layers, head, eager))


def test_fp32_on_a_processor_and_why(model_folder):
    import torch

    loaded = load(model_folder)
    assert next(loaded.model.parameters()).dtype == torch.float32
    assert "no GPU" in loaded.precision.reason
    assert loaded.tokenizer is not None


@pytest.mark.long
@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_the_first_layers_alone_are_those_of_the_whole_model(family, tmp_path):
    folder = small_models.save(tmp_path / family, family)
    site = "blocks.1.hook_resid_post"
    whole = ullage.Extractor(load(folder).model, [site]).read([[5, 6, 7, 8]])
    part = load(folder, layers=2, head=False).model
    assert (
        ullage.Extractor(part, [site]).read([[5, 6, 7, 8]])[0].states[site] - whole[0].states[site]
    ).abs().max() == 0
    assert sum(p.numel() for p in part.parameters()) < sum(p.numel() for p in load(folder).model.parameters())


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8", "nf4", "nf4-dq"])
def test_precisions_on_the_processor(tmp_path, precision):
    folder = small_models.save(tmp_path / "m", "llama", hidden=128)
    site = "blocks.3.hook_resid_post"
    exact = ullage.Extractor(load(folder).model, [site]).read([[5, 6, 7, 8]])[0].states[site].float()
    model = load(folder, precision).model
    near = ullage.Extractor(model, [site]).read([[5, 6, 7, 8]])[0].states[site].float()
    assert (near - exact).norm() < 0.25 * exact.norm()
    assert (near - exact).norm() > 0
    names = {type(module).__name__ for module in model.modules()}
    assert ("Linear8bitLt" in names) == (precision == "int8")
    assert ("Linear4bit" in names) == precision.startswith("nf4")


@pytest.mark.long
@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.parametrize("head", [True, False])
def test_a_split_covers_every_tensor_and_follows_the_plan(family, head):
    import transformers
    from accelerate import init_empty_weights
    from accelerate.utils import check_device_map

    from ullage.runtime.device_map import modules_on

    config = small_models.build(family).config
    plan = ["gpu:0", "gpu:0", "gpu:1", "gpu:1", "cpu", "gpu:2"]
    placement = {f"block {index}": device for index, device in enumerate(plan)}
    kind = transformers.AutoModelForCausalLM if head else transformers.AutoModel
    found = modules_on(kind, config, placement)
    with init_empty_weights():
        empty = kind.from_config(config)
    check_device_map(empty, found)
    layers = [name for name in found if name.rsplit(".", 1)[-1].isdigit()]
    assert [found[name] for name in layers] == ["cuda:0", "cuda:1", "cuda:1", "cpu"]
    assert {device for name, device in found.items() if "embed" in name or "wte" in name} <= {
        "cuda:0",
        "cuda:2",
    }


def broken(model_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(model_folder, folder)
    return folder


def test_pickles_are_refused(model_folder, tmp_path):
    folder = broken(model_folder, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="pickles"):
        load(folder)


def test_a_checkpoint_that_lacks_tensors_is_refused(model_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = broken(model_folder, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FormatError, match="lacks 1 tensors"):
        load(folder)


def test_truncated_weights_are_refused(model_folder, tmp_path):
    folder = broken(model_folder, tmp_path)
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(UllageError):
        load(folder)


def test_missing_weights_and_folders_are_refused(model_folder, tmp_path):
    folder = broken(model_folder, tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FormatError, match="cannot be loaded"):
        load(folder)
    role = Role(model="no-such/model")
    with pytest.raises(InputError, match="no such folder"):
        load_model(role, planned(model_folder, role))


def test_code_from_a_repository_runs_only_where_the_file_says_so(model_folder, tmp_path):
    folder = broken(model_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('ran')")
    role = Role(model=str(folder))
    with pytest.raises(UllageError, match="trust_remote_code"):
        load_model(role, planned(model_folder, role))


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("found", [(5, 2), (7, 0), (8, 0), (9, 0)])
def test_a_card_that_cannot_compute_with_a_scheme_is_refused_before_anything_loads(monkeypatch, name, found):
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: found)
    least = SCHEMES[name].least_capability
    role = Role(model="m")
    check_capability(role, SCHEMES[name], ["cpu", "disk"])
    check_capability(role, None, ["cuda:0"])
    if least is None or found >= least:
        check_capability(role, SCHEMES[name], ["cpu", "cuda:0"])
        return
    with pytest.raises(UnsupportedError, match=f"m: {name} needs compute capability .* use another card"):
        check_capability(role, SCHEMES[name], ["cpu", "cuda:0"])
