"""What attacks.toml holds: each measurement's script, result file and the sources it vouches for."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
REGISTRY = HERE / "attacks.toml"
TIERS = ("attack", "bench")
LEFT_OUT = {"__pycache__"}


class RegistryError(Exception):
    """attacks.toml says something that cannot be: where, and what."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One script of this folder, and what its result stands for."""

    name: str
    tier: str
    about: str
    minutes: float
    sources: tuple[str, ...]
    files: str
    arguments: tuple[str, ...] = ()
    needs: str = ""

    @property
    def script(self) -> Path:
        return HERE / f"{self.name}.py"

    def results(self, folder: Path) -> list[Path]:
        """Its result files in `folder`; one that must be there is named even if it is not."""
        return sorted(folder.glob(self.files)) if "*" in self.files else [folder / self.files]

    def vouched(self, root: Path = ROOT) -> list[Path]:
        """The files the result vouches for, its own script first. Raises RegistryError."""
        found = dict.fromkeys([self.script])
        for pattern in self.sources:
            if not (matched := _files(root, pattern)):
                raise RegistryError(f"attacks.toml: {self.name}: no file is {pattern!r}")
            found.update(dict.fromkeys(matched))
        return list(found)


def load(registry: Path = REGISTRY) -> dict[str, Attack]:
    """Every measurement by its name. Raises RegistryError."""
    document = tomllib.loads(registry.read_text(encoding="utf-8"))
    groups = document.pop("groups", {})
    found = {}
    for name, table in document.items():
        if table.get("tier") not in TIERS:
            raise RegistryError(f"{registry.name}: {name}: tier is one of {', '.join(TIERS)}")
        sources = [part for one in table["sources"] for part in (groups[one[1:]] if one[0] == "@" else [one])]
        lists = {"sources": tuple(sources), "arguments": tuple(table.get("arguments", ()))}
        found[name] = Attack(name, **{"files": f"{name}.json", **table, **lists})
    return found


@cache
def _files(root: Path, pattern: str) -> tuple[Path, ...]:
    """Those there are when a process first asks."""
    return tuple(
        each
        for path in sorted(root.glob(pattern))
        for each in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if each.is_file() and not LEFT_OUT & set(each.parts)
    )
