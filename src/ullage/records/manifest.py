"""What a run was to do, written down before it began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ullage.documents import document
from ullage.fields import Fields
from ullage.records.record import Environment, read_environment


@dataclass(frozen=True, slots=True)
class Manifest:
    """A run's plan and what it depends on.

    `plan` is the plan's document, and `base` the folder its paths are relative to, itself relative to the
    run's folder (or to the user's home, as ~/data; "" where it could not be told without naming the user);
    `inputs` are the files and the parts of models that are read, with their SHA-256 (`contents.digest`);
    `environment` is where the run began.
    """

    base: str
    inputs: tuple[Mapping[str, str], ...]
    environment: Environment
    plan: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """The document of the run, as manifest.json holds it."""
        return document("run", Manifest, self)


def read_manifest(document: Mapping[str, object], where: str) -> Manifest:
    """The manifest in a JSON document; `where` names it in messages. Raises FormatError where it is none."""
    found = Fields(document, f"{where}: not the manifest of a run")
    return Manifest(
        found.text("base"),
        tuple(each.texts() for each in found.each("inputs")),
        read_environment(found.inner("environment")),
        found.inner("plan").values,
    )
