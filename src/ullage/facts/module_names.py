"""What modeling files of transformers 5.19 call the parts of a decoder that are no layer's own."""

from __future__ import annotations

from typing import Final

LAYERS: Final = ("layers", "h", "blocks", "layer")
"""A decoder's list of layers."""
EMBEDDINGS: Final = (
    "embed_tokens", "wte", "embed_in", "word_embeddings", "embeddings", "tok_embeddings", "tokens_embed",
    "word_embedding", "input_embedding", "w",
)  # fmt: skip
"""The table of token ids."""
FINAL: Final = (
    "norm", "ln_f", "final_layer_norm", "final_layernorm", "layer_norm", "embedding_norm", "final_norm",
    "norm_f", "ln_out", "out_norm", "norm_out", "output_layernorm", "LayerNorm", "layernorm",
    "layernorm_embedding", "ln",
)  # fmt: skip
"""The norm after the layers."""
CONTAINERS: Final = (
    "model", "language_model", "text_model", "decoder", "encoder", "transformer", "backbone", "gpt_neox",
)  # fmt: skip
"""Modules that hold embeddings, layers and norm, and not the head."""
TOWERS: Final = (
    "vision_tower", "vision_model", "visual", "vision_embed_tokens", "multi_modal_projector", "connector",
    "image_newline", "vision_projector",
)  # fmt: skip
"""Modules that see pictures, which stand with the embeddings."""
HEADS: Final = ("lm_head", "embed_out", "output_projection")
WEIGHTLESS: Final = (
    "rotary_emb", "rotary_embs", "rotary_emb_local", "rotary_pos_emb", "pos_emb", "embed_positions", "drop",
    "dropout", "emb_dropout", "embd_dropout", "embed_dropout",
)  # fmt: skip
"""Modules without weights of their own, in families that do not say otherwise."""
