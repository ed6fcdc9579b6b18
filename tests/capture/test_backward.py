"""Gradients of a text's loss at sites: those of a plain backward pass through transformers' own model."""

import pytest
import small_models
import torch
import transformers

import ullage
from ullage.errors import InputError, UnsupportedError

TEXTS = [[(7 * place * place + 3 * place) % 90 + 4 for place in range(30)], [5, 9, 11, 40, 23, 17]]
BESIDE = ("logits", "ln_final.hook_normalized")
"""Computed beside the model's own pass."""


def eager(family):
    if family == "granite":
        torch.manual_seed(0)
        model = transformers.GraniteForCausalLM(
            transformers.GraniteConfig(
                vocab_size=97, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                num_key_value_heads=2, intermediate_size=96, residual_multiplier=0.22,
                embedding_multiplier=12.0, attention_multiplier=0.1, logits_scaling=8.0,
                pad_token_id=0, bos_token_id=1, eos_token_id=2,
            )
        ).eval()  # fmt: skip
    else:
        model = small_models.build(family, layers=3)
    model.set_attn_implementation("eager")
    return model


def plain(model, ids, *modules):
    """transformers' states and patterns, and what `modules` gave, with gradients; the loss."""
    seen = []
    hooks = [each.register_forward_hook(lambda _m, _a, output: seen.append(output)) for each in modules]
    tokens = torch.tensor([ids])
    found = model(tokens, output_hidden_states=True, output_attentions=True, use_cache=False)
    kept = [*found.hidden_states, *found.attentions, *seen]
    for each in kept:
        each.retain_grad()
    loss = torch.nn.functional.cross_entropy(found.logits[0, :-1], tokens[0, 1:])
    loss.backward()
    for hook in hooks:
        hook.remove()
    return found.hidden_states, found.attentions, [each.grad[0] for each in seen], loss


def equal(gradient, wanted, tolerance=1e-6):
    return (
        gradient.shape == wanted.shape and (gradient - wanted).abs().max() <= tolerance * wanted.abs().max()
    )


def sites_of(model):
    return [site for site in ullage.sites_of(model) if site not in BESIDE]


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox", "opt", "mixtral", "granite"])
@pytest.mark.long
def test_gradients_are_those_of_a_plain_backward_pass(family, reentrant):
    model, other = eager(family), eager(family)
    (read,) = ullage.Extractor(model, sites_of(model)).backward(TEXTS[:1], use_reentrant=reentrant)
    states, patterns, _, loss = plain(other, TEXTS[0])
    assert abs(read.states["loss"].item() - loss.item()) < 1e-5
    for layer in range(2):
        site = f"blocks.{layer}.hook_resid_post"
        assert equal(read.states[site], states[layer + 1][0].detach())
        assert equal(read.states[f"{site}_grad"], states[layer + 1].grad[0])
        assert equal(read.states[f"blocks.{layer}.attn.hook_pattern_grad"], patterns[layer].grad[0])
    assert equal(read.states["ln_final_grad"], states[-1].grad[0])
    assert not any(name.endswith("_grad") and not each.any() for name, each in read.states.items())
    assert all(each.requires_grad and each.grad is None for each in model.parameters())
    assert "forward" not in vars(model.base_model)


@pytest.mark.long
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "opt", "granite"])
def test_what_is_added_has_the_gradient_of_the_sum(family):
    model = eager(family)
    (read,) = ullage.Extractor(model, sites_of(model)).backward(TEXTS[:1])
    for layer in range(3):
        at = f"blocks.{layer}."
        of = {hook: read.states[f"{at}{hook}_grad"] for hook in ("hook_mlp_out", "hook_attn_out")}
        assert equal(of["hook_mlp_out"], read.states[f"{at}hook_resid_post_grad"], 1e-5)
        assert equal(of["hook_attn_out"], read.states[f"{at}hook_resid_mid_grad"], 1e-5)


def test_gradients_of_heads_are_those_of_their_projections():
    model, other = eager("llama"), eager("llama")
    (read,) = ullage.Extractor(model, ["blocks.1.attn.hook_[qkv]"]).backward(TEXTS[:1])
    attention = other.model.layers[1].self_attn
    _, _, gradients, _ = plain(other, TEXTS[0], attention.q_proj, attention.k_proj, attention.v_proj)
    for name, wanted in zip("qkv", gradients, strict=True):
        assert equal(read.states[f"blocks.1.attn.hook_{name}_grad"].flatten(1), wanted)


def test_a_text_has_the_same_gradients_alone_and_in_a_batch():
    extractor = ullage.Extractor(eager("llama"), ["blocks.*.hook_resid_post", "ln_final"])
    both = extractor.backward(TEXTS)
    for one, text in zip(both, TEXTS, strict=True):
        (alone,) = extractor.backward([text])
        for name, states in alone.states.items():
            assert (states - one.states[name]).abs().max() <= 1e-5 * states.abs().max(), name


def test_positions_are_chosen_of_gradients_as_of_states():
    model = eager("llama")
    site = "blocks.0.hook_resid_post"
    (whole,) = ullage.Extractor(model, [site]).backward(TEXTS[:1])
    (last,) = ullage.Extractor(model, [site], positions="last").backward(TEXTS[:1])
    assert torch.equal(last.states[f"{site}_grad"], whole.states[f"{site}_grad"][-1:])


def test_every_site_is_every_one_that_a_gradient_reaches():
    (read,) = ullage.Extractor(eager("llama"), ["*"]).backward(TEXTS[:1])
    assert "ln_final_grad" in read.states
    assert not any(name.startswith(BESIDE) for name in read.states)


def test_layers_that_have_run_again_let_go_of_their_inputs():
    from ullage.runtime.live import LiveTensors

    def peak(layers):
        model = small_models.build("llama", layers=layers)
        extractor = ullage.Extractor(model, ["blocks.0.hook_resid_pre"], positions="last")
        with LiveTensors() as live:
            live.track_model(model)
            before = live.bytes
            extractor.backward(TEXTS[:1] * 8)
            return live.peak - before

    kept = 8 * len(TEXTS[0]) * 64 * 4
    assert peak(6) - peak(4) == 2 * kept


def test_what_no_gradient_reaches_is_told(tmp_path):
    model = eager("llama")
    for site in BESIDE:
        with pytest.raises(UnsupportedError, match=f"captures: {site}: no gradient flows through it"):
            ullage.Extractor(model, [site]).backward(TEXTS)
    with pytest.raises(InputError, match="a text of one token has no next one, and no loss"):
        ullage.Extractor(model, ["ln_final"]).backward([[5]])
    with pytest.raises(InputError, match="LlamaModel has no language-model head, and so no loss"):
        ullage.Extractor(model.model, ["ln_final"]).backward(TEXTS)
    with pytest.raises(InputError, match="leave out with_gradients and chunk_tokens"):
        ullage.Extractor(model, ["ln_final"], chunk_tokens=4).backward(TEXTS)
