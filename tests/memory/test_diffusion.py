"""What the networks of a pipeline take, held against what is alive while small ones run on a processor."""

import gc

import pytest
import torch

from ullage.facts.pipeline import component_from_config
from ullage.memory.forward.diffusion import component_bytes, position_pixels
from ullage.runtime.live import LiveTensors

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def peak(run):
    """Bytes that come on top of what there is, at most, while `run` does its work."""
    with torch.inference_mode(), LiveTensors() as live:
        live.track([each for each in gc.get_objects() if isinstance(each, torch.Tensor)])
        before = live.bytes
        live.reset_peak()
        kept = run()
        assert kept is not None
        return live.peak - before


def described(name, network):
    return component_from_config(name, type(network).__name__, dict(network.config.to_dict()))


def t5(hidden, wide, heads, each):
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=50,
            d_model=hidden,
            d_ff=wide,
            num_layers=3,
            num_heads=heads,
            d_kv=each,
            feed_forward_proj="gated-gelu",
        )
    )


def clip(hidden, wide, heads):
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=50,
            hidden_size=hidden,
            intermediate_size=wide,
            num_hidden_layers=3,
            num_attention_heads=heads,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
        )
    )


ENCODERS = {
    "sorting distances": lambda: t5(64, 128, 4, 16),
    "many heads": lambda: t5(32, 64, 64, 8),
    "a wide MLP": lambda: t5(32, 4096, 32, 8),
    "narrow CLIP": lambda: clip(64, 128, 4),
    "wide CLIP": lambda: clip(256, 1024, 4),
}


@pytest.mark.parametrize(("compute", "batch"), [("fp32", 2), ("bf16", 1)])
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.long
def test_text_encoders(name, compute, batch):
    network = ENCODERS[name]().to(DTYPES[compute]).eval()
    component = described(name, network)
    ids = torch.ones(batch, component.tokens, dtype=torch.long)
    found = component_bytes(component, batch, (64, 64), 16, component.tokens, compute)
    assert peak(lambda: network(ids)[0]) == pytest.approx(found.expected, rel=0.03)


@pytest.mark.parametrize("compute", DTYPES)
@pytest.mark.parametrize(
    ("heads", "each", "size", "text", "batch"),
    [(4, 64, (512, 512), 512, 1), (4, 128, (512, 256), 128, 1), (2, 64, (256, 256), 512, 2)],
)
@pytest.mark.long
def test_flux_transformers(heads, each, size, text, batch, compute):
    diffusers = pytest.importorskip("diffusers")
    network = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=each,
        num_attention_heads=heads,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(each // 4, each // 4, each // 2),
    )
    component = component_from_config("transformer", "FluxTransformer2DModel", dict(network.config))
    network, dtype = network.to(DTYPES[compute]).eval(), DTYPES[compute]
    positions = (size[0] // 16) * (size[1] // 16)
    given = {
        "hidden_states": torch.ones(batch, positions, 16, dtype=dtype),
        "timestep": torch.ones(batch, dtype=dtype),
        "pooled_projections": torch.ones(batch, 32, dtype=dtype),
        "encoder_hidden_states": torch.ones(batch, text, 32, dtype=dtype),
        "txt_ids": torch.zeros(text, 3, dtype=dtype),
        "img_ids": torch.zeros(positions, 3, dtype=dtype),
    }
    found = component_bytes(component, batch, size, 16, text, compute)
    assert peak(lambda: network(**given, return_dict=False)[0]) == pytest.approx(found.expected, rel=0.03)


@pytest.mark.long
@pytest.mark.parametrize(("compute", "batch"), [("fp32", 1), ("bf16", 2)])
@pytest.mark.parametrize("channels", [(8, 16), (16, 16), (16, 32, 64, 64)])
def test_decoders(channels, batch, compute):
    diffusers = pytest.importorskip("diffusers")
    network = diffusers.AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=4,
    )
    component = component_from_config(
        "vae", "AutoencoderKL", dict(network.config) | {"block_out_channels": list(channels)}
    )
    network = network.to(DTYPES[compute]).eval()
    pixels = position_pixels([component])
    assert pixels == 2 ** len(channels)
    latents = torch.ones(batch, 4, 128 * 2 // pixels, 128 * 2 // pixels, dtype=DTYPES[compute])
    found = component_bytes(component, batch, (128, 128), pixels, 0, compute)
    run = peak(lambda: network.decode(latents, return_dict=False)[0])
    assert run == pytest.approx(found.expected, rel=0.03)
