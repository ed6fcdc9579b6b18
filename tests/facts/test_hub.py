"""A model that only a hub has: its configs and headers are read, at a commit, and nothing else."""

import json
import os
import struct
from pathlib import Path

import pytest
from hub_server import COMMIT, Serving
from huggingface_hub import constants

from ullage.cli.main import main
from ullage.errors import InputError
from ullage.facts.hub import read_hub
from ullage.facts.hub_name import hub_name

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 16384,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def tensors_of(config):
    """Names and shapes of a Llama's weights."""
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    found = {"model.embed_tokens.weight": (vocabulary, hidden), "lm_head.weight": (vocabulary, hidden)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for name, shape in {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }.items():
            found[f"{at}{name}.weight"] = shape
    return found | {"model.norm.weight": (hidden,)}


def safetensors(shapes, dtype="BF16", size=2):
    """A file of these tensors, all zeros."""
    header, at = {}, 0
    for name, shape in shapes.items():
        count = size
        for axis in shape:
            count *= axis
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


@pytest.fixture
def hub():
    with Serving() as hub:
        hub.files["owner/model"] = {
            "config.json": json.dumps(LLAMA).encode(),
            "generation_config.json": b'{"repetition_penalty": 1.3}',
            "model.safetensors": safetensors(tensors_of(LLAMA)),
            "README.md": b"x" * 1000,
        }
        yield hub


@pytest.fixture
def asks(hub, own_home, monkeypatch):
    """This process asks that hub."""
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return Path(os.environ["ULLAGE_HOME"])


@pytest.fixture
def ullage(asks, capsys):
    """The command, where the hub is that one and nothing is known yet."""

    def call(*arguments, code=0, **more):
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("HF_HUB_OFFLINE")
            for name, value in {"COLUMNS": "200", **more}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(list(arguments))
        told = capsys.readouterr()
        assert ended.value.code == code, told.err
        assert "Traceback" not in told.err
        return told.out if code == 0 else told.err

    return call


def test_a_model_is_counted_from_its_headers_alone(ullage, hub):
    told = json.loads(ullage("models", "owner/model", "--json"))
    assert told["parameters"] == sum(
        shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in tensors_of(LLAMA).values()
    )
    assert told["name"] == f"owner/model@{COMMIT}"
    assert "README.md" not in "".join(path for path, _ in hub.asked)
    assert hub.sent < len(hub.files["owner/model"]["model.safetensors"]) / 10
    before = len(hub.asked)
    assert json.loads(ullage("models", f"owner/model@{COMMIT}", "--json")) == told
    assert len(hub.asked) == before


def test_a_plan_is_of_a_commit_and_says_so(ullage, hub, asks):
    asked = ("estimate", "owner/model", "--gpus", "T4", "--prompt-tokens", "64", "--json")
    plan = json.loads(ullage(*asked))
    assert plan["settled"]["roles"]["model"]["model"] == f"owner/model@{COMMIT}"
    assert any(COMMIT in note for note in plan["notes"])
    assert any("repetition_penalty" in warning for warning in plan["warnings"])
    loaded = [item for item in plan["items"] if item["phase"] == "model load"]
    weights = sum(item["bytes"]["expected"] for item in loaded if item["component"] == "weights")
    data = hub.files["owner/model"]["model.safetensors"]
    assert weights == len(data) - 8 - struct.unpack("<Q", data[:8])[0]
    before = len(hub.asked)
    assert json.loads(ullage(*asked, "--offline")) == plan
    assert len(hub.asked) == before


@pytest.mark.parametrize("ranges", [True, False])
def test_shards_are_those_that_the_index_names(ullage, hub, ranges):
    shapes = tensors_of(LLAMA)
    names = list(shapes)
    parts = {"model-1-of-2.safetensors": names[:5], "model-2-of-2.safetensors": names[5:]}
    places = {name: part for part, held in parts.items() for name in held}
    hub.ranges = ranges
    hub.files["owner/sharded"] = {
        "config.json": json.dumps(LLAMA).encode(),
        "model.safetensors.index.json": json.dumps({"weight_map": places}).encode(),
        "consolidated.safetensors": safetensors(shapes),
        **{part: safetensors({name: shapes[name] for name in held}) for part, held in parts.items()},
    }
    whole = json.loads(ullage("models", "owner/model", "--json"))
    sharded = json.loads(ullage("models", "owner/sharded", "--json"))
    assert sharded["parameters"] == whole["parameters"]
    assert not any("consolidated" in path for path, _ in hub.asked)


FAULTS = {
    "401": "no such model, or a private one",
    "403": "the hub refuses with 403",
    "404": "no such model, or a private one",
    "429": "too many requests; try again in 7 s",
    "503": "503; try again later",
    "gated": "its terms have to be accepted there",
    "cut": "cannot be reached",
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.items())
def test_a_hub_that_refuses_gives_one_line_and_leaves_nothing(ullage, hub, asks, fault, said):
    hub.fault = fault
    told = ullage("models", "owner/model", code=2)
    assert said in told
    assert told.count("\n") == 1
    assert not [path for path in asks.rglob("*") if path.is_file()]
    hub.fault = ""
    ullage("models", "owner/model")


@pytest.fixture
def impatient(hub, asks, monkeypatch):
    """A tenth of a second is waited for each answer."""
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.1)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    return hub


SLOW = {
    "late": "no answer in time",
    "stall": "no answer in time",
    "trickle": "not done within 0.6 s",
    "trickled headers": "not done within 0.6 s",
}


