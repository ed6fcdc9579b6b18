"""Encoders' rows: what stands on their layers, each against the class that `architectures` names."""

import pytest
import small_families
from transformers import AutoConfig, AutoModel

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.config import read_config
from ullage.facts.families.rows import family_of

TASKS = [(family, task) for family in small_families.ENCODERS for task in family_of(family).tasks]
DISTANCES = (
    {"share_att_key": False},
    {"legacy": False},
    {"type_vocab_size": 2, "position_biased_input": True},
    {"relative_attention": False},
    {"norm_rel_ebd": "none", "position_buckets": -1},
)
FLAGS = dict.fromkeys(("norm_bias", "classifier_bias", "mlp_bias", "attention_bias"), True)


def counted(family, task, **fields):
    labels = {} if task == "ForQuestionAnswering" else {"num_labels": 3}
    config = small_families.config_of(family, **labels, **fields)
    base = AutoModel._model_mapping[type(config)].__name__.removesuffix("Model")
    config.architectures = [base + task]
    return small_families.build(config, device="meta")


@pytest.mark.long
@pytest.mark.parametrize(("family", "task"), TASKS)
def test_a_task_counts_every_tensor_of_its_class(family, task):
    for tied in (True, False):
        small = counted(family, task, tie_word_embeddings=tied)
        found, real = small_families.shapes(small)
        assert found == real
        assert len(small.architecture.labels) == (3 if task == "ForSequenceClassification" else 0)


@pytest.mark.parametrize("fields", DISTANCES)
def test_debertas_distances_count_as_its_config_says(fields):
    for task in ("Model", "ForMaskedLM"):
        found, real = small_families.shapes(counted("deberta-v2", task, **fields))
        assert found == real


def test_modernberts_biases_count_as_its_config_says():
    for task in family_of("modernbert").tasks:
        found, real = small_families.shapes(counted("modernbert", task, decoder_bias=False, **FLAGS))
        assert found == real


def test_labels_are_the_configs_own_in_their_order():
    named = {"2": "entailment", "0": "contradiction", "1": "neutral"}
    config = {
        "model_type": "roberta",
        "architectures": ["RobertaForSequenceClassification"],
        "max_position_embeddings": 514,
        "pad_token_id": 1,
        "id2label": named,
    }
    found = read_config(config, "nli", "test")
    assert (found.gives, found.labels) == ("labels", ("contradiction", "neutral", "entailment"))
    assert found.max_positions == 512
    assert found.encodes
    assert not found.tied


@pytest.mark.parametrize("named", ["BertLMHeadModel", "BertForNextSentencePrediction", "Bert", 7])
def test_a_class_that_nobody_reads_is_refused_with_those_that_are(named):
    config = {"model_type": "bert", "architectures": [named]}
    with pytest.raises(FormatError, match=r"architectures is .*ForSequenceClassification"):
        read_config(config, "model", "test")


@pytest.mark.parametrize("named", [{}, ["a"], {"one": "a"}])
def test_labels_that_are_none_are_refused(named):
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": named}
    with pytest.raises(FormatError, match="id2label"):
        read_config(config, "model", "test")


def test_a_decoder_in_an_encoders_clothes_is_refused():
    with pytest.raises(UnsupportedError, match="is_decoder"):
        read_config({"model_type": "bert", "is_decoder": True}, "model", "test")


def test_published_counts():
    """Of roberta-large-mnli, deberta-v3-base and all-mpnet-base-v2 without their buffers of positions."""
    large = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    large |= {"intermediate_size": 4096, "max_position_embeddings": 514, "type_vocab_size": 1}
    config = {"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"], **large}
    assert read_config(config | {"num_labels": 3}, "mnli", "test").parameters == 355_362_819
    full = AutoConfig.for_model("mpnet", max_position_embeddings=514)
    found = read_config({**full.to_dict(), "architectures": ["MPNetModel"]}, "mpnet", "test")
    assert found.parameters == 109_486_464
