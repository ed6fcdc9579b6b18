"""What stands on the layers of an encoder, by the task that `architectures` names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ullage.errors import FormatError
from ullage.facts.families.family import Extras
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm, single
from ullage.facts.families.switch import holds

MODEL: Final = "Model"
CLASSIFIES: Final = "ForSequenceClassification"
"""Scores of labels for a whole text, or for a pair of them."""
_TASK: Final = re.compile(r"^\w+?(For[A-Z]\w+|(?<!Head)Model)$")


def task_of(config: Mapping[str, object], fields: Fields, tasks: Mapping[str, Extras]) -> tuple[str, Extras]:
    """The task of one config, the bare model's where it names none, and its weights. Raises FormatError."""
    named = config.get("architectures")
    if not named:
        return MODEL, tasks[MODEL]
    first = named[0] if isinstance(named, list) else named
    found = _TASK.match(first) if isinstance(first, str) else None
    task = found.group(1) if found else ""
    if task not in tasks:
        raise fields.wrong("architectures", first, f"a class that ends with one of {', '.join(tasks)}")
    return task, tasks[task]


def labels_of(fields: Fields) -> tuple[str, ...]:
    """The labels that a text is given a score for, in the model's order."""
    named = fields.raw("id2label")
    if named is None:
        return tuple(f"LABEL_{index}" for index in range(fields.optional("num_labels") or 2))
    if not isinstance(named, dict) or not named:
        raise fields.wrong("id2label", named, "an object from numbers to labels")
    try:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    except ValueError as error:
        raise FormatError(f"{fields.model}: id2label has a key that is no number: {error}") from error


def nothing(fields: Fields, hidden: int) -> Weights:
    """Of a model whose states are read as they are."""
    return ()


def joined(*parts: Extras) -> Extras:
    """All of these."""

    def found(fields: Fields, hidden: int) -> Weights:
        return tuple(weight for part in parts for weight in part(fields, hidden))

    return found


def square(name: str, *widths: str) -> Extras:
    """A dense layer as wide as the stream, or as the first of the fields `widths` that is set."""

    def found(fields: Fields, hidden: int) -> Weights:
        width = (fields.optional(*widths) if widths else None) or hidden
        return linear(name, width, width, True)

    return found


def labelled(name: str) -> Extras:
    """A dense layer with one output a label."""

    def found(fields: Fields, hidden: int) -> Weights:
        return linear(name, len(labels_of(fields)), hidden, True)

    return found


def paired(fields: Fields, hidden: int) -> Weights:
    """Whether one sentence follows another (BERT, arXiv 1810.04805)."""
    return linear("cls.seq_relationship", 2, hidden, True)


def masked(dense: str, normed: str, decoder: str, bias: str = "") -> Extras:
    """Scores of the vocabulary for each position: a dense layer, a norm, and the embeddings once more. Where
    these are not shared, `decoder` has weights, and a bias of its own beside the one called `bias`. DeBERTa's
    that is not `legacy` always shares them."""

    def found(fields: Fields, hidden: int) -> Weights:
        vocabulary = fields.size("vocab_size")
        weights = linear(dense, hidden, hidden, True) + norm(normed, hidden, True)
        if bias:
            weights += single(bias, (vocabulary,), "bias")
        if fields.raw("tie_word_embeddings") is False and fields.raw("legacy") is not False:
            weights += single(f"{decoder}.weight", (vocabulary, hidden), "head")
        elif bias:
            return weights
        return weights + single(f"{decoder}.bias", (vocabulary,), "bias")

    return found


def modern(*more: Extras) -> Extras:
    """ModernBERT's: a dense layer and a norm before what follows, with biases as their own flags say."""

    def found(fields: Fields, hidden: int) -> Weights:
        weights = linear("head.dense", hidden, hidden, holds("classifier_bias", fields))
        weights += norm("head.norm", hidden, holds("norm_bias", fields))
        return weights + tuple(weight for part in more for weight in part(fields, hidden))

    return found


def decoded(fields: Fields, hidden: int) -> Weights:
    """ModernBERT's scores of the vocabulary."""
    vocabulary = fields.size("vocab_size")
    weights: Weights = ()
    if fields.raw("tie_word_embeddings") is False:
        weights += single("decoder.weight", (vocabulary, hidden), "head")
    if fields.raw("decoder_bias") is not False:
        weights += single("decoder.bias", (vocabulary,), "bias")
    return weights
