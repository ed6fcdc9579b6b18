"""The engine that paints: what a direct call of the pipeline gives, inside its bill, and clear refusals."""

import io
import json
import shutil

import pytest
import torch

import ullage
from ullage.engines.diffusers_engine import DiffusersEngine
from ullage.engines.engine import Failure
from ullage.engines.painter import Canvas
from ullage.engines.small import make_small
from ullage.errors import FormatError, InputError, UnknownNameError, UnsupportedError
from ullage.runtime.live import LiveTensors
from ullage.runtime.loader import load_model

PROMPT = "Paint a red boat for me."
CANVAS = Canvas((32, 48), 2)


def planned(folder, **fields):
    return ullage.estimate_model(str(folder), "cpu", engine="diffusers", **fields)


def loaded(folder, **fields):
    plan = planned(folder, **fields)
    (name,) = plan.roles
    return load_model(plan.workload.roles[name], plan.roles[name])


def called(folder, prompts, canvas, seeds, dtype=torch.float32):
    """PNG files of a direct call of the pipeline."""
    from diffusers import FluxPipeline

    pipeline = FluxPipeline.from_pretrained(folder, dtype=dtype)
    width, height = canvas.size
    found = []
    for image in pipeline(
        prompts,
        width=width,
        height=height,
        num_inference_steps=canvas.steps,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
    ).images:
        file = io.BytesIO()
        image.save(file, "PNG")
        found.append(file.getvalue())
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_picture_is_the_one_a_direct_call_gives(artist_folder, precision):
    engine = DiffusersEngine(loaded(artist_folder, precision=precision), "artist")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    painted = engine.paint([PROMPT, "Draw Arden at night."], CANVAS, [3, 4])
    assert [each.png for each in painted] == called(
        artist_folder, [PROMPT, "Draw Arden at night."], CANVAS, [3, 4], dtype
    )
    assert painted[0].png != engine.paint([PROMPT], CANVAS, [5])[0].png


def test_it_is_loaded_in_eval_mode_in_the_planned_precision(artist_folder):
    model = loaded(artist_folder, precision="fp16").model
    assert not any(module.training for module in model.modules())
    full = {name for name, each in model.named_parameters() if each.dtype == torch.float32}
    # transformers keeps these in fp32, and the plan bills them so.
    assert full == {
        f"text_encoder_2.encoder.block.{layer}.layer.1.DenseReluDense.wo.weight" for layer in (0, 1)
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_weights_are_billed_to_the_byte(artist_folder, precision):
    plan = planned(artist_folder, precision=precision)
    billed = sum(
        item.bytes.high
        for item in plan.bill.items
        if item.component == "weights" and item.phase == plan.phases[-1].name
    )
    assert billed == sum(
        each.nbytes for each in loaded(artist_folder, precision=precision).model.parameters()
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("precision", "size", "batch"),
    [("fp32", (32, 32), 1), ("bf16", (128, 64), 1), ("fp32", (256, 256), 1), ("fp32", (64, 64), 3)],
)
def test_painting_stays_inside_its_bill_and_near_it(artist_folder, precision, size, batch):
    plan = planned(artist_folder, precision=precision, image_size=size, batch=batch, steps=2)
    model = loaded(artist_folder, precision=precision)
    engine = DiffusersEngine(model, "artist")
    canvas = Canvas(size, 2)
    engine.paint([PROMPT] * batch, canvas, range(batch))
    with LiveTensors() as live:
        live.track_model(model.model)
        live.reset_peak()
        engine.paint([PROMPT] * batch, canvas, range(batch))
    billed = [item for item in plan.bill.items if item.phase.endswith("denoise") and item.level == "live"]
    assert live.peak <= sum(item.bytes.high for item in billed)
    assert live.peak >= 0.8 * sum(item.bytes.low for item in billed)


def test_pixels_that_are_no_numbers_make_no_picture(artist_folder):
    model = loaded(artist_folder)
    with torch.no_grad():
        model.model.vae.decoder.conv_out.bias.fill_(float("nan"))
    (found,) = DiffusersEngine(model, "artist").paint([PROMPT], Canvas((32, 32), 1), [0])
    assert isinstance(found, Failure)
    assert "not finite in fp32" in found.reason


def test_what_is_too_long_to_be_read_is_counted(artist_folder):
    engine = DiffusersEngine(loaded(artist_folder), "artist")
    (found,) = engine.paint(["boat " * 600], Canvas((32, 32), 1), [0])
    assert found.cut == 600 + 1 - 512


def test_a_size_that_would_be_rounded_and_an_empty_prompt_are_refused(artist_folder):
    engine = DiffusersEngine(loaded(artist_folder), "artist")
    with pytest.raises(UnsupportedError, match="multiples of 4 pixels, and 30 is none: image_size: 32x30"):
        engine.paint([PROMPT], Canvas((32, 30), 1), [0])
    with pytest.raises(InputError, match="nothing to paint"):
        engine.paint([" "], Canvas((32, 32), 1), [0])


def spoiled(folder, tmp_path, spoil):
    copy = shutil.copytree(folder, tmp_path / "spoiled")
    spoil(copy)
    return copy


def renamed(key, value):
    def change(folder):
        index = json.loads((folder / "model_index.json").read_text())
        index[key] = value
        (folder / "model_index.json").write_text(json.dumps(index))

    return change


def cut(folder):
    file = folder / "vae/diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def lacking(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "transformer/diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["proj_out.weight"]
    save_file(tensors, file)


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (renamed("_class_name", "StableDiffusionPipeline"), UnsupportedError, "is a StableDiffusionPipeline"),
        (renamed("_class_name", ["code", "Mine"]), UnsupportedError, "code of its own"),
        (renamed("vae", ["os", "AutoencoderKL"]), UnsupportedError, "takes vae from 'os'"),
        (lacking, FormatError, "lacks 1 tensors of the network, as proj_out.weight"),
    ],
)
def test_a_folder_that_is_not_what_it_says_is_refused(artist_folder, tmp_path, spoil, error, said):
    plan = planned(artist_folder)
    (name,) = plan.roles
    role = plan.workload.roles[name].model_copy(
        update={"model": str(spoiled(artist_folder, tmp_path, spoil))}
    )
    with pytest.raises(error, match=said):
        load_model(role, plan.roles[name])


def test_a_file_that_breaks_off_is_refused_before_it_is_planned(artist_folder, tmp_path):
    with pytest.raises(FormatError, match="diffusion_pytorch_model"):
        planned(spoiled(artist_folder, tmp_path, cut))


@pytest.mark.parametrize(("name", "most"), [("artist", 0.8e6), ("perception", 0.7e6)])
def test_small_models_are_small_and_the_same_for_a_seed(name, most, tmp_path):
    one, same, other = (make_small(name, tmp_path / str(at), seed) for at, seed in enumerate((0, 0, 1)))

    def contents(folder):
        return {
            str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*") if file.is_file()
        }

    assert contents(one) == contents(same) != contents(other)
    assert sum(map(len, contents(one).values())) < most


def test_a_small_model_is_never_written_over_anything(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(InputError, match="is there already"):
        make_small("artist", tmp_path)
    with pytest.raises(UnknownNameError, match="nearest: artist"):
        make_small("artists", tmp_path / "new")
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
