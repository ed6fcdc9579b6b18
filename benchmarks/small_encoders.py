"""Small encoders with random weights and tokenizers as their families have them: for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import small_families
import small_models

FAMILIES = ("bert", "roberta", "deberta-v2", "distilbert", "mpnet", "modernbert", "xlm-roberta")
LIKE_ROBERTA = ("roberta", "mpnet", "xlm-roberta")
TYPED = ("bert",)
"""Families whose texts of a pair are told apart by token types."""
POSITIONS = 260
SPREAD = 0.3
"""Standard deviation of weights: at transformers' own 0.02 all texts score alike."""


def tokenizer(family: str, corpus: Sequence[str] = ()) -> Any:
    """A byte-level BPE trained on `corpus` that puts pairs together as the family's own tokenizer does."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    roberta = family in LIKE_ROBERTA
    first, between, last = ("<s>", "</s></s>", "</s>") if roberta else ("[CLS]", "[SEP]", "[SEP]")
    made = small_models.tokenizer(corpus=corpus).backend_tokenizer
    made.add_special_tokens([first, last])
    ids = [(token, made.token_to_id(token)) for token in (first, last)]
    gap = f"{last}:0 {last}:0" if between == "</s></s>" else f"{last}:0"
    second = 1 if family in TYPED else 0
    made.post_processor = processors.TemplateProcessing(
        single=f"{first}:0 $A:0 {last}:0",
        pair=f"{first}:0 $A:0 {gap} $B:{second} {last}:{second}",
        special_tokens=ids,
    )
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if family in TYPED else [])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        cls_token=first,
        sep_token=last,
        model_input_names=names,
    )


def save(
    folder: Path, family: str, labels: Sequence[str] = (), corpus: Sequence[str] = (), **fields: Any
) -> Path:
    """A small encoder of a family that scores `labels`, or gives states where there are none, with its
    tokenizer."""
    import torch
    import transformers

    words = tokenizer(family, corpus)
    named = {"id2label": dict(enumerate(labels)), "label2id": {each: n for n, each in enumerate(labels)}}
    config = small_families.config_of(family)
    sized = {"vocab_size": len(words), "max_position_embeddings": POSITIONS, "initializer_range": SPREAD}
    ends = {name: getattr(words, name) for name in ("pad_token_id", "cls_token_id", "sep_token_id")}
    ends |= {"bos_token_id": words.cls_token_id, "eos_token_id": words.sep_token_id}
    ends |= {"pooler_hidden_size": config.hidden_size} if family == "deberta-v2" else {}
    given = {**config.to_dict(), **sized, **ends, **(named if labels else {}), **fields}
    config = type(config).from_dict(given)
    make = transformers.AutoModelForSequenceClassification if labels else transformers.AutoModel
    torch.manual_seed(0)
    make.from_config(config).eval().save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
