"""A training step on symbols, held against real steps, real adapters and real optimizers on the processor."""

import pytest
import training_steps
from training_steps import LARGE, SMALL, Case

from ullage.facts.config import read_config
from ullage.memory.training.autograd import Meter, backward, leaf
from ullage.memory.training.operations import added, product, scaled
from ullage.memory.training.optimizer import optimizer_bytes, stepping_bytes
from ullage.memory.training.recipe import Recipe
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.training import Lora, Training

BF16 = ResolvedPrecision("bf16", "bf16", "")
NF4 = ResolvedPrecision("nf4", "bf16", "")


@pytest.mark.parametrize(
    "case",
    [
        Case("llama", "lora", False, "no", SMALL, tokens=128),
        Case("qwen3", "full", True, "bf16", SMALL, tokens=128),
        Case("gemma2", "lora", True, "bf16", LARGE, tokens=128),
        Case("phi3", "qlora", False, "bf16", SMALL, tokens=128),
        Case("llama", "qlora", False, "no", SMALL, tokens=512),
        Case("llama", "full", False, "no", SMALL, optimizer="adamw-torch", tokens=32),
    ],
    ids=lambda case: f"{case.family}-{case.way}-{case.mixed}-{case.optimizer}",
)
@pytest.mark.long
def test_a_step_of_a_small_model_peaks_where_its_plan_says(case):
    """All of them by benchmarks/training_steps.py."""
    found = training_steps.held(case)
    assert abs(found["error_percent"]) <= 100 * training_steps.WITHIN
    assert not found["above_high"]


ATTENTION = ("q_proj", "v_proj", "qkv_proj", "c_attn")


@pytest.mark.parametrize(
    ("family", "targets"),
    [(family, "all-linear") for family in ("llama", "gemma2", "phi3", "gpt2")]
    + [(family, ATTENTION) for family in ("llama", "phi3", "gpt2", "mixtral")],
)
def test_adapters_are_those_that_peft_makes(family, targets):
    """Of a model with experts only those that are named are known."""
    import small_models
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = small_models.config_of(family, 2, 64, 4, 2, 97, 128, 128)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        asked = list(targets) if isinstance(targets, tuple) else targets
        model = get_peft_model(model, LoraConfig(r=4, target_modules=asked, task_type="CAUSAL_LM"))
    real = sorted(each.numel() for each in model.parameters() if each.requires_grad)
    architecture = read_config(config.to_dict(), family, "test")
    recipe = Recipe(Training(lora=Lora(r=4, target_modules=targets)), BF16)
    assert sorted(size for layer in architecture.layers for size in recipe.trained(layer.weights)) == real


@pytest.mark.parametrize("name", ["adamw", "adamw-8bit", "sgd"])
def test_an_optimizer_keeps_what_it_really_keeps(name):
    import torch
    from bitsandbytes.optim import AdamW8bit

    sizes = [100, 4096, 5000]
    tensors = [torch.nn.Parameter(torch.randn(size)) for size in sizes]
    made = {"adamw": torch.optim.AdamW, "adamw-8bit": AdamW8bit, "sgd": torch.optim.SGD}[name](tensors)
    for each in tensors:
        each.grad = torch.ones_like(each)
    made.step()
    kept = {
        tensor.data_ptr(): tensor.nbytes
        for state in made.state.values()
        for key, tensor in state.items()
        if torch.is_tensor(tensor) and key != "step" and not key.startswith("qmap")
    }
    here, paged = optimizer_bytes(sizes, Training(optimizer=name), 4, False)
    assert (here, paged) == (sum(kept.values()), 0)


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("way", ["card", "processor", "fused", "sgd", "adamw-8bit"])
def test_an_update_takes_what_it_really_takes(way, width):
    """The way of a card, foreach, is one that a processor takes too when it is told to."""
    import torch
    from bitsandbytes.optim import AdamW8bit

    from ullage.runtime.live import LiveTensors

    sizes = [300_000, 100, 200_000, 50_000]
    dtype = {2: torch.bfloat16, 4: torch.float32}[width]
    tensors = [torch.nn.Parameter(torch.randn(size, dtype=dtype)) for size in sizes]
    made = {
        "card": lambda: torch.optim.AdamW(tensors, foreach=True),
        "processor": lambda: torch.optim.AdamW(tensors),
        "fused": lambda: torch.optim.AdamW(tensors, fused=True),
        "sgd": lambda: torch.optim.SGD(tensors, foreach=True),
        "adamw-8bit": lambda: AdamW8bit(tensors),
    }[way]()
    for each in tensors:
        each.grad = torch.ones_like(each)
    with LiveTensors() as live:
        live.track(tensors)
        live.track([each.grad for each in tensors])
        made.step()
        before = live.bytes
        live.reset_peak()
        made.step()
        found = live.peak - before
    name = {"card": "adamw-torch", "processor": "adamw-torch", "fused": "adamw"}.get(way, way)
    asked = stepping_bytes(sizes, Training(optimizer=name), width, way == "processor")
    # A few numbers of steps and scales beside.
    assert asked == pytest.approx(found, abs=2048)


def test_what_stays_beside_4_bits_is_cast_only_where_peft_is_asked_to():
    with_cast = Recipe(Training(lora=Lora()), NF4)
    without = Recipe(Training(lora=Lora(prepare_model_for_kbit_training=False)), NF4)
    assert (with_cast.width, without.width, Recipe(Training(lora=Lora()), BF16).width) == (4, 2, 2)


def test_an_fp32_copy_is_kept_where_all_16_bit_weights_are_trained():
    assert Recipe(Training(), BF16).master
    assert not Recipe(Training(master_weights=False), BF16).master
    assert not Recipe(Training(lora=Lora()), BF16).master
    assert not Recipe(Training(), ResolvedPrecision("fp32", "fp32", "")).master


class TestSymbols:
    def test_live_bytes_are_those_that_are_referred_to(self):
        m = Meter()
        x = m.new(100, 4)
        assert m.live == 400
        y = scaled(m, x)
        assert m.live == 800
        del x
        assert m.live == 400
        del y
        assert (m.live, m.peak) == (0, 800)

    def test_a_product_keeps_its_factors_until_the_way_back(self):
        m = Meter()
        x = leaf(m, 100, 4)
        y = [product(m, scaled(m, x), scaled(m, x))]
        del x
        assert m.live == 3 * 400  # two factors and the product; the leaf is referred to by nothing
        backward(m, y)
        assert m.live == 0

    def test_gradients_of_one_tensor_are_added_in_place_where_they_stand_alone(self):
        m = Meter()
        x = leaf(m, 100, 4)
        y = [added(m, scaled(m, x), scaled(m, x))]
        del x
        m.start()
        backward(m, y)
        assert m.peak == 3 * 400  # the gradient that both share, and one of its own for each

    def test_what_is_put_off_keeps_nothing_and_is_made_again(self):
        m = Meter()
        x = leaf(m, 100, 4)

        def code():
            return scaled(m, product(m, scaled(m, x), scaled(m, x)))

        y = [m.put_off(code)]
        assert m.live == 800  # what goes in and what comes out
        m.start()
        reached = backward(m, y)
        assert reached is not None
        assert m.peak > 800 + 400
