"""A LLaVA-NeXT of some 130,000 weights of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ullage.engines.small.words import END, PAD, word_tokenizer

IMAGE: Final = "<image>"
SIDE: Final = 28
"""Pixels of a tile's side."""
PATCH: Final = 7
POSITIONS: Final = 4096
CHAT: Final = (
    "{% for message in messages %}{{ message['role'] | upper }} : "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %} {% endfor %}{% if add_generation_prompt %}ASSISTANT :{% endif %}"
)


def make_perception(folder: Path, seed: int) -> None:
    """Saves one that looks at a picture in up to four tiles and once as a whole."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextProcessor,
    )
    from transformers.models.llava_next import LlavaNextImageProcessorPil

    tokenizer = word_tokenizer(POSITIONS, (IMAGE,), ends=False)
    ids = tokenizer.get_vocab()
    tiles = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaNextConfig(
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=POSITIONS,
            bos_token_id=ids[END],
            eos_token_id=ids[END],
            pad_token_id=ids[PAD],
        ),
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=32,
        ),
        image_token_index=ids[IMAGE],
        image_grid_pinpoints=tiles,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = LlavaNextProcessor(
        LlavaNextImageProcessorPil(
            size={"shortest_edge": SIDE},
            crop_size={"height": SIDE, "width": SIDE},
            image_grid_pinpoints=tiles,
        ),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaNextForConditionalGeneration(config)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
