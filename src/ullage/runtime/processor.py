"""What prepares texts with pictures for a model: transformers' processors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ullage.errors import FormatError, UnsupportedError
from ullage.runtime.libraries import find_transformers, in_turn
from ullage.runtime.source import source_of
from ullage.spec.role import Role

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class Processor(Protocol):
    """What is used of one."""

    chat_template: object

    def apply_chat_template(
        self, conversation: list[dict[str, object]], *, tokenize: bool, add_generation_prompt: bool
    ) -> object:
        """The text of a chat, where it is not to be tokenized."""

    def __call__(
        self, *, images: Sequence[Image], text: Sequence[str], return_tensors: str
    ) -> Mapping[str, Tensor]:
        """What the model is given: `input_ids` (texts, tokens), `pixel_values` and what belongs to them."""


@in_turn
def open_processor(role: Role, base: Path | None = None, download: bool = False) -> Processor:
    """The processor in the folder of `role.model`.

    Raises UnsupportedError for a model that takes no pictures, FormatError for a processor that is broken.
    """
    source = source_of(role.model, base, download)
    try:
        found: Processor = find_transformers().AutoProcessor.from_pretrained(
            str(source), local_files_only=not download, trust_remote_code=role.trust_remote_code
        )
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())[:400]
        raise FormatError(f"{role.model}: its processor of pictures cannot be loaded: {text}") from error
    if not hasattr(found, "image_processor"):
        raise UnsupportedError(f"{role.model}: takes no pictures; a role that sees needs a model that does")
    return found
