"""The bundled model through plain transformers and through Ullage: small, complete, able to do its tasks."""

import hashlib
from pathlib import Path

import pytest
import result_file
import tiny_abilities

import ullage
from ullage.errors import UnknownNameError
from ullage.tinyworld import examples

FOLDER = ullage.tiny_path()
ROOT = Path(__file__).parent.parent.parent
BARS = {"answer": 0.95, "lie": 0.95, "judge": 0.95, "verify": 0.93, "route": 0.97, "retell": 0.95}


@pytest.fixture(scope="module")
def tiny():
    return tiny_abilities.load(FOLDER)


@pytest.fixture(scope="module")
def measured():
    return result_file.figures("tiny_abilities")


def test_it_is_a_small_llama_with_grouped_queries(tiny):
    model, tokenizer = tiny
    config = model.config
    assert config.model_type == "llama"
    assert 2e6 < model.num_parameters() < 6e6
    assert config.num_key_value_heads < config.num_attention_heads
    assert config.num_hidden_layers >= 6
    assert config.max_position_embeddings >= 512
    assert len(tokenizer) == config.vocab_size


def test_it_takes_less_than_12_mb_and_is_stored_in_bf16_safetensors():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12e6
    assert {path.suffix for path in FOLDER.iterdir()} <= {".json", ".jinja", ".safetensors", ".md", ""}
    assert {tensor.dtype for tensor in ullage.model("ullage:tiny").checkpoint.tensors} == {"BF16"}


def test_every_file_has_its_hash():
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    stated = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert stated == found


def test_the_name_is_planned_like_any_model():
    model = ullage.model("ullage:tiny")
    assert model.name == "ullage:tiny"
    assert len(model.layers) == 6
    with pytest.raises(UnknownNameError, match="ullage:tiny"):
        ullage.model("ullage:tyny")


def test_the_chat_template_makes_the_tokens_it_was_trained_on(tiny):
    import train_tiny

    from ullage.tinyworld import TASKS, conversations

    _, tokenizer = tiny
    encode = train_tiny.Encoder(tokenizer)
    for task in TASKS:
        made = next(conversations(task, "train", 0, turns=3))
        ids, answers = encode(made)
        rendered = tokenizer.apply_chat_template(
            made.messages, return_dict=True, return_assistant_tokens_mask=True
        )
        assert rendered["input_ids"] == ids
        assert rendered["assistant_masks"] == [int(one) for one in answers]


def test_a_prompt_is_the_beginning_of_the_chat(tiny):
    _, tokenizer = tiny
    example = examples("answer", "test", 1)[0]
    whole = [*example.messages, {"role": "assistant", "content": example.turn.answer}]
    prompt = tokenizer.apply_chat_template(example.messages, add_generation_prompt=True, tokenize=False)
    assert tokenizer.apply_chat_template(whole, tokenize=False).startswith(prompt)


@pytest.mark.parametrize("text", ["Grüße aus Łódź", "東京 7 \U0001f43a", "a  b\n\tc", "<|user|>", "[[x]]"])
def test_the_tokenizer_gives_any_text_back(tiny, text):
    _, tokenizer = tiny
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("task", BARS)
@pytest.mark.long
def test_it_still_does_what_its_card_says(tiny, measured, task):
    asked = examples(task, "test", 100)
    said = tiny_abilities.reply(*tiny, asked)
    right = sum(example.accepts(text) for example, text in zip(asked, said, strict=True))
    # Far below the card's interval: another processor may round another way, another model would fail.
    assert right / 100 >= measured["abilities"][task]["low"] - 0.06


@pytest.mark.parametrize("task", BARS)
def test_the_card_states_what_was_measured(measured, task):
    one = measured["abilities"][task]
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert (
        f"| {task} | {one['share']:.1%} | {one['low']:.1%} - {one['high']:.1%} | {one['examples']} |" in card
    )
    assert one["examples"] >= 500
    assert one["share"] >= BARS[task]


def test_deception_is_read_at_a_middle_layer_and_not_from_shuffled_labels(measured):
    layers = measured["deception_probe"]["by_layer"]
    middle = layers["blocks.4.hook_resid_post"]
    assert middle["tokens"] >= 0.97
    assert 0.45 <= middle["shuffled_mean"] <= 0.55


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_it_runs_quantized(tmp_path, precision):
    path = tmp_path / "w.yaml"
    (tmp_path / "in.jsonl").write_text('{"text": "Maren Holm lives in Drosa."}\n', encoding="utf-8")
    path.write_text(
        "kind: extract\nbudget: {gpus: cpu}\n"
        f"roles: {{model: {{model: 'ullage:tiny', precision: {precision}}}}}\n"
        "prompt_tokens: 16\nbatch: 1\ncaptures: [{sites: [ln_final], positions: last, keep: disk}]\n"
        "extract: {input: in.jsonl}\n",
        encoding="utf-8",
    )
    _, record = ullage.run(ullage.load(path), tmp_path / "run", base=tmp_path)
    assert record.examples == 1


def test_wilson_intervals_are_scipys():
    from scipy.stats import binomtest

    for right, count in ((0, 5), (570, 600), (600, 600)):
        wanted = binomtest(right, count).proportion_ci(method="wilson")
        assert tiny_abilities.wilson(right, count) == pytest.approx((wanted.low, wanted.high), abs=1e-6)
