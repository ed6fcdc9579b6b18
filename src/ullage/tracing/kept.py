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

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.files import check_ordinary, is_nowhere
from ullage.memory.traced import Asked, Traced
from ullage.records.atomic import write_json
from ullage.records.evidence_place import evidence_file

if TYPE_CHECKING:
    from ullage.tracing.trace import Trace

FORMAT: Final = 2
"""Changes whenever a trace means something else than before."""
LARGEST_FILE: Final = 10_000
LIBRARIES: Final = ("ullage", "torch", "transformers")

_known: Final[dict[str, Traced]] = {}


def known_trace(asked: Asked, base: Path | None = None) -> Traced:
    """The trace of what is asked for under these versions: kept, or made now.

    Raises UnsupportedError for what cannot be traced, ImportError where a library is missing.
    """
    from ullage.tracing.built import config_values

    values = config_values(asked.model, base)
    key = _key(asked, values)
    if key in _known:
        return _known[key]
    path = evidence_file().parent / "traces" / f"{key}.json"
    found = None if is_nowhere(path) else _read(path)
    if found is None:
        from ullage.tracing.built import config_from
        from ullage.tracing.passes import trace_config

        found = summed(trace_config(config_from(asked.model, values), asked))
        _keep(path, found)
    _known[key] = found
    return found


def summed(trace: Trace) -> Traced:
    """What memory needs to know of a trace."""
    from ullage.tracing.training import FORWARD

    peak = trace.peak()
    kept = peak.by_stage.get(FORWARD, 0)
    captures = sum(trace.results.values())
    return Traced(peak.bytes, kept, captures, peak.stage, trace.parameters, tuple(trace.components().items()))


def forget_traces() -> None:
    """Those that are held in memory."""
    _known.clear()


def _key(asked: Asked, values: Mapping[str, object]) -> str:
    from importlib.metadata import version

    work = asked.work.but(passes=1.0, examples=0, shard_bytes=0, numpy_files=False, fitting=None)
    said = [FORMAT, [version(each) for each in LIBRARIES], values, asked._replace(model="", work=work)]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    return f"{values.get('model_type')}-{digest[:24]}"


def _keep(path: Path, found: Traced) -> None:
    with suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**found._asdict(), "components": dict(found.components)}, unique=True)


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
        inner = held.inner("components")
        components = tuple((name, inner.whole(name)) for name in inner.values)
        return Traced(live, kept, captures, held.text("stage"), parameters, components)
    except (OSError, ValueError, TypeError, RecursionError, FormatError):
        return None