@pytest.mark.parametrize("only", ["/api/models/", ".safetensors"])
@pytest.mark.parametrize(("fault", "said"), SLOW.items())
@pytest.mark.long
def test_a_slow_hub_has_an_end_and_leaves_nothing(impatient, asks, fault, said, only):
    impatient.fault, impatient.only, impatient.late = fault, only, 2
    name = hub_name("owner/model")
    with pytest.raises(InputError, match=said) as error:
        read_hub(name)
    assert "HF_HUB_DOWNLOAD_TIMEOUT" in str(error.value)
    assert not [path for path in asks.rglob("*") if path.is_file()]
    impatient.fault = ""
    assert read_hub(name).path.joinpath("config.json").is_file()


def test_nobody_is_asked_where_that_is_forbidden(ullage, hub, asks):
    assert "--offline" in ullage("models", "owner/model", "--offline", code=2)
    assert "--offline" in ullage("models", "owner/model", code=2, HF_HUB_OFFLINE="1")
    assert not hub.asked
    assert "unknown model" in ullage("models", "no-such-name", code=2)
    assert not hub.asked


def test_what_makes_no_sense_is_one_line_and_not_kept(ullage, hub, asks):
    good = hub.files["owner/model"]
    hub.files["owner/words"] = {**good, "config.json": b"not json"}
    assert "config.json is not valid JSON" in ullage("models", "owner/words", code=2)
    lies = {
        "claims": struct.pack("<Q", 10**9) + b"{}",
        "header": struct.pack("<Q", 2) + b"[]",
        "short": b"abc",
        "bytes": good["model.safetensors"][:-10],
    }
    for name, data in lies.items():
        hub.files[f"owner/{name}"] = {**good, "model.safetensors": data}
        told = ullage("models", f"owner/{name}", code=2)
        assert "model.safetensors" in told
        assert told.count("\n") == 1
    hub.files["owner/folders"] = {**good, "../../../escaped.json": b"{}"}
    ullage("models", "owner/folders")
    hub.files["owner/quants"] = {"model-Q4.gguf": b"GGUF"}
    assert "owner/quants/model-Q4.gguf" in ullage("models", "owner/quants", code=2)
    assert "GGUF" in ullage("models", "owner/quants/model-Q4.gguf", code=2)
    assert "no revision v9" in ullage("models", "owner/model@v9", code=2)
    assert not list(asks.rglob("escaped.json"))
    kept = {path.parent.name for path in asks.rglob("config.json")}
    assert kept == {"model"}
    assert len(list(asks.rglob("config.json"))) == 1


def test_a_renamed_model_is_read_under_its_new_name(ullage, hub):
    hub.renamed["old/model"] = "owner/model"
    assert json.loads(ullage("models", "old/model", "--json"))["parameters"] > 0


def test_a_token_is_not_sent_to_where_a_hub_points(ullage, hub):
    with Serving() as other:
        other.files = hub.files
        hub.elsewhere = other.url.replace("127.0.0.1", "localhost")
        ullage("models", "owner/model", HF_TOKEN="hf_secret")
        assert "Bearer hf_secret" in hub.tokens
        assert other.tokens
        assert not any(other.tokens)


def adapter(fields=None):
    """The files of a LoRA of that Llama's attention."""
    shapes = {}
    for layer in range(2):
        at = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        shapes |= {f"{at}.lora_A.weight": (4, 64), f"{at}.lora_B.weight": (64, 4)}
    config = {"peft_type": "LORA", "base_model_name_or_path": "owner/model", **(fields or {})}
    return {
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": safetensors(shapes, "F32", 4),
        "tokenizer.json": b"{}",
    }


def test_an_adapter_comes_with_its_base_each_at_a_commit(ullage, hub):
    hub.files["owner/adapter"] = adapter()
    plan = json.loads(ullage("estimate", "owner/adapter", "--gpus", "T4", "--prompt-tokens", "16", "--json"))
    settled = plan["settled"]["roles"]["model"]
    assert settled["model"] == f"owner/adapter@{COMMIT}"
    assert plan["roles"]["model"]["base"] == f"owner/model@{COMMIT}"
    assert {note.partition(":")[0] for note in plan["notes"] if COMMIT in note} == {
        "owner/adapter",
        "owner/model",
    }
    assert any("repetition_penalty" in warning for warning in plan["warnings"])
    beside = [item for item in plan["items"] if (item["note"], item["phase"]) == ("adapter", "model load")]
    assert sum(item["bytes"]["expected"] for item in beside) == 2 * 2 * 4 * (64 + 64)
    assert not any("tokenizer" in path for path, _ in hub.asked)


def test_an_adapter_that_cannot_be_had_with_its_base_is_one_line(ullage, hub):
    hub.files["owner/pickled"] = adapter()
    hub.files["owner/pickled"]["adapter_model.bin"] = hub.files["owner/pickled"].pop(
        "adapter_model.safetensors"
    )
    assert "pickles" in ullage("models", "owner/pickled", code=2)
    hub.files["owner/alone"] = adapter({"base_model_name_or_path": "owner/gone"})
    assert "the model it belongs to cannot be read" in ullage("models", "owner/alone", code=2)
    hub.files["owner/older"] = adapter({"revision": "v9"})
    assert "no revision v9" in ullage("models", "owner/older", code=2)
    hub.files["owner/adapter"] = adapter()
    hub.fault, hub.only = "gated", "/api/models/owner/model"
    told = ullage("models", "owner/adapter", code=2)
    assert "owner/model: at" in told
    assert "its terms have to be accepted there" in told
    assert told.count("\n") == 1
