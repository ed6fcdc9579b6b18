"""A model's tokenizer: there, not there, or broken. One is never taken for another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, overload

from ullage.errors import FormatError, InputError, UnsupportedError
from ullage.facts.gguf import has_tokenizer
from ullage.files import read_text
from ullage.runtime.libraries import find_transformers
from ullage.spec.role import Role

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_FILE: Final = 512 * 2**20
"""Bytes of a tokenizer's file; the largest known have some 40 million."""
MOST_GROWTH: Final = 1000
"""Times; of known tokenizers no part reaches ten."""
FILES: Final = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
)
"""What tokenizers are kept in; a folder with none of them has no tokenizer."""


class Encoded(Protocol):
    """A text as a tokenizer gives it: one entry a token."""

    def __getitem__(self, name: Literal["input_ids"], /) -> Sequence[int]: ...


class EncodedTexts(Protocol):
    """Several texts as a tokenizer gives them: one entry a text."""

    @overload
    def __getitem__(
        self, name: Literal["input_ids", "special_tokens_mask"], /
    ) -> Sequence[Sequence[int]]: ...

    @overload
    def __getitem__(self, name: Literal["offset_mapping"], /) -> Sequence[Sequence[tuple[int, int]]]: ...


class AddedToken(Protocol):
    """A token beside those a vocabulary was made with."""

    @property
    def special(self) -> bool:
        """Whether it is no text."""


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: object

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a text, where there is one."""

    @property
    def pad_token_id(self) -> int | None:
        """The token that fills up shorter texts, where there is one."""

    @property
    def is_fast(self) -> bool:
        """Whether it knows which characters a token stands for."""

    @property
    def all_special_tokens(self) -> list[str]:
        """The texts of its special tokens."""

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of those it has a name for."""

    @property
    def added_tokens_decoder(self) -> Mapping[int, AddedToken]:
        """Every added token by its id."""

    def get_vocab(self) -> dict[str, int]:
        """Every token as the vocabulary writes it, with its id."""

    @overload
    def __call__(self, text: str, *, add_special_tokens: bool = True) -> Encoded:
        """The text's tokens."""

    @overload
    def __call__(
        self,
        text: list[str],
        *,
        add_special_tokens: bool = True,
        return_offsets_mapping: bool = False,
        return_special_tokens_mask: bool = False,
    ) -> EncodedTexts:
        """The tokens of several texts."""

    @overload
    def __call__(self, text: list[str], text_pair: list[str], /) -> EncodedTexts:
        """The tokens of pairs of texts, each pair's together."""

    @overload
    def __call__(
        self,
        text: list[str],
        text_pair: list[str] | None,
        /,
        *,
        padding: bool,
        padding_side: str,
        return_tensors: Literal["pt"],
    ) -> Mapping[str, Tensor]:
        """Texts, or pairs of them, as a model takes them, all as long as the longest."""

    def apply_chat_template(
        self, conversation: list[dict[str, object]], *, tokenize: bool, add_generation_prompt: bool
    ) -> object:
        """The text of a chat, where it is not to be tokenized."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str | list[str]:
        """The text of some tokens."""

    def convert_ids_to_tokens(self, ids: int | list[int]) -> str | list[str]:
        """Each id's own name."""


def open_tokenizer(source: Path, role: Role, download: bool) -> Tokenizer | None:
    """The tokenizer in a model's folder or GGUF file, None where there is none.

    Raises UnsupportedError for one that needs code from its repository, FormatError for a broken one.
    """
    gguf = source.suffix == ".gguf"
    folder = source.parent if gguf else source
    there = [source] if gguf else _files(folder)
    if not there or (gguf and not has_tokenizer(source)):
        return None
    options = {"gguf_file": source.name} if gguf else {}
    try:
        found: Tokenizer = find_transformers().AutoTokenizer.from_pretrained(
            str(folder), local_files_only=not download, trust_remote_code=role.trust_remote_code, **options
        )
    except MemoryError:
        raise
    except Exception as error:  # the tokenizers library raises Exception itself
        raise _cannot_open(role, there, error) from error
    _check_growth(found, there[0])
    return found


def _check_growth(tokenizer: Tokenizer, path: Path) -> None:
    """Raises FormatError for a tokenizer that makes far more of a text than there was."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for name in ("normalizer", "decoder", "post_processor"):
        part = getattr(backend, name, None)
        if part is not None and (growth := _growth(json.loads(part.__getstate__()))) > MOST_GROWTH:
            raise FormatError(
                f"{path}: the tokenizer's {name} makes up to {growth:,} times as much of a text; that is no "
                "tokenizer of a model"
            )


def _growth(part: Mapping[str, Any]) -> int:
    """How many times as long a part of a tokenizer may make a text, at most; parts in a row multiply."""
    growth = 1
    for inner in part.get("normalizers") or part.get("decoders") or part.get("processors") or ():
        growth *= _growth(inner)
    if part["type"] == "Replace":
        replaced = part["pattern"].get("String")
        growth *= -(-len(part["content"]) // len(replaced)) if replaced else 1 + len(part["content"])
    elif part["type"] == "Prepend":
        growth += len(part["prepend"])
    elif part["type"] == "TemplateProcessing":
        growth += sum(len(one["ids"]) for one in part["special_tokens"].values()) * len(part["single"])
    return max(growth, 1)


def _files(folder: Path) -> list[Path]:
    found = [folder / name for name in FILES if (folder / name).exists()]
    return found + sorted(folder.glob("*.tiktoken"))


def _cannot_open(role: Role, there: Sequence[Path], error: Exception) -> InputError:
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return UnsupportedError(
            f"{role.model}: its tokenizer needs code from its own repository; if you trust that code, set "
            "trust_remote_code: true for the role"
        )
    path, reason = next(((path, wrong) for path in there if (wrong := _not_json(path))), (there[0], text))
    shown = reason if len(reason) < 400 else reason[:400] + "..."
    return FormatError(f"{path}: the tokenizer of {role.model} cannot be loaded: {shown}")


def _not_json(path: Path) -> str:
    """Why a .json file is none; "" where it is, or is another kind of file."""
    if path.suffix != ".json":
        return ""
    try:
        json.loads(read_text(path, LARGEST_FILE))
    except (OSError, ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return ""


def special_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of special tokens: those that `decode` leaves out with `skip_special_tokens`."""
    added = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(added.union(tokenizer.all_special_ids))


def check_ids(ids: Sequence[int], rows: int, tokenizer: Tokenizer, where: str) -> None:
    """Raises FormatError for a token the model has no embedding of: its tokenizer is another model's."""
    wrong = next((one for one in ids if one >= rows), None)
    if wrong is not None:
        raise FormatError(
            f"{where}: the tokenizer writes {tokenizer.convert_ids_to_tokens(wrong)!r} as id {wrong:,}, and "
            f"the model has {rows:,} embeddings; give it the tokenizer it was trained with"
        )
