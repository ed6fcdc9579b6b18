"""Proofs of families, made once for each config's features and version of transformers, and kept.

They lie in `proofs/` beside the evidence of past runs. What is there is read without trust: what is no proof
is made anew. A home that cannot be written costs one warning and no run.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

from ullage.capture.identities import Broken
from ullage.capture.proof import Proof, prove
from ullage.capture.sites import Places, Point, find_points
from ullage.errors import UllageError
from ullage.facts.families.places import Place
from ullage.fields import Fields
from ullage.files import check_ordinary, is_nowhere
from ullage.records.atomic import write_json
from ullage.records.evidence_place import evidence_file
from ullage.runtime.layout import Layout
from ullage.runtime.libraries import in_turn
from ullage.runtime.shrunk import shrink
from ullage.spec.capture import Capture
from ullage.spec.site_patterns import EVERY

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

FORMAT: Final = 1
"""Changes whenever a proof means something else than before."""
LARGEST_FILE: Final = 1_000_000
Say = Callable[[str], None]

_known: Final[dict[str, Proof]] = {}
_of_models: Final[WeakKeyDictionary[nn.Module, Proof]] = WeakKeyDictionary()
_warned: Final[set[str]] = set()


def proof_of(layout: Layout, say: Say = lambda _: None) -> Proof:
    """The proof for a loaded model: known, or made now and told to `say`.

    Raises UnsupportedError for what no small model can be made of, in transformers' own words.
    """
    found = _of_models.get(layout.base)
    if found is None:
        kind = cast("type[PreTrainedModel]", type(layout.base))
        found = _of_models[layout.base] = known_proof(layout.config, kind, say)
    return found


def proven_points(
    captures: Iterable[Capture],
    layout: Layout,
    *,
    name: str,
    depth: int | None = None,
    ways: tuple[bool, bool] = (False, False),
    say: Say = lambda _: None,
) -> tuple[Point, ...]:
    """`find_points` of a loaded model, each held by its family's proof; `ways` are whether it is read in
    chunks, and while it writes. What the pattern `*` leaves out is told to `say`. Raises as `find_points` and
    `Proof.check` do."""
    proof = proof_of(layout, say)
    found = find_points(captures, layout, proof.places, name=name, depth=depth)
    lost = {**(proof.streamed if ways[0] else {}), **(proof.generated if ways[1] else {})}
    points = tuple(p for p in found if EVERY not in p.capture.sites or p.site.hook not in lost)
    left_out = {**proof.broken(), **lost}
    if left_out and any(EVERY in point.capture.sites for point in points):
        why = "; ".join(f"{hook}: {broken}" for hook, broken in left_out.items())
        say(f"{name}: every site that holds is read, which leaves out {why}")
    proof.check([point.site.hook for point in points], chunked=ways[0], writing=ways[1])
    return points


@in_turn
def known_proof(
    config: PreTrainedConfig, kind: type[PreTrainedModel] | None, say: Say = lambda _: None
) -> Proof:
    """The proof of a config's features under this version of transformers: kept, or made now."""
    key = _key(config, kind)
    if key in _known:
        return _known[key]
    path = evidence_file().parent / "proofs" / f"{key}.json"
    found = None if is_nowhere(path) else _read(path)
    if found is None:
        with _aside():
            found = prove(config, kind)
        gc.collect()  # hooks hold the small model in cycles, and it would be measured as the user's
        say(
            f"{found.family}: sites proven on a small model in {found.seconds:.1f} s"
            + (f"; refused: {', '.join(found.broken())}" if found.broken() else "")
        )
        _keep(path, found)
    _known[key] = found
    return found


def forget_proofs() -> None:
    """Those that are held in memory; what is kept on disk is read again when it is asked for."""
    _known.clear()
    _of_models.clear()


@contextmanager
def _aside() -> Iterator[None]:
    """On the processor in fp32, whatever the program around us computes by default; and on one thread: such
    small tensors are done before a second one is awake, which a busy machine lets wait."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.device("cpu"), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)


def _key(config: PreTrainedConfig, kind: type | None) -> str:
    from importlib.metadata import version

    from transformers import __version__

    features = json.dumps(shrink(config).to_dict(), sort_keys=True, default=str)
    said = (
        str(FORMAT),
        version("ullage"),
        __version__,
        getattr(kind, "__name__", ""),
        config.model_type,
        features,
    )
    return f"{config.model_type}-{hashlib.sha256(chr(0).join(said).encode()).hexdigest()[:24]}"


def _keep(path: Path, proof: Proof) -> None:
    try:
        if is_nowhere(path):
            raise OSError("no home folder is known; set ULLAGE_HOME")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, to_json(proof), unique=True)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
        if reason not in _warned:
            _warned.add(reason)
            warnings.warn(
                f"{path}: the proof of {proof.family}'s sites cannot be kept: {reason}", stacklevel=2
            )


def _read(path: Path) -> Proof | None:
    """The proof that lies there; None where none does that can be read."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        check_ordinary(path)
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, UllageError):
        return None


def to_json(proof: Proof) -> dict[str, object]:
    """A proof as the record of a run and its file hold it."""
    return {
        "family": proof.family,
        "transformers": proof.version,
        "seconds": proof.seconds,
        "blocks": {kind: _each_to_json(block) for kind, block in proof.places.blocks.items()},
        "model": _each_to_json(proof.places.ends),
        "streamed": _each_to_json(proof.streamed),
        "generated": _each_to_json(proof.generated),
    }


def _each_to_json(found: Mapping[str, Place | str | Broken]) -> dict[str, object]:
    return {
        hook: _broken_to_json(each)
        if isinstance(each, Broken)
        else each
        if isinstance(each, str)
        else list(each)
        for hook, each in found.items()
    }


def _broken_to_json(broken: Broken) -> dict[str, object]:
    error = broken.error if math.isfinite(broken.error) else None
    return {"broken": broken.identity, "error": error, "said": broken.said}


def from_json(written: Mapping[str, object]) -> Proof:
    """What `to_json` wrote. Raises ValueError, TypeError, KeyError or FormatError for what is no proof."""
    found = Fields(written, "a proof of sites")
    blocks = found.inner("blocks").values
    return Proof(
        str(written["family"]),
        str(written["transformers"]),
        float(cast("float", written["seconds"])),
        Places(
            {
                kind: {hook: _place(each) for hook, each in cast("dict[str, object]", block).items()}
                for kind, block in blocks.items()
            },
            {
                hook: each if isinstance(each, str) else _broken(each)
                for hook, each in found.inner("model").values.items()
            },
        ),
        {hook: _broken(each) for hook, each in found.inner("streamed").values.items()},
        {hook: _broken(each) for hook, each in found.inner("generated").values.items()},
    )


def _place(each: object) -> Place | Broken:
    if isinstance(each, list):
        module, when, take, scale, copied = each
        if not isinstance(module, str) or not isinstance(scale, str) or when not in ("begin", "end"):
            raise ValueError("no place")
        return Place(module, when, take, scale, copied is True)
    return _broken(each)


def _broken(each: object) -> Broken:
    assert isinstance(each, Mapping)
    error = each["error"]
    return Broken(str(each["broken"]), math.inf if error is None else float(error), str(each["said"]))
