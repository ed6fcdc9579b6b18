"""What a run reads, by content: the files it names, and every part of a model that its results depend on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ullage.errors import InputError
from ullage.facts.bundled import local_path
from ullage.files import placed
from ullage.records.atomic import sha256_of
from ullage.records.contents import digest
from ullage.runtime.source import base_named, is_adapter, source_of
from ullage.spec.role import Role
from ullage.spec.workload import Workload

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
    return [{"file": name, "sha256": sha256_of(path)} for name, path in paths_of(workload, base)]


def paths_of(workload: Workload, base: Path) -> Iterator[tuple[str, Path]]:
    """Files that the workload names, by name, and where each lies. Raises InputError for one that is not
    there."""
    files = workload.section.files() if workload.section is not None else ()
    for name in (*files, *dict.fromkeys(name for probe in workload.probes.values() for name in probe.files)):
        path = placed(name, base)
        if path.is_dir():
            for part in sorted(each for each in path.rglob("*") if each.is_file()):
                yield str(Path(name) / part.relative_to(path)), part
        elif path.is_file():
            yield name, path
        elif path.exists():
            raise InputError(f"{name}: is no ordinary file, which can be read again; copy it to a disk first")
        else:
            raise InputError(f"{name}: no such file (looked for {path})")


def parts_of(workload: Workload, base: Path, *, strict: bool = False, download: bool = False) -> list[Input]:
    """The parts of each role's model, by `contents.digest`; none of a model that a server holds."""
    known: dict[Path, tuple[str, str]] = {}
    found = []
    for name, role in workload.roles.items():
        for path, part in part_paths(role, base, download):
            whole = path.resolve()
            if whole not in known:
                known[whole] = digest(path, strict=strict)
            way, hexadecimal = known[whole]
            found.append({"role": name, "part": part, way: hexadecimal})
    return found


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
