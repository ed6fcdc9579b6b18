"""Small models with random weights, one for each family whose states can be read: for tests and benchmarks.

They are transformers' own classes with few and narrow layers; a tokenizer is trained on text made here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FAMILIES = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "phi3",
    "gpt2",
    "gpt_neox",
    "gpt_neox_sequential",
    "opt",
    "olmo2",
    "mixtral",
)
PARALLEL = ("gpt_neox",)
"""Families whose blocks add attention and MLP at once, and so have no middle."""
WORDS = tuple("the a cat dog ran over under blue red house tree sings écoute naïve 東京 zebra river".split())  # noqa: SIM905


def build(
    family: str,
    *,
    layers: int = 4,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    vocabulary: int = 97,
    positions: int = 4096,
    window: int = 16,
    dtype: Any = None,
    seed: int = 0,
) -> Any:
    """A causal language model of `family` in eval mode, its weights drawn from `seed`."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = config_of(family, layers, hidden, heads, kv_heads, vocabulary, positions, window)
    model = AutoModelForCausalLM.from_config(config)
    return model.to(dtype or torch.float32).eval()


def config_of(
    family: str,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
    positions: int,
    window: int,
) -> Any:
    """The transformers configuration of a small model."""
    import transformers

    common = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 3 * hidden,
        "max_position_embeddings": positions,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    grouped = {**common, "num_key_value_heads": kv_heads}
    gemma = {
        **grouped,
        "head_dim": hidden // heads,
        "sliding_window": window,
        "query_pre_attn_scalar": hidden // heads,
    }
    routed = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": hidden}
    counted = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": hidden}
    counted |= {"n_group": 2, "topk_group": 1}
    latent = {"num_key_value_heads": heads, "q_lora_rank": hidden // 2, "kv_lora_rank": hidden // 2}
    latent |= {"qk_rope_head_dim": 16, "qk_nope_head_dim": 32, "v_head_dim": 32}
    makers: dict[str, Callable[[], Any]] = {
        "llama": lambda: transformers.LlamaConfig(**grouped),
        "mistral": lambda: transformers.MistralConfig(**grouped, sliding_window=window),
        "qwen2": lambda: transformers.Qwen2Config(**grouped),
        "qwen3": lambda: transformers.Qwen3Config(**grouped, head_dim=hidden // heads),
        "gemma2": lambda: transformers.Gemma2Config(**gemma),
        "gemma3_text": lambda: transformers.Gemma3TextConfig(**gemma),
        "phi3": lambda: transformers.Phi3Config(**grouped),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=vocabulary,
            n_embd=hidden,
            n_layer=layers,
            n_head=heads,
            n_positions=positions,
            bos_token_id=1,
            eos_token_id=2,
        ),
        "gpt_neox": lambda: transformers.GPTNeoXConfig(**common),
        "gpt_neox_sequential": lambda: transformers.GPTNeoXConfig(**common, use_parallel_residual=False),
        "opt": lambda: transformers.OPTConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            ffn_dim=4 * hidden,
            max_position_embeddings=positions,
            word_embed_proj_dim=hidden,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
        "olmo2": lambda: transformers.Olmo2Config(**grouped),
        "mixtral": lambda: transformers.MixtralConfig(**grouped, num_local_experts=4, num_experts_per_tok=2),
        "qwen2_moe": lambda: transformers.Qwen2MoeConfig(
            **grouped, **routed, shared_expert_intermediate_size=2 * hidden, decoder_sparse_step=1
        ),
        "olmoe": lambda: transformers.OlmoeConfig(**{**grouped, **routed, "intermediate_size": hidden}),
        "glm4_moe": lambda: transformers.Glm4MoeConfig(
            **grouped, **counted, head_dim=hidden // heads, first_k_dense_replace=1, n_shared_experts=1
        ),
        "glm4_moe_lite": lambda: transformers.Glm4MoeLiteConfig(
            **common,
            **latent,
            **counted,
            n_shared_experts=1,
            mlp_layer_types=["dense"] + ["sparse"] * (layers - 1),
        ),
        "youtu": lambda: transformers.YoutuConfig(**common, **latent),
        "qwen3_moe": lambda: transformers.Qwen3MoeConfig(
            **grouped, **routed, head_dim=hidden // heads, decoder_sparse_step=1
        ),
        "deepseek_v3": lambda: transformers.DeepseekV3Config(
            **common, **latent, **counted, first_k_dense_replace=1
        ),
    }
    return makers[family]()


CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def tokenizer(chat: bool = False, corpus: Sequence[str] = (), size: int = 400) -> Any:
    """A byte-level BPE of `size` tokens, trained on `texts` and `corpus`; where asked, with a template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([*texts(200), *corpus], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=CHAT if chat else None,
    )


def texts(count: int, longest: int = 60, seed: int = 0) -> list[str]:
    """Sentences of 3 to `longest` words, some with letters beyond ASCII."""
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(3, longest))) for _ in range(count)]


def save(folder: Path, family: str = "llama", chat: bool = False, words: Any = None, **options: Any) -> Path:
    """Model and tokenizer (`words`, or one made for it) in a folder, as a hub snapshot holds them."""
    words = tokenizer(chat) if words is None else words
    model = build(family, **{"vocabulary": len(words), **options})
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def write_texts(path: Path, count: int, longest: int = 60, seed: int = 0) -> Path:
    """JSON lines with `id` and `text`; the path."""
    lines = [
        json.dumps({"id": f"text-{index}", "text": text}, ensure_ascii=False)
        for index, text in enumerate(texts(count, longest, seed))
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_tokens(path: Path, lengths: list[int], vocabulary: int, seed: int = 0) -> Path:
    """JSON lines with `tokens` drawn at random, one record for each length; the path."""
    chance = random.Random(seed)
    lines = [json.dumps({"tokens": chance.choices(range(3, vocabulary), k=n)}) for n in lengths]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
