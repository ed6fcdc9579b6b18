"""Inputs that people who extract states have had trouble with, each with what is true of it."""

import json

import pytest
import small_models
import torch
import transformers

import ullage
from ullage.errors import InputError

SHORT = [5, 9, 11, 40, 23, 17]
LONG = [(7 * place * place + 3 * place) % 90 + 4 for place in range(100)]
"""Longer than the original length that its model's rope is scaled from."""


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return small_models.save(tmp_path_factory.mktemp("models") / "m_llama", "llama", layers=2)


def work(model, captures, **more):
    return {
        "kind": "extract",
        "roles": {"model": {"model": str(model), "precision": "fp32"}},
        "batch": 4,
        "prompt_tokens": 128,
        "budget": {"gpus": "cpu"},
        **({"captures": captures} if captures else {}),
        **more,
    }


def states_of(tmp_path, workload, lines, name="texts.jsonl"):
    (tmp_path / name).write_bytes(lines)
    given = {**workload, "extract": {"input": name}}
    folder, _ = ullage.run(ullage.load(given), tmp_path / "run", base=tmp_path)
    return ullage.open_states(folder)


def resid(model):
    return work(model, [{"sites": ["blocks.*.hook_resid_post"], "positions": "all"}])


def test_an_empty_cache_filter_is_every_site_that_the_family_holds(tmp_path, llama):
    lines = small_models.write_texts(tmp_path / "texts.jsonl", 6, 20).read_bytes()
    memory = {"activation_cache_filter": []}
    store = states_of(tmp_path, work(llama, None, memory=memory), lines)
    model = transformers.AutoModelForCausalLM.from_pretrained(llama, attn_implementation="eager")
    assert set(store.sites) == set(ullage.sites_of(model))
    tokens = torch.tensor([store.rows[0]["tokens"]])
    with torch.no_grad():
        plain = model(tokens, output_hidden_states=True, output_attentions=True)
    assert (store[0]["blocks.0.hook_resid_post"] - plain.hidden_states[1][0]).abs().max() < 1e-5
    assert (store[0]["blocks.1.attn.hook_pattern"] - plain.attentions[1][0]).abs().max() < 1e-5
    assert (store[0]["logits"] - plain.logits[0]).abs().max() < 1e-5
    levels = {c.what: c.verdict for c in ullage.verify(tmp_path / "run").comparisons}
    assert levels["live"] != "above"


def test_every_site_of_a_family_without_a_middle_has_none(tmp_path):
    model = small_models.save(tmp_path / "neox", "gpt_neox", layers=2)
    lines = small_models.write_texts(tmp_path / "texts.jsonl", 4, 20).read_bytes()
    store = states_of(tmp_path, work(model, [{"sites": ["*"]}]), lines)
    hooks = {site.split(".", 2)[-1] for site in store.sites}
    assert {"hook_resid_post", "attn.hook_q", "logits"} < hooks
    assert "hook_resid_mid" not in hooks


def test_half_of_a_surrogate_pair_is_one_line_that_names_the_record(tmp_path, llama):
    line = b'{"id":"a","text":"bad \\ud800 surrogate"}\n'
    with pytest.raises(InputError, match=r"texts\.jsonl:1: holds half of a surrogate pair") as raised:
        states_of(tmp_path, resid(llama), line)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "lines", "texts"),
    [
        ("in.jsonl", '\ufeff{"id":"a","text":"with a BOM"}\n', ["with a BOM"]),
        ("in.txt", "\ufeffone text\nsecond\n", ["one text", "second"]),
        ("blank.txt", "\ufeff\nsecond\n", ["second"]),
    ],
)
def test_a_byte_order_mark_is_no_text(tmp_path, llama, name, lines, texts):
    store = states_of(tmp_path, resid(llama), lines.encode(), name)
    assert [row["text"] for row in store.rows] == texts
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    assert store.rows[0]["tokens"] == tokenizer(texts[0])["input_ids"]


def test_one_token_has_an_mlp_output_of_one_row(tmp_path):
    model = small_models.save(tmp_path / "opt", "opt", layers=2)
    given = work(model, [{"sites": ["blocks.0.hook_mlp_out"], "positions": "all"}], batch=1)
    store = states_of(tmp_path, given, b'{"tokens":[9]}\n{"tokens":[5,9,11]}\n')
    assert [tuple(store[row]["blocks.0.hook_mlp_out"].shape) for row in (0, 1)] == [(1, 64), (3, 64)]


def longrope():
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
    return transformers.Phi3Config(
        **SIZES, max_position_embeddings=256, original_max_position_embeddings=32, rope_parameters=rope
    )


def dynamic():
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
    return transformers.LlamaConfig(**SIZES, max_position_embeddings=32, rope_parameters=rope)


SIZES = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def scaled(config):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("config", [longrope, dynamic])
def test_a_short_text_is_the_same_alone_in_a_batch_and_in_chunks(config):
    model, site = scaled(config()), "blocks.1.hook_resid_post"
    (alone,) = ullage.Extractor(model, [site]).read([SHORT])
    for chunk in (None, 8):
        both = ullage.Extractor(model, [site], chunk_tokens=chunk).read([SHORT, LONG])
        assert (both[0].states[site] - alone.states[site]).abs().max() <= 1e-5 * alone.states[
            site
        ].abs().max()


def test_a_short_text_is_the_same_alone_in_a_run_and_in_a_streamed_run(tmp_path):
    scaled(longrope()).save_pretrained(tmp_path / "model")
    found = []
    for name, texts, chunk in (
        ("alone", [SHORT], None),
        ("both", [SHORT, LONG], None),
        ("in", [SHORT, LONG], 8),
    ):
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps({"tokens": text}) + "\n" for text in texts).encode()
        memory = {"streaming_chunk_size": chunk}
        given = {**resid(tmp_path / "model"), "memory": memory}
        found.append(states_of(tmp_path / name, given, lines)[0]["blocks.1.hook_resid_post"])
    alone, both, streamed = found
    scale = alone.abs().max()
    assert (both - alone).abs().max() <= 1e-5 * scale
    assert (streamed - alone).abs().max() <= 1e-5 * scale
