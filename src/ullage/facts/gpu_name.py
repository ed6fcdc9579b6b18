"""What people call a card, and what drivers do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_DEFAULTS: Final = {
    "a100": "A100-SXM4-80GB",
    "a100-80": "A100-SXM4-80GB",
    "a100-40": "A100-SXM4-40GB",
    "h100": "H100-SXM5-80GB",
    "v100": "V100-SXM2-16GB",
    "v100-32": "V100-SXM2-32GB",
    "a10": "A10",
    "6000ada": "RTX 6000 Ada",
    "h100-pcie": "H100-PCIE-80GB",
    "h100-nvl": "H100-NVL-94GB",
    "h200-nvl": "H200-NVL-141GB",
    "b300-sxm6-ac": "B300-SXM",
    "pro-6000-blackwell-server-edition": "RTX PRO 6000 Blackwell Server",
    "pro-6000-blackwell-workstation-edition": "RTX PRO 6000 Blackwell",
    "gb10": "DGX Spark GB10",
}
"""What a short name means where several cards share it, and names that drivers report."""
_NO_WORDS: Final = re.compile(r"nvidia|geforce|rtx|gtx|tesla|amd|instinct|radeon|apple|generation|[\s_/-]+")
"""What tells no card from another, and stands between what does."""
_LAPTOP: Final = re.compile(r"laptop +gpu\b|mobile\b")
_SIZE: Final = re.compile(r"(\d+) *gi?b?\b")
_KINDS: Final = frozenset({"laptop", "gcd", "gpu"})
"""Words that make another card of one: who leaves them out does not mean it."""


def mig_parts(name: str) -> tuple[str, str] | None:
    """Card and profile of `A100-80GB-MIG-3g.40gb` or `NVIDIA A100-SXM4-80GB MIG 3g.40gb`; None for others."""
    match = re.fullmatch(
        r"(?i)\s*(\S.*?)[\s_/-]*\bmig[\s_-]*(\d)g\.(\d{1,3})gb(?:\+me)?\s*", name.replace("_", " ")
    )
    return None if match is None else (match[1], f"{match[2]}g.{match[3]}gb")


def ids_of(name: str, index: Mapping[str, str]) -> tuple[str, ...]:
    """The ids that `name` may mean: the one it names, else all that have every word of it, a model's number
    among them."""
    key = _key(name)
    exact = index.get(key) or index.get(key.replace("-", ""))
    if exact is not None:
        return (exact,)
    words = set(filter(None, key.split("-")))
    if not any(re.search(r"\d", word) and not re.fullmatch(r"\d{1,3}|sxm\d|\d+x", word) for word in words):
        return ()
    found = [id_ for known, id_ in index.items() if _may_mean(words, set(known.split("-")))]
    return tuple(dict.fromkeys(found))


def _may_mean(words: set[str], known: set[str]) -> bool:
    return words <= known and words & _KINDS == known & _KINDS


def index_of(aliases: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Ids by what tells names of them apart: their own and `aliases`."""
    index: dict[str, str] = {}
    for id_, names in aliases.items():
        for each in (id_, *names):
            key = _key(each)
            index.setdefault(key, id_)
            index.setdefault(key.replace("-", ""), id_)
    return index | _DEFAULTS


def _key(name: str) -> str:
    """Words that tell cards apart: no makers, no `GB`, one separator."""
    text = _LAPTOP.sub("laptop", _NO_WORDS.sub(" ", name.casefold()))
    return "-".join(_SIZE.sub(r" \1", text).split())
