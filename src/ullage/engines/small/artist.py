"""A Flux pipeline of some 200,000 weights of chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.engines.small.words import END, PAD, word_tokenizer

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextModel, PreTrainedTokenizerFast, T5EncoderModel

CLIP_TOKENS: Final = 77
T5_TOKENS: Final = 512
"""Tokens that Flux's two encoders read, as the real ones do."""
WIDTH: Final = 32
LATENTS: Final = 4
"""Channels of a latent; four positions of them make one of the transformer's."""


def make_artist(folder: Path, seed: int) -> None:
    """Saves one that paints pictures whose sides are multiples of 4 pixels."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = (word_tokenizer(length, ends=True) for length in (CLIP_TOKENS, T5_TOKENS))
        pipeline = FluxPipeline(
            FlowMatchEulerDiscreteScheduler(),
            _autoencoder(),
            _clip(first),
            first,
            _t5(second),
            second,
            _transformer(),
        )
        pipeline.save_pretrained(folder)


def _clip(tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    from transformers import CLIPTextConfig, CLIPTextModel

    ids = tokenizer.get_vocab()
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=WIDTH,
            max_position_embeddings=CLIP_TOKENS,
            bos_token_id=ids[END],
            eos_token_id=ids[END],
            pad_token_id=ids[PAD],
        )
    )


def _t5(tokenizer: PreTrainedTokenizerFast) -> T5EncoderModel:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=WIDTH,
            d_ff=2 * WIDTH,
            d_kv=8,
            num_heads=4,
            num_layers=2,
            feed_forward_proj="gated-gelu",
        )
    )


def _transformer() -> FluxTransformer2DModel:
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENTS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
    )


def _autoencoder() -> AutoencoderKL:
    from diffusers import AutoencoderKL

    channels = (8, 16)
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=4,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
