"""Traces, made once for each config, pass and version of the libraries, and kept beside the proofs of sites.

What is there is read without trust: what is no trace is made anew. A home that cannot be written costs no
plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.bundled import local_path
from ullage.facts.catalog import config_of
from ullage.facts.config import parse_config
from ullage.facts.model import folder_of
from ullage.fields import Fields
from ullage.files import check_ordinary, is_nowhere
from ullage.memory.traced import Asked, Traced
from ullage.records.atomic import write_json
from ullage.records.evidence_place import evidence_file

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

FORMAT: Final = 1
"""Changes whenever a trace means something else than before."""
LARGEST_FILE: Final = 10_000
LIBRARIES: Final = ("ullage", "torch", "transformers")

_known: Final[dict[str, Traced]] = {}


def known_trace(asked: Asked, base: Path | None = None) -> Traced:
    """The trace of what is asked for under these versions: kept, or made now.

    Raises UnsupportedError for what cannot be traced, ImportError where a library is missing.
    """
    values = _config_values(asked.model, base)
    key = _key(asked, values)
    if key in _known:
        return _known[key]
    path = evidence_file().parent / "traces" / f"{key}.json"
    found = None if is_nowhere(path) else _read(path)
    if found is None:
        from ullage.tracing.backward import trace_backward

        found = trace_backward(_config(asked.model, values), asked)
        _keep(path, found)
    _known[key] = found
    return found


def forget_traces() -> None:
    """Those that are held in memory."""
    _known.clear()


def _config_values(name: str, base: Path | None) -> Mapping[str, object]:
    """What the config.json of a model says. Raises UnsupportedError for a GGUF file, which has none."""
    path = local_path(name, base)
    if path.suffix == ".gguf" or name.endswith(".gguf"):
        raise UnsupportedError(
            f"{name}: what a backward pass takes is traced of a config.json, which a GGUF file has not"
        )
    if path.is_file():
        return parse_config(path)
    folder = folder_of(name, base)
    return config_of(name) if folder is None else parse_config(folder / "config.json")


def _config(name: str, values: Mapping[str, object]) -> PreTrainedConfig:
    from ullage.runtime.libraries import find_transformers

    known = find_transformers().CONFIG_MAPPING
    try:
        kind: type[PreTrainedConfig] = known[values["model_type"]]
        return kind.from_dict(dict(values))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        raise UnsupportedError(
            f"{name}: what a backward pass takes cannot be traced: transformers reads no such config: {said}"
        ) from error


def _key(asked: Asked, values: Mapping[str, object]) -> str:
    from importlib.metadata import version

    captures = [capture.model_dump(mode="json") for capture in asked.captures]
    said = [
        FORMAT,
        [version(each) for each in LIBRARIES],
        values,
        captures,
        asked._replace(model="", captures=()),
    ]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    return f"{values.get('model_type')}-{digest[:24]}"


def _keep(path: Path, found: Traced) -> None:
    with suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found._asdict(), unique=True)


def _read(path: Path) -> Traced | None:
    """The trace that lies there; None where none does that can be read."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        check_ordinary(path)
        held = Fields(json.loads(path.read_text(encoding="utf-8")), "a trace")
        live, kept, captures, parameters = (
            held.whole(name) for name in ("live", "kept", "captures", "parameters")
        )
        return Traced(live, kept, captures, held.text("stage"), parameters)
    except (OSError, ValueError, TypeError, RecursionError, FormatError):
        return None
