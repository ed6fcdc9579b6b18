"""A diffusers folder written by diffusers and transformers themselves."""

import json

import pytest

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.model import open_model


@pytest.fixture
def folder(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    parts = {
        "transformer": diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(hidden_size=32, intermediate_size=37, num_hidden_layers=2, vocab_size=99)
        ),
        "text_encoder_2": T5EncoderModel(
            T5Config(d_model=32, d_ff=37, num_layers=2, num_heads=4, d_kv=8, vocab_size=99)
        ),
        "vae": diffusers.AutoencoderKL(
            block_out_channels=(8, 16),
            norm_num_groups=4,
            latent_channels=1,
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
    }
    index = {"_class_name": "FluxPipeline", "scheduler": ["diffusers", "FlowMatchScheduler"]}
    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    return tmp_path, parts


def test_every_network_has_the_parameters_it_really_has(folder):
    path, parts = folder
    pipeline = open_model(str(path))
    counted = {component.name: component.parameters for component in pipeline.components}
    real = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    assert counted == real
    assert pipeline.checkpoint.bytes == 4 * sum(real.values())


def test_a_network_without_a_reader_is_named(folder):
    path, _ = folder
    index = json.loads((path / "model_index.json").read_text())
    index["transformer"] = ["diffusers", "UnheardOfModel"]
    (path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UnsupportedError, match="UnheardOfModel"):
        open_model(str(path))


def test_a_network_that_is_missing_is_named(folder):
    path, _ = folder
    (path / "vae/config.json").unlink()
    with pytest.raises(FormatError, match="'vae'"):
        open_model(str(path))
