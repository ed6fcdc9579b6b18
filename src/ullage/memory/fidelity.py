"""How it is known what each pass of a workload takes: by a formula, or by a trace of the model's own code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from ullage.errors import InputError, MissingExtraError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.facts.families.rows import text_type
from ullage.facts.proof import Proof
from ullage.memory.backward import check_backward
from ullage.memory.loaded import Loaded
from ullage.memory.proven import proof_of_pass
from ullage.memory.running import kernel_of
from ullage.memory.traced import Asked, Traced, Tracing
from ullage.phases.phase import TRAINING, Activity, Phase, Resident, Work
from ullage.spec.role import Role

Key = tuple[str, Work]
"""A role and what it does."""


MOST_OFF: Final = 0.1
"""How far, as a share, a formula may have been found to be off whose pass is planned by it where nothing can
trace it; an interval is about as wide."""
MOST_TRACED: Final = 8
"""Passes of a plan that are traced although there are formulas: each takes a second or a few."""


@dataclass(frozen=True, slots=True)
class Known:
    """How one activity of a role is known, and why so; `proven` where that was held against the real code."""

    activity: Activity
    by: Literal["formula", "trace"]
    reason: str
    proven: bool = True


class Passes(NamedTuple):
    """What was traced, and by role how each activity is known."""

    traced: Mapping[Key, Traced]
    known: Mapping[str, tuple[Known, ...]]


def passes_of(
    phases: tuple[Phase, ...],
    held: Mapping[str, Loaded],
    roles: Mapping[str, Role],
    tracing: Tracing | None,
    several: bool,
) -> Passes:
    """What passes of roles in this process take where no formula says it; there are `several` GPUs or one.

    Raises UnsupportedError for a pass that has to be traced and is not, MissingExtraError where that takes
    torch and it is not installed.
    """
    traced: dict[Key, Traced] = {}
    known: dict[str, dict[Known, None]] = {}
    passes = list(_asked(phases, held, roles, tracing is None or tracing.says))
    every = tracing is not None and tracing.fidelity == "traced"
    stands = [_stands(name, asked, held[name], roles[name], tracing, several) for name, _, asked in passes]
    many = _too_many(stands, tracing)
    for (name, work, asked), each in zip(passes, stands, strict=True):
        own = held[name]
        if work.activity == "backward":
            check_backward(name, roles[name], own)
        if each.must or every:
            found, traced[name, work] = _as_it_must(name, asked, own, tracing, each.untraced)
        else:
            found, trace = _as_proven(name, asked, own, tracing, each, many)
            if trace is not None:
                traced[name, work] = trace
        known.setdefault(name, {})[found] = None
    return Passes(traced, {name: tuple(each) for name, each in known.items()})


class _Stands(NamedTuple):
    """A pass whose formula is as `proof` says; `untraced` is why no trace can say it, "" where one can. It
    `must` be traced where there is no formula, and `may` be where that was found to be off."""

    asked: Asked
    proof: Proof
    untraced: str
    must: bool

    @property
    def proven(self) -> bool:
        return self.proof.standing == "proven" and not self.untraced

    def may(self, tracing: Tracing | None) -> bool:
        if tracing is None or tracing.fidelity == "formula" or self.must:
            return False
        off = self.proof.standing == "not proven"
        return off and not self.untraced and self.asked.work.activity not in TRAINING

    @property
    def said(self) -> str:
        known = f"{self.proof.standing}: {self.proof.why}"
        return f"not tried with {self.untraced}" if self.untraced else known


def _stands(
    name: str, asked: Asked, own: Loaded, role: Role, tracing: Tracing | None, several: bool
) -> _Stands:
    version = None if tracing is None else tracing.transformers
    proof = proof_of_pass(text_type(own.architecture.model_type), asked, version)
    return _Stands(asked, proof, _untraced(role, own, asked.work, several), _must(asked.work, own))


def _must(work: Work, own: Loaded) -> bool:
    """Whether no formula says what a pass takes."""
    return bool(own.architecture.counted) or work.activity == "backward"


def _too_many(passes: Iterable[_Stands], tracing: Tracing | None) -> str:
    """Why none of them is traced that need not be, where they are so many; "" else."""
    count = len({each.asked for each in passes if each.may(tracing)})
    if count <= MOST_TRACED:
        return ""
    return (
        f"{count} passes would be traced, and auto traces {MOST_TRACED} at most: --fidelity traced "
        "traces them all"
    )


def _as_it_must(
    name: str, asked: Asked, own: Loaded, tracing: Tracing | None, why: str
) -> tuple[Known, Traced]:
    """A pass that no formula is to say; `why` it is not traced, "" where it can be.

    Raises UnsupportedError.
    """
    architecture, activity = own.architecture, asked.work.activity
    given = tracing is not None and tracing.fidelity == "traced"
    if architecture.counted and (tracing is None or tracing.fidelity == "formula"):
        raise UnsupportedError(
            f"role {name}: {architecture.name}: no formula describes model_type {architecture.model_type!r}; "
            "use --fidelity auto or traced (memory.fidelity)"
        )
    if why:
        instead = (
            "no formula says what it takes"
            if architecture.counted
            else "formulas say what it takes: --fidelity formula (memory.fidelity)"
        )
        raise UnsupportedError(f"role {name}: {activity} is not traced with {why}; {instead}")
    assert tracing is not None, "what has no formula is traced"
    if architecture.counted:
        reason = (
            f"no formula describes model_type {architecture.model_type}; {architecture.counted} counts its "
            "weights"
        )
    else:
        reason = "as asked for" if given else f"no formula says what {activity} takes"
    try:
        return _traced(asked, own, tracing, reason)
    except UnsupportedError as error:
        raise UnsupportedError(f"role {name}: {error}") from error


def _as_proven(
    name: str, asked: Asked, own: Loaded, tracing: Tracing | None, stands: _Stands, many: str
) -> tuple[Known, Traced | None]:
    """A pass by its formula, or by a trace where that was found to be off, unless there are too `many` of
    them. What was never tried keeps its formula: nothing speaks against it, and its trace takes seconds to
    minutes.

    Raises UnsupportedError where the formula was found to be far off, and what traces it is not installed.
    """
    formula = Known(asked.work.activity, "formula", stands.said, stands.proven)
    if tracing is None or not stands.may(tracing):
        if stands.proof.standing == "untried" and not stands.untraced:
            formula = replace(formula, reason=f"{stands.said}; --fidelity traced traces it")
        return formula, None
    if many:
        return replace(formula, reason=f"{stands.said}; {many}"), None
    try:
        return _traced(asked, own, tracing, f"its formula is {stands.said}")
    except MissingExtraError as error:
        if stands.proof.worst > MOST_OFF:
            raise UnsupportedError(
                f"role {name}: the formula of {asked.work.activity} is {stands.said}; {error}, or plan by it "
                "nevertheless: --fidelity formula (memory.fidelity)"
            ) from error
        return replace(formula, reason=f"{stands.said}; {error}"), None
    except InputError as error:
        return replace(formula, reason=f"{stands.said}; {error}"), None


def _traced(asked: Asked, own: Loaded, tracing: Tracing, reason: str) -> tuple[Known, Traced]:
    """Raises UnsupportedError for the trace of another model."""
    found = tracing.trace(asked)
    whole = own.numbered
    if found.parameters != whole.parameters:
        other = (
            f"transformers builds {whole.name} with {found.parameters:,} parameters, its description has "
            f"{whole.parameters:,}"
        )
        apart = bool(found.blocks) and len(found.blocks) != len(whole.layers) + 2
        if apart or asked.work.activity == "backward":
            raise UnsupportedError(f"{other}: what was traced is another model")
        reason = f"{reason}; {other}, by which its weights are counted"
    return Known(asked.work.activity, "trace", reason), found


def _asked(
    phases: tuple[Phase, ...], held: Mapping[str, Loaded], roles: Mapping[str, Role], every: bool
) -> Iterator[tuple[str, Work, Asked]]:
    """Each pass of a language model in this process, or of these what no formula says: what is done, and what
    is traced for it."""
    works = [(phase.running, phase.work) for phase in phases if phase.work.activity != "load"]
    works += _idle(phases, held)
    for name, work in dict.fromkeys(works):
        if name not in held:
            continue
        role, own = roles[name], held[name]
        if role.runs_with.memory != "process" or not isinstance(own.model, Architecture):
            continue
        if not every and not _must(work, own):
            continue
        kernel, _ = kernel_of(name, role, phases, own.whole)
        if role.attention == "auto" and kernel == "sdpa":
            kernel = "auto"  # a family that has no sdpa runs in what transformers takes instead
        precision = own.precision
        scheme = None if precision.scheme is None else precision.storage
        processor = own.processor
        # How many tokens are written after a prompt bears on nothing that it takes.
        one = work.activity == "prefill" and work.new_tokens > 1 and not work.probed
        traced = work.but(new_tokens=1) if one else work
        yield name, work, Asked(role.model, precision.compute, kernel, traced, processor, scheme)


def _idle(phases: tuple[Phase, ...], held: Mapping[str, Loaded]) -> Iterator[Key]:
    """What the caches of those that wait are traced by, where no formula says how large they are."""
    counted = {
        name for name, own in held.items() if isinstance(own.model, Architecture) and own.architecture.counted
    }
    for phase in phases if counted else ():
        for each in phase.resident:
            work = idle_work(each)
            if each.name in counted and each.where == "device" and work is not None:
                yield each.name, work


def idle_work(resident: Resident) -> Work | None:
    """What leaves the cache of a role that waits; None where it has none."""
    if not resident.cached_batch or not resident.cached_tokens:
        return None
    return Work("prefill", resident.cached_batch, resident.cached_tokens, 1)


def _untraced(role: Role, own: Loaded, work: Work, several: bool) -> str:
    """What of a role or its pass no trace has; "" where there is nothing of the kind."""
    checkpoint = own.architecture.checkpoint
    split = role.max_memory is not None or role.device_map is not None or several
    there = {
        "a GGUF file, which has no config.json": checkpoint is not None and checkpoint.format == "gguf",
        "code of its repository's own": role.trust_remote_code,
        "a stretched rope": role.rope is not None,
        "an adapter": own.architecture.adapter is not None,
        f"a {role.cache.kind} cache": role.cache.kind != "dynamic",
        "images": work.images > 0,
        "layers over several devices": work.activity in TRAINING and split,
        "adapters that are trained": work.training is not None and work.training.lora is not None,
        "attention: flash": role.attention == "flash",
    }
    return next((what for what, holds in there.items() if holds), "")
