"""What players are called."""

from __future__ import annotations

from typing import Final

NAMES: Final = (
    *("Berta", "Bruno", "Cora", "Carl", "Dina", "David", "Elsa", "Emil"),
    *("Fanny", "Felix", "Greta", "Georg", "Hilda", "Henrik", "Irma", "Ivan"),
)
"""Names the bundled model knows too. None is a part of another, or another word of English."""
