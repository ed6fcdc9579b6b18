from collections.abc import Callable

import pytest

from ullage.facts.architecture import Architecture
from ullage.facts.config import read_config


@pytest.fixture
def llama() -> Callable[..., Architecture]:
    """A small Llama architecture; keyword arguments override config fields."""

    def build(**fields: object) -> Architecture:
        config: dict[str, object] = {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 4,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "vocab_size": 1000,
            "max_position_embeddings": 1 << 20,
            "tie_word_embeddings": False,
            "dtype": "bfloat16",
        }
        return read_config(config | fields, "small-llama", "test")

    return build
