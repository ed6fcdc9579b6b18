"""What a row of a family leaves to the config: names of its fields, and flags."""

# Annotations are not postponed: NamedTuple would compile every one of them at each start.

from typing import NamedTuple

from ullage.facts.families.fields import Fields

Names = tuple[str, ...]
"""Fields of a config that are synonyms."""


class Unless(NamedTuple):
    """True unless the config says false in `field`."""

    field: str


Switch = bool | str | Names | Unless
"""Fixed, or the config's own flag, which is false where it is missing."""


def holds(switch: Switch, fields: Fields) -> bool:
    """What a switch says of one config."""
    if isinstance(switch, bool):
        return switch
    if isinstance(switch, Unless):
        return fields.raw(switch.field) is not False
    return fields.flag(*((switch,) if isinstance(switch, str) else switch))
