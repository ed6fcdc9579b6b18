"""What the patterns of a capture's sites may mean, known without a model."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

EVERY: Final = "*"
"""Every site of a model that its family's proof holds."""
PATTERNS: Final = "attn.hook_pattern"


def hook_of(pattern: str) -> str:
    """The part of a pattern that names a hook of layers, as a pattern; "" where it names none."""
    if pattern.startswith("blocks."):
        return pattern.split(".", 2)[2] if pattern.count(".") > 1 else ""
    if not pattern.startswith("*"):
        return ""
    hook = pattern.removeprefix("*").lstrip(".")
    return hook if hook.startswith("*") else "*" + hook


def names_patterns(sites: Iterable[str]) -> bool:
    """Whether attention patterns are among what they may match."""
    return any(fnmatchcase(PATTERNS, hook_of(site)) for site in sites)
