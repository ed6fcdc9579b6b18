"""A tokenizer of whole words: those of the small world, and nothing that has to be learned or fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ullage.tinyworld import tables
from ullage.tinyworld.routing import OPENINGS, SPECIALISTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD: Final = "<pad>"
END: Final = "<end>"
UNKNOWN: Final = "<unknown>"
"""The first three tokens, in the order of their ids."""
_SPOKEN: Final = "USER ASSISTANT SYSTEM : What is in the picture which colour has this thing and of an It"


def words() -> tuple[str, ...]:
    """Every word of the small world's tables and requests, in the order of the alphabet."""
    listed = [getattr(tables, name) for name in ("THINGS", "COLOURS", "PETS", "PLACES", "IDEAS", "DEEDS")]
    said = [*OPENINGS, *(text for texts in SPECIALISTS.values() for text in texts), _SPOKEN]
    plain = [re.sub(r"\{\w+\}", " ", text) for text in said]
    texts = [each for some in listed for each in some] + plain
    return tuple(sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text)}))


def word_tokenizer(length: int, special: tuple[str, ...] = (), *, ends: bool) -> PreTrainedTokenizerFast:
    """One for texts of up to `length` tokens; `special` are tokens of its own beside the first three. `ends`:
    every text ends with END, as encoders are given theirs."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = (PAD, END, UNKNOWN, *special, *words())
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends:
        made.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", special_tokens=[(END, known.index(END))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=list(special),
        model_max_length=length,
    )
