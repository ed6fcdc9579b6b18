"""What `Extractor` is given to read, as lists of token ids: texts, ids, or what a tokenizer made of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard, cast, runtime_checkable

from ullage.errors import InputError
from ullage.runtime.tokenizer import Tokenizer, check_ids

if TYPE_CHECKING:
    from torch import Tensor

TokenIds = Sequence[int]
MOST_SHOWN: Final = 40


@runtime_checkable
class Array(Protocol):
    """A tensor of torch or an array of numpy."""

    @property
    def ndim(self) -> int:
        """How many axes it has."""

    def tolist(self) -> object:
        """Its numbers, in lists within lists."""


Inputs = Sequence["TokenIds | str | Tensor"] | Mapping[str, object] | Array
"""Several texts or sequences of ids; or what a tokenizer gives: `input_ids` with an `attention_mask`, or the
ids alone, (tokens,) of one sequence or (sequences, tokens) of several."""


def token_ids(inputs: Inputs, tokenizer: Tokenizer | None, rows: int | None) -> list[TokenIds]:
    """The ids of each input; what an attention mask leaves out is padding, and not read.

    `rows` is how many ids there are embeddings of, None where that is not known. Raises InputError naming the
    input for what cannot be read.
    """
    found: list[TokenIds] = []
    for place, one in enumerate(_each(inputs)):
        where = f"inputs[{place}]"
        ids = _of_text(one, tokenizer, where) if isinstance(one, str) else _checked(one, rows, where)
        if isinstance(one, str) and rows is not None and tokenizer is not None:
            check_ids(ids, rows, tokenizer, where)
        if len(ids) == 0:
            raise InputError(f"{where} has no tokens")
        found.append(ids)
    if not found:
        raise InputError(_WANTED)
    return found


_WANTED: Final = "inputs: give a list of texts or of lists of token ids, at least one"


def _each(inputs: object) -> Iterator[object]:
    """Every sequence, as a text or something that may be a list of ids."""
    if isinstance(inputs, Mapping):
        yield from _unmasked(inputs, "inputs")
    elif isinstance(inputs, Array):
        rows = _rows(inputs, "inputs")
        yield from rows[0] if _texts(rows[0]) else rows
    elif isinstance(inputs, str) or not isinstance(inputs, Sequence):
        raise InputError(_WANTED)
    elif inputs and all(_is_id(one) for one in inputs):
        yield inputs
    else:
        for place, one in enumerate(inputs):
            yield _one(one, f"inputs[{place}]")


def _one(given: object, where: str) -> object:
    """One sequence among several, which a tokenizer gives as a batch of one."""
    if isinstance(given, Mapping):
        rows = _unmasked(given, where)
    elif isinstance(given, Array):
        rows = _rows(given, where)
    else:
        return given
    if len(rows) != 1:
        raise InputError(f"{where}: holds {len(rows)} sequences; give each by itself, or the batch alone")
    return rows[0]


def _unmasked(batch: Mapping[str, object], where: str) -> list[object]:
    """The sequences of a tokenizer's answer without their padding."""
    if "input_ids" not in batch:
        have = ", ".join(map(str, list(batch)[:8])) or "nothing"
        raise InputError(f"{where}: has no input_ids (it has: {have}); give what a tokenizer gives")
    rows = _rows(batch["input_ids"], f"{where}: input_ids")
    given = batch.get("attention_mask")
    if given is None:
        return rows
    masks = _rows(given, f"{where}: attention_mask")
    if [_length(mask) for mask in masks] != [_length(row) for row in rows]:
        raise InputError(f"{where}: attention_mask: is not of the shape of input_ids")
    return [_kept(row, mask, where) for row, mask in zip(rows, masks, strict=True)]


def _kept(row: object, mask: object, where: str) -> list[object]:
    """The ids of one row that its mask leaves, which must stand together: positions count from the first."""
    ids, ones = cast("list[object]", row), cast("list[object]", mask)
    places = [place for place, one in enumerate(ones) if one == 1]
    if any(one not in (0, 1) for one in ones) or (places and places[-1] - places[0] + 1 != len(places)):
        raise InputError(f"{where}: attention_mask: is not ones in a row with zeros beside them")
    return [ids[place] for place in places]


def _rows(value: object, where: str) -> list[object]:
    """The rows of an array or of lists; a single row where there is one axis."""
    if isinstance(value, Array) and value.ndim not in (1, 2):
        raise InputError(f"{where}: has {value.ndim} axes; give (tokens,) or (sequences, tokens)")
    numbers = value.tolist() if isinstance(value, Array) else value
    if not isinstance(numbers, Sequence) or isinstance(numbers, str):
        raise InputError(f"{where}: is no list of token ids")
    several = (
        len(numbers) > 0 and isinstance(numbers[0], Sequence | Array) and not isinstance(numbers[0], str)
    )
    return list(numbers) if several else [numbers]


def _length(row: object) -> int:
    return len(row) if isinstance(row, Sequence) else -1


def _texts(row: object) -> TypeGuard[Sequence[str]]:
    """Whether it is a column of texts, as arrays of other libraries are."""
    return isinstance(row, list) and len(row) > 0 and isinstance(row[0], str)


def _is_id(value: object) -> bool:
    if type(value) is int:
        return True
    single = not isinstance(value, Array) or value.ndim == 0
    return single and hasattr(value, "__index__") and not isinstance(value, bool | Sequence)


def _checked(given: object, rows: int | None, where: str) -> TokenIds:
    if not isinstance(given, Sequence):
        raise InputError(f"{where}: is neither text nor a list of token ids")
    wrong = next((each for each in given if not _is_id(each)), None)
    if wrong is not None:
        raise InputError(f"{where}: {repr(wrong)[:MOST_SHOWN]} is no token id, which is a whole number")
    ids = [index(each) for each in given]
    least, largest = min(ids, default=0), max(ids, default=0)
    if least < 0 or (rows is not None and largest >= rows):
        outside = least if least < 0 else largest
        of = "" if rows is None else f" of {rows:,}"
        raise InputError(f"{where}: {outside} is not in the vocabulary{of}")
    return ids


def _of_text(text: str, tokenizer: Tokenizer | None, where: str) -> TokenIds:
    if tokenizer is None:
        raise InputError(f"{where} is text; give Extractor(..., tokenizer=) to read it")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{where}: holds half of a surrogate pair, which no text has")
    return tokenizer(text)["input_ids"]
