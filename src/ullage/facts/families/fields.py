"""The fields of one config, checked one by one as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.errors import FormatError

LARGEST_SIZE: Final = 2**31
LARGEST_DEPTH: Final = 10_000


class Fields:
    """Typed access to a config whose class defaults fill what it omits.

    Every name tried first in the file, then in the defaults; several names are synonyms. Raises
    FormatError that names the field.
    """

    def __init__(self, given: Mapping[str, object], defaults: Mapping[str, object], model: str) -> None:
        self.given = given
        self._defaults = defaults
        self.model = model
        self.asked: set[str] = set()

    def has_default(self, name: str) -> bool:
        return name in self._defaults

    def raw(self, *names: str) -> object:
        """The first value that is not null, or None. A null in the file outweighs a default."""
        self.asked.update(names)
        for source in (self.given, self._defaults):
            held = [source[name] for name in names if name in source]
            if held:
                return next((value for value in held if value is not None), None)
        return None

    def optional(self, *names: str) -> int | None:
        value = self.raw(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(names[0], value, "a whole number")
        if not 0 <= value <= LARGEST_SIZE:
            raise self.wrong(names[0], value, f"between 0 and {LARGEST_SIZE}")
        return value

    def size(self, *names: str) -> int:
        """A whole number of at least 1."""
        value = self.optional(*names)
        if value is None:
            raise FormatError(f"{self.model}: the config lacks {names[0]}")
        if value == 0:
            raise self.wrong(names[0], value, "at least 1")
        return value

    def level(self, *names: str) -> int:
        """A whole number of at least 1, or a list with that number alone."""
        listed = self.raw(*names)
        if isinstance(listed, list):
            found = self.numbers(*names) or ()
            if len(set(found)) != 1 or not found[0]:
                raise self.wrong(names[0], listed, "one number throughout, at least 1")
            return found[0]
        return self.size(*names)

    def count(self, *names: str) -> int:
        """A whole number, 0 where it is missing."""
        return self.optional(*names) or 0

    def width(self) -> int:
        """Elements of the stream, by any of its names; where a file has Bloom's older one, by that."""
        if "n_embed" in self.given:
            return self.size("n_embed")
        return self.size("hidden_size", "n_embd", "d_model", "dim")

    def heads(self) -> int:
        """Query heads of a layer."""
        return self.size("num_attention_heads", "n_head", "num_heads", "attention_heads", "n_heads")

    def kv_heads(self, name: str = "num_key_value_heads") -> int | None:
        """Key-value heads of a layer, at least 1; None where the file does not say. transformers 5.19 divides
        by them, and builds no model that has none."""
        found = self.optional(name)
        if found == 0:
            raise self.wrong(name, found, "at least 1")
        return found

    def positions(self) -> int | None:
        """Positions that the model has room for; None where there is no such bound."""
        return self.optional("max_position_embeddings", "n_positions", "max_seq_len")

    def depth(self) -> int:
        layers = self.size("num_hidden_layers", "n_layer", "num_layers", "n_layers")
        if layers > LARGEST_DEPTH:
            raise self.wrong("num_hidden_layers", layers, f"at most {LARGEST_DEPTH}")
        return layers

    def flag(self, *names: str) -> bool:
        value = self.raw(*names)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.wrong(names[0], value, "true or false")
        return value

    def names(self, *names: str) -> tuple[str, ...] | None:
        """A list of strings, one per layer or kind."""
        value = self.raw(*names)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(names[0], value, "a list of names")
        return tuple(value)

    def numbers(self, *names: str) -> tuple[int, ...] | None:
        value = self.raw(*names)
        if value is None:
            return None
        if not isinstance(value, list) or not all(
            isinstance(item, int) and 0 <= item <= LARGEST_SIZE for item in value
        ):
            raise self.wrong(names[0], value, "a list of whole numbers")
        return tuple(value)

    def wrong(self, name: str, value: object, wanted: str) -> FormatError:
        shown = repr(value)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        return FormatError(f"{self.model}: {name} is {shown}; it must be {wanted}")
