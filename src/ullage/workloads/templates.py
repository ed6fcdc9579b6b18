"""Fills the places of a prompt."""

from __future__ import annotations


def fill(template: str, values: dict[str, str]) -> str:
    """`template` with `{name}` replaced by each value, once: braces inside a value stay as they are."""
    found: list[str] = []
    rest = template
    while rest:
        places = {name: rest.find(f"{{{name}}}") for name in values}
        ahead = [(at, name) for name, at in places.items() if at >= 0]
        if not ahead:
            return "".join([*found, rest])
        at, name = min(ahead)
        found += [rest[:at], values[name]]
        rest = rest[at + len(name) + 2 :]
    return "".join(found)
