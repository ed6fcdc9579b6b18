"""What is kept of each sequence, padding gone."""

import pytest
import small_models

import ullage
from ullage.errors import InputError
from ullage.runtime.live import LiveTensors

SITE = "blocks.2.hook_resid_post"
LENGTHS = (3, 11, 7)


def sequences():
    return [[(7 * n + k) % 90 + 3 for k in range(n)] for n in LENGTHS]


def read(model, positions="all", spans=(), **options):
    extractor = ullage.Extractor(model, [SITE], positions=positions, **options)
    return [each.states[SITE] for each in extractor.read(sequences(), spans)]


@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.long
def test_padding_changes_nothing(family):
    model = small_models.build(family)
    together = read(model)
    alone = [ullage.Extractor(model, [SITE]).read([ids])[0].states[SITE] for ids in sequences()]
    for batched, single, length in zip(together, alone, LENGTHS, strict=True):
        assert batched.shape == (length, 64)
        assert (batched - single).abs().max() < 2e-5


@pytest.mark.parametrize("chunk", [None, 4])
def test_positions_are_reductions_of_all(chunk):
    model = small_models.build("llama")
    whole = read(model, chunk_tokens=chunk)
    last = read(model, "last", chunk_tokens=chunk)
    mean = read(model, "mean", chunk_tokens=chunk)
    spans = [(0, 2), (3, 9), (6, 7)]
    span = read(model, "span", spans, span_tokens=8, chunk_tokens=chunk)
    for index, states in enumerate(whole):
        assert (last[index] - states[-1:]).abs().max() == 0
        assert (mean[index] - states.mean(0, keepdim=True)).abs().max() < 1e-6
        begin, end = spans[index]
        assert (span[index] - states[begin:end]).abs().max() == 0


@pytest.mark.long
@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.parametrize("chunk", [None, 4])
def test_logits_are_the_models_own(family, chunk):
    import torch

    model = small_models.build(family)
    model.set_attn_implementation("eager" if family == "gemma2" else "sdpa")
    for positions in ("all", "last"):
        extractor = ullage.Extractor(model, ["logits"], positions=positions, chunk_tokens=chunk)
        for each, ids in zip(extractor.read(sequences()), sequences(), strict=True):
            with torch.inference_mode():
                own = model(torch.tensor([ids])).logits[0]
            own = own if positions == "all" else own[-1:]
            assert each.states["logits"].shape == own.shape
            assert (each.states["logits"] - own).abs().max() < 2e-5


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_logits_are_held_once(family):
    """They can be the largest tensor of all: none is made beside them, scaled or capped as they may be."""
    model = small_models.build(family, vocabulary=20_000)
    extractor = ullage.Extractor(model, ["logits"])
    ids = [(7 * k) % 90 + 3 for k in range(64)]
    extractor.read([ids])
    with LiveTensors() as live:
        live.track_model(model)
        live.reset_peak()
        before = live.peak
        extractor.read([ids])
    assert 1 <= (live.peak - before) / (len(ids) * 20_000 * 4) < 1.25


def test_a_precision_of_its_own():
    import torch

    states = read(small_models.build("llama"), "last", precision="fp16")
    assert {each.dtype for each in states} == {torch.float16}


