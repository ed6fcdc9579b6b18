"""Cache bytes, held against transformers' own caches."""

import pytest
import small_models

import ullage
from ullage.facts.config import read_config
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.role import Cache

BF16 = ResolvedPrecision("bf16", "bf16", "")


def storage_bytes(cache):
    return [
        sum(tensor.untyped_storage().nbytes() for tensor in (layer.keys, layer.values) if tensor is not None)
        for layer in cache.layers
    ]


@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_each_layer_holds_what_transformers_holds_after_prefill_and_after_a_step(family):
    import torch
    from transformers import DynamicCache

    model = small_models.build(family, window=16, dtype=torch.bfloat16)
    architecture = read_config(model.config.to_dict(), family, "test")
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(torch.randint(3, 97, (2, 40)), past_key_values=cache)
        after_prefill = storage_bytes(cache)
        model(torch.randint(3, 97, (2, 1)), past_key_values=cache)
        after_step = storage_bytes(cache)
    for seen, last, measured in ((40, 40, after_prefill), (41, 1, after_step)):
        predicted = [
            layer_cache(layer, CacheShape(2, seen, last, seen), Cache(), 2).total
            for layer in architecture.layers
        ]
        assert predicted == measured


def test_a_recurrent_layer_keeps_the_same_state_for_any_length():
    config = {"model_type": "mamba", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 128}
    architecture = read_config(config, "mamba", "test")
    sizes = {
        layer_cache(architecture.layers[0], CacheShape(1, seen, seen, seen), Cache(), 2).total
        for seen in (1, 100, 10_000)
    }
    assert len(sizes) == 1
    assert sizes.pop() > 0


@pytest.mark.parametrize("new_tokens", [1, 2, 9])
def test_the_last_token_written_is_never_read_and_has_no_keys(new_tokens, tmp_path):
    import torch

    model = small_models.build("llama", window=16, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    model.save_pretrained(tmp_path)
    settings = {"precision": "fp32", "prompt_tokens": 40, "batch": 2, "new_tokens": new_tokens}
    plan = ullage.estimate_model(str(tmp_path), "cpu", **settings)
    planned = sum(
        item.bytes.expected
        for item in plan.bill.items
        if (item.component, item.phase) == ("kv_cache", "model decode")
    )
    options = {"max_new_tokens": new_tokens, "do_sample": False, "return_dict_in_generate": True}
    written = model.generate(torch.randint(3, 97, (2, 40)), **options)
    assert written.sequences.shape == (2, 40 + new_tokens)
    assert planned == sum(storage_bytes(written.past_key_values))


def test_falcon_40b_keeps_keys_and_values_of_every_query_head():
    import torch
    from transformers import DynamicCache, FalconConfig, FalconForCausalLM

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 97}
    config = FalconConfig(**sizes, new_decoder_architecture=True, num_kv_heads=2)
    cache = DynamicCache(config=config)
    with torch.inference_mode():
        FalconForCausalLM(config).to(torch.bfloat16)(torch.randint(3, 97, (2, 10)), past_key_values=cache)
    layers = read_config(config.to_dict(), "falcon", "test").layers
    assert [layer.mixer.kv_heads for layer in layers] == [2, 2]
    kept = [layer_cache(layer, CacheShape(2, 10, 10, 10), Cache(), 2).total for layer in layers]
    assert kept == storage_bytes(cache)
