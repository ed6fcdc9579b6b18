"""What a run reads, by content: the files it names, and every part of a model that its results depend on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Final

from ullage.copies import fetch
from ullage.errors import InputError
from ullage.facts.bundled import local_path
from ullage.facts.stored_model import stats_of
from ullage.files import placed
from ullage.records.atomic import sha256_of
from ullage.records.contents import digest
from ullage.runtime.source import base_named, is_adapter, source_of
from ullage.spec.role import Role
from ullage.spec.workload import Workload
from ullage.store import Store, mark_of
from ullage.urls import is_url
from ullage.workloads.kind import MADE
from ullage.workloads.registry import find_kind

Input = dict[str, str]
"""A file (`file`, `sha256`), or a role's part (`role`, `part`, and its digest by how that was taken)."""

PARTS: Final = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "*_config.json",  # generation, tokenizer, adapter
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "additional_chat_templates/*",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "tekken.json",
)
"""Of a model's folder: weights and adapters, tokenizer, chat templates, generation config."""


def files_of(workload: Workload, base: Path) -> list[Input]:
    """Files that the workload names, with their SHA-256. Raises InputError for one that is not there."""
    fetch_files(workload)
    return [{"file": name, "sha256": sha256_of(path)} for name, path in paths_of(workload, base)]


def require_files(workload: Workload, base: Path) -> None:
    """Raises InputError for a file that the workload names and is not there."""
    for _ in paths_of(workload, base):
        pass


def paths_of(workload: Workload, base: Path) -> Iterator[tuple[str, Path]]:
    """Files that the workload names, by name, and where each lies. Raises InputError for one that is not
    there."""
    for name in _named(workload):
        path = placed(name, base)
        if path.is_dir():
            for part in sorted(each for each in path.rglob("*") if each.is_file()):
                yield str(Path(name) / part.relative_to(path)), part
        elif path.is_file():
            yield name, path
        elif path.exists():
            raise InputError(f"{name}: is no ordinary file, which can be read again; copy it to a disk first")
        else:
            raise InputError(f"{name}: no such file (looked for {path}){_made_by(workload.kind, path)}")


def _made_by(kind: str, path: Path) -> str:
    """The command that makes a file of a demonstration; empty for what is none."""
    parts = Path(os.path.normpath(path)).parts
    if MADE not in parts or not find_kind(kind).demo:
        return ""
    folder = quote(str(Path(*parts[: parts.index(MADE)])))
    return f"; `ullage demo {kind} --out {folder}` makes it, and goes on to run the example"


def fetch_files(workload: Workload) -> None:
    """Sees that what the workload names in a store is here, as it is now. Raises InputError."""
    for name in filter(is_url, _named(workload)):
        fetch(name)


def check_fetched(workload: Workload, inputs: Sequence[Mapping[str, str]]) -> None:
    """Fetches what lies in a store. Raises InputError where it is not what a run's manifest says that it was
    begun with."""
    fetch_files(workload)
    for entry in inputs:
        name = entry.get("file", "")
        if is_url(name) and sha256_of(placed(name, Path())) != entry["sha256"]:
            raise InputError(f"{name}: was replaced since this run began; start a new run")
    for name, role in workload.roles.items():
        before = [dict(entry) for entry in inputs if entry.get("role") == name]
        if is_url(role.model) and before != list(_parts_in_store(name, role)):
            raise InputError(f"{role.model}: was replaced since this run began; start a new run")


def urls_of(workload: Workload) -> Iterator[str]:
    """What the workload names in a store: inputs, models, and where partitions lie."""
    partition = workload.partition
    stores = () if partition is None or partition.store is None else (partition.store,)
    models = (role.model for role in workload.roles.values())
    return filter(is_url, (*_named(workload), *models, *stores))


def _named(workload: Workload) -> tuple[str, ...]:
    files = workload.section.files() if workload.section is not None else ()
    return (*files, *dict.fromkeys(name for probe in workload.probes.values() for name in probe.files))


def parts_of(workload: Workload, base: Path, *, strict: bool = False, download: bool = False) -> list[Input]:
    """The parts of each role's model, by `contents.digest`; none of a model that a server holds."""
    known: dict[Path, tuple[str, str]] = {}
    found: list[Input] = []
    for name, role in workload.roles.items():
        if is_url(role.model):
            found.extend(_parts_in_store(name, role))
            continue
        for path, part in part_paths(role, base, download):
            whole = path.resolve()
            if whole not in known:
                known[whole] = digest(path, strict=strict)
            way, hexadecimal = known[whole]
            found.append({"role": name, "part": part, way: hexadecimal})
    return found


def _parts_in_store(name: str, role: Role) -> Iterator[Input]:
    """Its objects by their ETags: each changes with what it is of."""
    stats = {"": Store(role.model).stat()} if role.model.endswith(".gguf") else stats_of(role.model)
    for key, stat in sorted(stats.items()):
        part = key or role.model.rpartition("/")[2]
        yield {"role": name, "part": part, "etag": mark_of(f"{stat.tag} {stat.size}")}


def part_paths(role: Role, base: Path, download: bool) -> Iterator[tuple[Path, str]]:
    """Each part's path, and its name within the model; of an adapter those of its base too."""
    path = local_path(role.model, base)
    if not path.exists():
        path = _snapshot(role, base, download)
    yield from _parts_of_model(role, base, download)
    if path != Path() and is_adapter(path):
        under = role.model_copy(update={"model": base_named(path)})
        for part, name in _parts_of_model(under, base, download):
            yield part, f"base/{name}"


def _parts_of_model(role: Role, base: Path, download: bool) -> Iterator[tuple[Path, str]]:
    path = local_path(role.model, base)
    if path.is_file():
        yield path, path.name
        path = path.parent if path.suffix == ".gguf" else Path()
        patterns = [pattern for pattern in PARTS if not pattern.startswith("*.safetensors")]
    else:
        patterns = [*PARTS, *(("*.py",) if role.trust_remote_code else ())]
        if not path.is_dir():
            path = _snapshot(role, base, download)
    if path != Path():
        there = {each for pattern in patterns for each in path.glob(pattern) if each.is_file()}
        for each in sorted(there):
            yield each, each.relative_to(path).as_posix()


def _snapshot(role: Role, base: Path, download: bool) -> Path:
    """The folder of a hub model; none where it is not here: what loads it says so."""
    if not role.runs_with.local:
        return Path()
    try:
        return source_of(role.model, base, download)
    except InputError:
        return Path()
