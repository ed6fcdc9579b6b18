"""Ullage's optional extras: what each is for, and which of its packages are installed in which version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ullage.facts.health.finding import Finding, note, ok

PURPOSES: Final = {
    "run": "running models",
    "hub": "planning and fetching models of a hub",
    "openai": "roles that a server holds",
    "vllm": "engine vllm",
    "image": "painting, and looking at pictures",
    "memory": "an assistant's notes",
    "serve": "serving roles over HTTP",
    "peft": "adapters",
    "probes": "fitting probes",
    "evaluate": "scores of an evaluation",
    "pii": "calibrating what verifies personal data",
    "detect": "finding personal data",
    "plot": "figures",
    "ray": "runs on a cluster",
    "storage": "reads and writes objects in a store: s3://",
}
"""What each is for; their packages stand in pyproject.toml alone."""
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[\w.-]+)\s*(?:>=\s*(?P<least>[\d.]+))?.*;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]"
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package, its installed version (None: it is not) and the least that is needed ("" any)."""

    name: str
    version: str | None
    least: str

    @property
    def old(self) -> bool:
        """Whether it is installed in too old a version."""
        return self.version is not None and _numbers(self.version) < _numbers(self.least)


@dataclass(frozen=True, slots=True)
class Extra:
    """One extra, and the packages it installs."""

    name: str
    purpose: str
    packages: tuple[Package, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed."""
        return tuple(each.name for each in self.packages if each.version is None)

    @property
    def install(self) -> str:
        return f'pip install "ullage[{self.name}]"'


def read_extras() -> tuple[Extra, ...]:
    """Every extra, from the metadata of the packages alone."""
    from importlib.metadata import requires

    packages: dict[str, list[Package]] = {name: [] for name in PURPOSES}
    for each in requires("ullage") or ():
        found = _REQUIREMENT.match(each)
        if found is not None:
            own = Package(found["name"], version_of(found["name"]), found["least"] or "")
            packages.setdefault(found["extra"], []).append(own)
    return tuple(Extra(name, PURPOSES.get(name, ""), tuple(own)) for name, own in packages.items())


def version_of(package: str) -> str | None:
    """Its installed version, from its metadata; None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def findings_of_extras(extras: tuple[Extra, ...]) -> Iterator[Finding]:
    """What of each is installed, and how to install the rest. Nobody needs all of them."""
    for extra in extras:
        about = f"extra {extra.name}"
        had = ", ".join(f"{each.name} {each.version}" for each in extra.packages if each.version)
        old = [each for each in extra.packages if each.old]
        if extra.missing:
            lacking = ", ".join(extra.missing)
            beside = f"; there is {had}" if had else ""
            yield note(about, f"for {extra.purpose}: {lacking} not installed{beside}", extra.install)
        elif old:
            said = ", ".join(f"{each.name} {each.version} is older than {each.least}" for each in old)
            yield note(about, f"for {extra.purpose}: {said}", f"{extra.install} --upgrade")
        else:
            yield ok(about, f"for {extra.purpose}: {had}")


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers: 2.13.0 of 2.13.0+cpu, and of 2.13.0rc1."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    found = tuple(int(part) for part in release[0].split(".")) if release else ()
    return (*found, *(0,) * (4 - len(found)))
