"""What an Extractor may be given to read, and what is said of what it cannot."""

import numpy as np
import pytest
import small_models
import torch
import transformers

import ullage
from ullage.errors import InputError, UllageError

TEXTS = ["the cat sings", "a dog ran over the blue tree"]


@pytest.fixture(scope="module")
def words():
    return small_models.tokenizer()


@pytest.fixture(scope="module")
def model(words):
    return small_models.build("llama", layers=2, vocabulary=len(words))


@pytest.fixture(scope="module")
def extractor(model, words):
    return ullage.Extractor(model, ["ln_final"], tokenizer=words)


def encoded(words, **options):
    return words(TEXTS, **options)


@pytest.mark.parametrize(
    "given",
    [
        lambda words: encoded(words),
        lambda words: encoded(words, padding=True, return_tensors="pt"),
        lambda words: encoded(words, padding=True, padding_side="left", return_tensors="pt"),
        lambda words: encoded(words, padding=True, return_tensors="np"),
        lambda words: dict(encoded(words, padding=True)),
        lambda words: [words(text, return_tensors="pt") for text in TEXTS],
        lambda words: [words(text, return_tensors="pt")["input_ids"][0] for text in TEXTS],
        lambda words: [np.array(words(text)["input_ids"]) for text in TEXTS],
        lambda _: np.array(TEXTS),
    ],
)
def test_what_a_tokenizer_gives_is_read_without_its_padding(extractor, words, given):
    read = extractor.read(given(words))
    for one, other in zip(read, extractor.read(TEXTS), strict=True):
        assert one.tokens == other.tokens
        assert torch.equal(one.states["ln_final"], other.states["ln_final"])


def test_ids_alone_are_one_sequence_or_a_row_each(extractor):
    one, two = [5, 9, 11], [[5, 9, 11], [4, 7, 6]]
    for given, wanted in [(one, [one]), (torch.tensor(one), [one]), (torch.tensor(two), two)]:
        assert [list(each.tokens) for each in extractor.read(given)] == wanted
    streamed = ullage.collect(extractor.stream(torch.tensor(two)))["ln_final"]
    assert streamed.shape == (2, 3, 64)
    (written,) = extractor.generate(torch.tensor([one]), 2)
    assert (list(written.tokens[:3]), written.prompt_tokens) == (one, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[1, 2], [5, 1_000_000]], r"inputs\[1\]: 1000000 is not in the vocabulary of "),
        ([[1, -2]], r"inputs\[0\]: -2 is not in the vocabulary of "),
        ([[1.5, 2]], r"inputs\[0\]: 1.5 is no token id, which is a whole number"),
        ([[True]], r"inputs\[0\]: True is no token id"),
        ([["a"]], r"inputs\[0\]: 'a' is no token id"),
        (torch.tensor([0.5]), r"inputs\[0\]: 0.5 is no token id"),
        (torch.zeros(1, 1, 1, dtype=torch.long), "inputs: has 3 axes"),
        ([torch.zeros(2, 3, dtype=torch.long)], r"inputs\[0\]: holds 2 sequences"),
        ({"text": "a"}, r"inputs: has no input_ids \(it has: text\)"),
        (
            {"input_ids": [[1, 2]], "attention_mask": [[1]]},
            "attention_mask: is not of the shape of input_ids",
        ),
        ({"input_ids": [[1, 2, 3]], "attention_mask": [[1, 0, 1]]}, "attention_mask: is not ones in a row"),
        ({"input_ids": [[1, 2]], "attention_mask": [[0, 0]]}, r"inputs\[0\] has no tokens"),
        (["bad \ud800 surrogate"], r"inputs\[0\]: holds half of a surrogate pair"),
        ([None], r"inputs\[0\]: is neither text nor a list of token ids"),
        ("one text", "inputs: give a list of texts"),
        ([], "inputs: give a list of texts"),
        (torch.zeros(0, dtype=torch.long), r"inputs\[0\] has no tokens"),
    ],
)
def test_what_cannot_be_read_is_one_line(extractor, given, said):
    with pytest.raises(InputError, match=said) as raised:
        extractor.read(given)
    assert "\n" not in str(raised.value)


def test_a_tokenizer_of_another_model_is_told(words):
    other = ullage.Extractor(small_models.build("llama", layers=1), ["ln_final"], tokenizer=words)
    with pytest.raises(UllageError, match=r"inputs\[0\]: the tokenizer writes .* and the model has 97"):
        other.read(TEXTS)


def test_a_model_without_a_head_is_read_and_writes_nothing(model):
    base = ullage.Extractor(model.model, ["ln_final"])
    whole = ullage.Extractor(model, ["ln_final"])
    one, other = base.read([[5, 6]])[0], whole.read([[5, 6]])[0]
    assert torch.equal(one.states["ln_final"], other.states["ln_final"])
    with pytest.raises(InputError, match="LlamaModel has no language-model head, and writes nothing"):
        base.generate([[5, 6]], 3)


def test_a_model_that_transformers_loaded_from_gguf_is_read_like_any_other(tmp_path):
    source = write_gguf(tmp_path / "tiny.gguf")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    assert model.config.quantization_config.quant_method == "gguf"
    extractor = ullage.Extractor(model, ["blocks.*.hook_resid_post", "blocks.1.attn.hook_q"])
    (read,) = extractor.read([[5, 6, 7, 8]])
    with torch.no_grad():
        whole = model.model(torch.tensor([[5, 6, 7, 8]]), output_hidden_states=True)
    assert torch.equal(read.states["blocks.0.hook_resid_post"], whole.hidden_states[1][0])
    assert read.states["blocks.1.attn.hook_q"].shape == (4, 4, 16)


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_a_gguf_file_is_refused_in_what_transformers_does_not_make_of_it(tmp_path, precision):
    """Before it is loaded: a plan of it is refused."""
    file = {
        "kind": "extract",
        "roles": {"model": {"model": str(write_gguf(tmp_path / "tiny.gguf")), "precision": precision}},
        "captures": [{"sites": ["ln_final"]}],
        "prompt_tokens": 8,
    }
    with pytest.raises(UllageError, match=f"is a GGUF file, which .* not into {precision}; use prec"):
        ullage.plan(file, "cpu")
    file["roles"]["model"]["precision"] = "bf16"
    assert ullage.plan(file, "cpu").verdict == "fits"


def write_gguf(path):
    """A Llama of two layers with random weights in Q8_0, norms in fp32; the path."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e4)
    writer.add_vocab_size(100)
    chance = np.random.default_rng(0)

    def add(name, *shape):
        values = chance.normal(size=shape, scale=0.1).astype(np.float32)
        if len(shape) == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values + 1)

    add("token_embd.weight", 100, 64)
    add("output_norm.weight", 64)
    add("output.weight", 100, 64)
    for layer in range(2):
        for name, rows, columns in [
            ("attn_q", 64, 64), ("attn_k", 32, 64), ("attn_v", 32, 64), ("attn_output", 64, 64),
            ("ffn_gate", 96, 64), ("ffn_up", 96, 64), ("ffn_down", 64, 96),
        ]:  # fmt: skip
            add(f"blk.{layer}.{name}.weight", rows, columns)
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}.weight", 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