def test_patterns_of_sequences_of_different_lengths():
    model = small_models.build("qwen2")
    model.set_attn_implementation("eager")
    site = "blocks.0.attn.hook_pattern"
    for chunk in (None, 4):
        found = ullage.Extractor(model, [site], chunk_tokens=chunk).read(sequences())
        for each, length in zip(found, LENGTHS, strict=True):
            assert each.states[site].shape == (4, length, length)
            assert (each.states[site].sum(-1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", "opt"])
def test_generated_states_are_those_of_reading_the_whole_text(family):
    model = small_models.build(family)
    model.generation_config.eos_token_id = None
    extractor = ullage.Extractor(model, [SITE])
    made = extractor.generate(sequences(), 6)
    for each, prompt in zip(made, sequences(), strict=True):
        assert each.prompt_tokens == len(prompt)
        assert len(each.tokens) == len(prompt) + 6
        again = extractor.read([each.tokens[:-1]])[0].states[SITE]
        assert each.states[SITE].shape == again.shape
        assert (each.states[SITE] - again).abs().max() < 2e-5


def test_a_sequence_that_ends_early_has_no_states_of_padding():
    model = small_models.build("llama")
    model.generation_config.eos_token_id = None
    free = ullage.Extractor(model, [SITE]).generate(sequences(), 6)
    stop = free[1].tokens[LENGTHS[1] + 2]
    model.generation_config.eos_token_id = stop
    made = ullage.Extractor(model, [SITE]).generate(sequences(), 6)
    for each, whole in zip(made, free, strict=True):
        new = whole.tokens[whole.prompt_tokens :]
        kept = new.index(stop) + 1 if stop in new else len(new)
        assert each.tokens == whole.tokens[: whole.prompt_tokens + kept]
        assert len(each.states[SITE]) == len(each.tokens) - 1


def test_last_of_a_generation_is_its_last_state():
    model = small_models.build("llama")
    model.generation_config.eos_token_id = None
    whole = ullage.Extractor(model, [SITE]).generate(sequences(), 4)
    last = ullage.Extractor(model, [SITE], positions="last").generate(sequences(), 4)
    for each, one in zip(whole, last, strict=True):
        assert (each.states[SITE][-1:] - one.states[SITE]).abs().max() == 0


@pytest.mark.parametrize("inputs", [[], "text", [[]], ["text"]])
def test_inputs_that_cannot_be_read_say_so(inputs):
    with pytest.raises(InputError, match="inputs"):
        ullage.Extractor(small_models.build("llama"), [SITE]).read(inputs)


def test_texts_with_a_tokenizer():
    words = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(words))
    found = ullage.Extractor(model, [SITE], tokenizer=words).read(["the cat sings", "東京"])
    assert [len(each.states[SITE]) for each in found] == [len(each.tokens) for each in found]


def backward(model, checkpointing, tokens=96):
    """Gradients of a loss on captured states, and the bytes alive when the backward pass begins."""
    import torch

    from ullage.runtime.live import LiveTensors

    model.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    extractor = ullage.Extractor(
        model, ["blocks.*.hook_resid_post"], with_gradients=True, gradient_checkpointing=checkpointing
    )
    ids = [[(3 * k + n) % 90 + 3 for k in range(tokens)] for n in range(2)]
    with LiveTensors() as live:
        live.track_model(model)
        before = live.bytes
        states = [each.states["blocks.3.hook_resid_post"] for each in extractor.read(ids)]
        kept = live.bytes - before
        loss = sum((state**2).sum() for state in states)
        loss.backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None], kept


@pytest.mark.long
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mixtral", "opt"])
def test_checkpointing_gives_the_same_gradients_for_less_memory(family):
    model = small_models.build(family)
    if hasattr(model.config, "resid_pdrop"):
        model.config.resid_pdrop = model.config.embd_pdrop = model.config.attn_pdrop = 0.0
    for module in model.modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    plain, kept = backward(model, False)
    checkpointed, less = backward(model, True)
    assert len(plain) == len(checkpointed)
    for one, other in zip(plain, checkpointed, strict=True):
        assert (one - other).abs().max() <= 1e-5 * one.abs().max()
    assert less < kept / 2


def test_checkpointing_without_gradients_is_refused():
    with pytest.raises(InputError, match="with_gradients"):
        ullage.Extractor(small_models.build("llama"), [SITE], gradient_checkpointing=True)


def test_an_option_it_does_not_have_is_refused_as_python_does():
    with pytest.raises(TypeError, match="unexpected keyword argument 'position'"):
        ullage.Extractor(small_models.build("llama"), [SITE], position="last")


def test_capped_logits_stay_in_the_graph():
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.Gemma2ForCausalLM(
        transformers.Gemma2Config(
            vocab_size=97, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, head_dim=16,
            num_key_value_heads=2, intermediate_size=96, final_logit_softcapping=3.0,
        )
    ).eval()  # fmt: skip
    weight = model.model.layers[0].mlp.down_proj.weight
    (wanted,) = torch.autograd.grad(model(torch.tensor([[3, 5, 8]])).logits[0, -1].max(), [weight])
    (read,) = ullage.Extractor(model, ["logits"], positions="last", with_gradients=True).read([[3, 5, 8]])
    (found,) = torch.autograd.grad(read.states["logits"][-1].max(), [weight])
    assert torch.allclose(found, wanted, atol=1e-6)
