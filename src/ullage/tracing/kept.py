"""Traces and counts, made once for each config, pass and version, and kept beside the proofs of sites.

What is there is read without trust: what is damaged is made anew. A home that cannot be written costs no
plan. What is kept is found without torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.facts.counted import Counted, described
from ullage.files import check_ordinary, is_nowhere, read_bytes
from ullage.memory.traced import Asked, Traced
from ullage.records.atomic import write_json
from ullage.records.evidence_place import evidence_file
from ullage.tracing.configs import config_values
from ullage.tracing.patience import told

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from ullage.tracing.trace import Trace

FORMAT: Final = 3
"""Changes whenever a trace means something else than before."""
LARGEST_FILE: Final = 4_000_000
LIBRARIES: Final = ("ullage", "torch", "transformers")
THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What says on how many threads a processor computes, each of which holds blocks of its own."""


class Refused(NamedTuple):
    """Why there is no trace."""

    why: str


Found = TypeVar("Found", Traced, Counted, Refused)

_known: Final[dict[str, Traced | Counted | Refused]] = {}


def known_trace(asked: Asked, base: Path | None = None) -> Traced:
    """The trace of what is asked for under these versions: kept, or made now. That there is none is kept too,
    but where another day may say otherwise.

    Raises UnsupportedError for what cannot be traced, ImportError where a library is missing.
    """
    values = config_values(asked.model, base)
    work = asked.work.but(passes=1.0, examples=0, shard_bytes=0, numpy_files=False, fitting=None)
    threads = [os.cpu_count(), *map(os.environ.get, THREADS)] if asked.processor else []
    key = _key("trace", values, asked._replace(model="", work=work), threads)
    found = _held(key, Traced)
    if found is not None:
        return found
    of_this_name = _key("refused", values, asked._replace(work=work), threads)
    if (refused := _held(of_this_name, Refused)) is not None:
        raise UnsupportedError(refused.why)
    from ullage.tracing.built import config_from
    from ullage.tracing.passes import PassingError, trace_config

    what = f"{work.activity} of {work.batch} x {work.prompt_tokens:,} tokens"
    try:
        with told(f"{asked.model}: tracing {what} by its own code"):
            return _keep(key, _whole(trace_config(config_from(asked.model, values), asked), asked))
    except PassingError:
        raise
    except UnsupportedError as error:
        _keep(of_this_name, Refused(str(error)))
        raise


def known_count(config: Mapping[str, object], name: str, source: str) -> Architecture:
    """The weights of a model of `config` under these versions: kept, or counted now.

    Raises UnsupportedError where transformers builds none, ImportError where a library is missing.
    """
    key = _key("count", config)
    found = _held(key, Counted)
    if found is None:
        from ullage.tracing.counted import counted

        with told(f"{name}: counting its weights by its own code"):
            found = _keep(key, counted(config, name))
    return described(found, config, name, source)


def summed(trace: Trace) -> Traced:
    """What memory needs to know of a trace, but block by block."""
    from ullage.tracing.training import FORWARD

    peak = trace.peak()
    kept = peak.by_stage.get(FORWARD, 0)
    captures = sum(trace.results.values())
    return Traced(peak.bytes, kept, captures, peak.stage, trace.parameters, tuple(trace.components().items()))


def _whole(trace: Trace, asked: Asked) -> Traced:
    """The same; of a forward pass block by block, and on a card as it was replayed."""
    from ullage.tracing.blocks import blocks_of
    from ullage.tracing.training import SPANS

    trace = replace(trace, stages=SPANS.get(asked.work.activity, trace.stages))
    found = summed(trace)
    if asked.work.activity == "backward":
        return found
    unused = 0 if asked.processor else _unused(trace, asked.work.expandable_segments, found.live)
    widest = max((event.bytes for event in trace.events), default=0)
    blocks = () if asked.work.activity in SPANS else blocks_of(trace)
    return found._replace(blocks=blocks, unused=unused, widest=widest)


def _unused(trace: Trace, expandable: bool, live: int) -> int:
    """What torch's allocator holds at most beside the `live` peak, where it begins with nothing."""
    from ullage.memory.allocator.settings import Settings
    from ullage.tracing.timelines import replayed

    settings = Settings(expandable=expandable)
    moments = replayed(trace.without_weights(), settings, None, 0).moments
    stages = trace.stages
    reserved = max((each.reserved for each in moments if not stages or each.stage in stages), default=0)
    return max(reserved - live, 0)


def forget_traces() -> None:
    """Those that are held in memory."""
    _known.clear()


def _key(what: str, values: Mapping[str, object], *more: object) -> str:
    from importlib.metadata import version

    said = [FORMAT, _code(), [version(each) for each in LIBRARIES], what, values, more]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    kind = "".join(each for each in str(values.get("model_type"))[:40] if each.isalnum() or each in "_-")
    return f"{kind}-{what}-{digest[:24]}"


@cache
def _code() -> str:
    """Of the code that traces."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _path(key: str) -> Path:
    return evidence_file().parent / "traces" / f"{key}.json"


def _held(key: str, kind: type[Found]) -> Found | None:
    """What is known under a key, in memory or on disk."""
    found = _known.get(key)
    if found is None and not is_nowhere(_path(key)):
        found = _read(_path(key), kind)
        if found is not None:
            _known[key] = found
    assert found is None or isinstance(found, kind)
    return found


def _keep(key: str, found: Found) -> Found:
    _known[key] = found
    with suppress(OSError, ValueError):
        kind: Any = type(found)
        path, said = _path(key), _adapter(kind).dump_python(found, mode="json")
        if not is_nowhere(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"sha256": _digest(said), "found": said}, unique=True)
    return found


def _read(path: Path, kind: Any) -> Any:
    """What lies there; None where nothing does that is whole."""
    try:
        check_ordinary(path)
        held = json.loads(read_bytes(path, LARGEST_FILE))
        if held["sha256"] != _digest(held["found"]):
            return None
        return _adapter(kind).validate_python(held["found"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, FormatError):
        return None


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
