"""Result files: figures, and what they were measured with, so that anyone can tell whether they still hold.

    made = result_file.start("pii_faults")      # notes date, commit and the hashes of the sources
    made.write(figures, claims)                 # benchmarks/results/pii_faults.json

`sources` holds a hash of each file that the figures vouch for (see attacks.toml), as it was when the
measurement began. A file from before there were hashes says null: its figures stand, and are stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attacks

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("ullage", "torch", "transformers")
DIGITS = 16
"""Hexadecimal digits of SHA-256 that are kept of each source: enough to tell versions of one file apart."""


class DamagedResultError(Exception):
    """A result file that is missing or cannot be read: which one, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result file. What is None was not written down when it was measured."""

    command: str
    date: str | None
    versions: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    cores: int | None
    memory_bytes: int | None
    sources: Mapping[str, str] | None
    claims: Mapping[str, bool]
    figures: dict[str, Any]

    def changed(self, today: Mapping[str, str]) -> list[str] | None:
        """Sources that are not what they were, gone and new ones too; None where no hashes were kept."""
        if self.sources is None:
            return None
        return sorted({name for name, _ in set(self.sources.items()) ^ set(today.items())})


def read(path: Path) -> Result:
    """The result file at `path`. Raises DamagedResultError."""

    def damaged(what: str) -> DamagedResultError:
        again = f"restore it, or measure again: python benchmarks/attack.py {path.stem.split('-')[0]}"
        return DamagedResultError(f"{path.name}: {what}; {again}")

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise damaged("there is no such result file") from None
    except (ValueError, OSError) as error:
        raise damaged(f"not a JSON document ({error})") from None
    if not isinstance(document, dict) or set(document) != set(Result.__slots__):
        found = sorted(document) if isinstance(document, dict) else type(document).__name__
        raise damaged(f"holds {found} instead of {sorted(Result.__slots__)}")
    result = Result(**document)
    for name, kinds in KINDS.items():
        if not isinstance(getattr(result, name), kinds):
            raise damaged(f"{name} is {getattr(result, name)!r}")
    for name, digits in (result.sources or {}).items():
        if not isinstance(digits, str) or len(digits) != DIGITS:
            raise damaged(f"the hash of {name} is {digits!r}")
    if not result.figures:
        raise damaged("it holds no figures")
    return result


KINDS: dict[str, Any] = {
    "command": str,
    "date": str | None,
    "versions": dict,
    "commit": str | None,
    "dirty": bool | None,
    "cores": int | None,
    "memory_bytes": int | None,
    "sources": dict | None,
    "claims": dict,
    "figures": dict,
}


def figures(name: str) -> dict[str, Any]:
    """What `name` measured last. Raises DamagedResultError."""
    return read(RESULTS / f"{name}.json").figures


@dataclass(frozen=True, slots=True)
class Measurement:
    """One that has begun; its sources are hashed as they were then."""

    file: Path
    date: str
    commit: str | None
    dirty: bool | None
    sources: Mapping[str, str]

    def write(self, figures: dict[str, Any], claims: Mapping[str, bool] | None = None) -> Path:
        """Writes and prints the result; `claims` are sentences that must hold, and whether they did.

        Exits with 1 where one did not.
        """
        claims = claims or {}
        result = {
            "command": shlex.join(
                ["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(_said, sys.argv[1:])]
            ),
            "date": self.date,
            "versions": versions(),
            "commit": self.commit,
            "dirty": self.dirty,
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "sources": self.sources,
            "claims": claims,
            "figures": figures,
        }
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        shown = {name: value for name, value in figures.items() if not name.endswith("rows")}
        print(json.dumps(shown, indent=1))
        print(self.file.relative_to(ROOT) if self.file.is_relative_to(ROOT) else self.file)
        if broken := [claim for claim, holds in claims.items() if not holds]:
            sys.exit("does not hold: " + "; ".join(broken))
        return self.file


def start(name: str, card: str = "") -> Measurement:
    """Begins the measurement `name` of attacks.toml, on `card` where it has a result a card."""
    attack = attacks.load()[name]
    file = attack.files.replace("*", card)
    return Measurement(
        RESULTS / file,
        datetime.now(UTC).isoformat(timespec="seconds"),
        *_commit(),
        hashes(attack),
    )


def hashes(attack: attacks.Attack, root: Path = ROOT) -> dict[str, str]:
    """Path and hash of every file `attack` vouches for, as they are now."""
    vouched = [(path, path.stat()) for path in attack.vouched(root)]
    return {
        path.relative_to(root).as_posix(): _hash(path, found.st_mtime_ns, found.st_size)
        for path, found in vouched
    }


@cache
def _hash(path: Path, _changed: int, _bytes: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


def _said(argument: str) -> str:
    """As it was given; a place on this machine as seen from the repository."""
    return os.path.relpath(argument, ROOT) if os.path.isabs(argument) else argument


def versions() -> dict[str, str]:
    """Of Python and of the packages whose version decides what is measured."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> tuple[str | None, bool | None]:
    """The commit, and whether code differs from it; None and None without git.

    A copy of a clean checkout on another machine, which carries no history, names it in ULLAGE_COMMIT.
    """
    if told := os.environ.get("ULLAGE_COMMIT"):
        return told, False

    def git(*arguments: str) -> str:
        asked = ["git", *arguments]
        return subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src", "benchmarks/*.py", "examples", "tests")
        return git("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return None, None
