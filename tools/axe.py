"""Fetches axe-core, by which tests look at pages as people with screen readers meet them, into this Python's
environment: it is never shipped.

    .venv/bin/python tools/axe.py
"""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path
from typing import Final

from scripts import fetched, member

VERSION: Final = "4.14.1"
SHA512: Final = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
PLACE: Final = Path(sys.prefix) / "axe.min.js"


def main() -> None:
    archive = fetched("axe-core", VERSION)
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if digest != SHA512:
        sys.exit(f"axe-core {VERSION}: sha512-{digest} is not what is known of it")
    PLACE.write_bytes(member(archive, "axe.min.js"))
    print(PLACE)


if __name__ == "__main__":
    main()
