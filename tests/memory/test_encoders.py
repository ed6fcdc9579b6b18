"""Encoders planned: what one pass over a text needs, and what they are not asked for."""

import json

import pytest

from ullage.api import check, estimate_model, load, plan
from ullage.errors import UnsupportedError

NLI = {
    "model_type": "roberta",
    "architectures": ["RobertaForSequenceClassification"],
    "max_position_embeddings": 514,
    "pad_token_id": 1,
    "id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"},
}
EMBEDDER = {"model_type": "mpnet", "architectures": ["MPNetModel"], "max_position_embeddings": 514}


@pytest.fixture
def made(tmp_path):
    def folder(config):
        (tmp_path / config["model_type"]).mkdir()
        (tmp_path / config["model_type"] / "config.json").write_text(json.dumps(config))
        return str(tmp_path / config["model_type"])

    return folder


def evaluation(**roles):
    return {
        "kind": "evaluate",
        "name": "encoders",
        "budget": {"gpus": "1xL4"},
        "schedule": "sequential",
        "roles": {"generator": {"model": "ullage:tiny"}, **roles},
        "prompt_tokens": 128,
        "new_tokens": 16,
        "evaluate": {"samples": 2, "clusters_by": "entailment"},
    }


def test_an_encoder_reads_in_one_pass_and_caches_nothing(made):
    found = estimate_model(made(NLI), "1xL4", prompt_tokens=256, new_tokens=8, batch=4)
    assert [phase.activity for phase in found.phases] == ["load", "prefill"]
    assert not any(item.component == "kv_cache" for item in found.bill.items)
    assert "roberta is an encoder: it reads prompt_tokens in one pass, and writes nothing" in found.notes


def test_similarity_and_entailment_are_planned_with_encoders(made):
    nli, embedder = made(NLI), made(EMBEDDER)
    roles = {"similarity": {"model": embedder}, "entailment": {"model": nli, "prompt_tokens": 128}}
    workload = load(evaluation(**roles))
    found = plan(workload, advice=False)
    assert found.verdict == "fits"
    assert found.roles["similarity"].kernel.name == "eager"


def test_an_encoder_where_nobody_reads_what_it_gives_is_refused_by_name(made):
    workload = load(evaluation(judge={"model": made(EMBEDDER)}, entailment={"model": "ullage:tiny"}))
    with pytest.raises(
        UnsupportedError, match=r"roles.judge: mpnet is an encoder, .*; name a decoder to run$"
    ):
        check(workload, gpus="cpu")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"engine": "vllm"}, "engine vllm is not described; use transformers"),
        ({"train": "adamw"}, "backward pass is not described"),
        ({"attention": "sdpa"}, "attention of its own; sdpa has no part in it"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused_in_a_line(made, fields, said):
    with pytest.raises(UnsupportedError, match=said):
        estimate_model(made(EMBEDDER), "1xL4", prompt_tokens=64, **fields)


def test_an_encoder_writes_nothing(made):
    workload = evaluation(entailment={"model": "ullage:tiny"})
    workload["roles"]["generator"]["model"] = made(EMBEDDER)
    with pytest.raises(UnsupportedError, match="role generator: mpnet is an encoder, which writes nothing"):
        plan(workload)
