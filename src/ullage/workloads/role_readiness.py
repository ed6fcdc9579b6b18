"""Whether one role can be run on this machine: its engine, its model's files, what loads them, its plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import MissingPackageError, UllageError
from ullage.facts.abilities import of_capability
from ullage.facts.architecture import Architecture, Model
from ullage.facts.bundled import DEVELOPMENT
from ullage.facts.dtypes import DTYPES
from ullage.facts.health.diagnosis import Diagnosis, RoleReadiness
from ullage.facts.health.finding import Finding, note, ok, problem
from ullage.facts.health.library_findings import bitsandbytes, flash, torchvision
from ullage.facts.hub_name import hub_name
from ullage.files import placed
from ullage.runtime.health.asking import installed
from ullage.runtime.source import source_of
from ullage.spec.installed import check_installed
from ullage.units import gib
from ullage.workloads.opened import opened_model

if TYPE_CHECKING:
    from ullage.facts.quantization.scheme import Scheme
    from ullage.planning.role_plan import RolePlan
    from ullage.spec.role import Role


def readiness_of_role(
    name: str, role: Role, planned: RolePlan | None, found: Diagnosis, base: Path
) -> RoleReadiness:
    """What stands in the way of running it here, without its device map; `planned` is None where no plan was
    made or it is held elsewhere."""
    findings = [*_engine(name, role, found)]
    fetched = 0
    if role.runs_with.local:
        try:
            model: Model | None = opened_model(role.model, base)
        except UllageError as error:
            model = None
            findings.append(_unread(role, error, found))
        if model is not None:
            checkpoint, fetched = _checkpoint(role, model, base, found)
            findings.append(checkpoint)
            findings += _loaders(role, model, planned, found)
    else:
        findings.append(_elsewhere(role, base))
    return RoleReadiness(name, role.model, role.engine, {}, fetched, tuple(findings))


def _engine(name: str, role: Role, found: Diagnosis) -> Iterator[Finding]:
    """The engine's packages, and whether those that it computes with work here."""
    about = "engine"
    try:
        check_installed(role.engine, f"roles.{name}")
    except MissingPackageError as error:
        yield problem(about, str(error).partition("; ")[0], f'pip install "{role.runs_with.install}"')
        return
    yield ok(about, f"{role.engine} is installed")
    if not role.runs_with.local:
        return
    torch = found.tried.get("torch")
    if torch is not None and torch.problem:
        yield problem(about, f"torch does not work: {torch.problem}", "see torch above")
    pictures = torchvision(found.tried) if "torch" in found.tried else None
    if (role.images or role.runs_with.memory == "pipeline") and pictures and pictures.state == "problem":
        yield pictures


def _unread(role: Role, error: UllageError, found: Diagnosis) -> Finding:
    """A model of which nothing is known here: it may be a hub's that nobody has asked for yet."""
    about, said = "model", " ".join(str(error).split())
    if hub_name(role.model) is None or placed(role.model, Path()).exists():
        return problem(about, said, "correct its name, or its files")
    if found.host.offline:
        return problem(
            about, f"{role.model} is not here, and HF_HUB_OFFLINE is set", "unset it to fetch models"
        )
    todo = "ullage plan FILE asks its hub for headers; ullage run FILE --download fetches it"
    return problem(about, f"{role.model} is not here, and no hub is asked here", todo)


def _checkpoint(role: Role, model: Model, base: Path, found: Diagnosis) -> tuple[Finding, int]:
    """Where its weights are, or the bytes that would be fetched."""
    about = "checkpoint"
    try:
        source = source_of(role.model, base, download=False)
    except UllageError as error:
        named = hub_name(role.model)
        if named is None:
            return problem(about, " ".join(str(error).split()), "name a folder with its weights"), 0
        return _to_fetch(role, model, found)
    except ImportError:
        return problem(about, "huggingface_hub is not installed", 'pip install "ullage[run]"'), 0
    if source.is_dir() and not any(source.glob("**/*.safetensors")):
        said = f"{source} has no weights in safetensors"
        if hub_name(role.model) is not None and not placed(role.model, base).exists():
            return _to_fetch(role, model, found)
        return problem(about, said, "convert or copy them there (model.save_pretrained writes them)"), 0
    stored = None if model.checkpoint is None else model.checkpoint.bytes
    return ok(about, f"is here{'' if stored is None else f', {gib(stored)}'}: {source}"), 0


def _to_fetch(role: Role, model: Model, found: Diagnosis) -> tuple[Finding, int]:
    about = "checkpoint"
    size = model.parameters * DTYPES.get(model.dtype, 2)
    if model.checkpoint is not None:
        size = model.checkpoint.bytes
    said = f"{role.model} is not in {found.host.cache.folder}"
    if found.host.offline:
        return problem(about, f"{said}, and HF_HUB_OFFLINE is set", "unset it and fetch it: --download"), 0
    return note(about, said, f"ullage run FILE --download fetches about {gib(size)}"), size


def _loaders(role: Role, model: Model, planned: RolePlan | None, found: Diagnosis) -> Iterator[Finding]:
    """What loads its weights as planned, and computes with them here, beside the engine itself."""
    if isinstance(model, Architecture) and model.adapter is not None and not installed("peft"):
        yield problem("adapter", "peft is not installed", 'pip install "ullage[peft]"')
    if role.runs_with.memory != "process":
        return
    if model.checkpoint is not None and model.checkpoint.format == "gguf" and not installed("gguf"):
        yield problem("checkpoint", "gguf, which reads such files, is not installed", "pip install gguf")
    if role.attention == "flash":
        if "flash_attn" not in found.tried:
            todo = "pip install flash-attn --no-build-isolation, or attention: sdpa"
            yield problem("attention", "flash-attn is not installed", todo)
        elif found.tried["flash_attn"].problem:
            yield flash(found.tried, found.cards)
    if planned is not None and planned.precision.scheme is not None:
        yield from _quantized(planned.precision.scheme, planned.precision.quantization is not None, found)


def _quantized(scheme: Scheme, stored: bool, found: Diagnosis) -> Iterator[Finding]:
    """What loads weights that are `stored` in a scheme, or turns them into it, and whether the cards compute
    with it."""
    about = f"precision {scheme.name}"
    packages = scheme.packages if stored or scheme.on_load is None else (scheme.on_load.package,)
    missing = " ".join(each.replace("_", "-") for each in packages if not installed(each))
    if missing:
        yield problem(about, f"{missing} not installed, which loads it", f"pip install {missing}")
    elif "bitsandbytes" in packages and bitsandbytes(found.tried).state == "problem":
        yield bitsandbytes(found.tried)
    else:
        names = f": {', '.join(packages)}" if packages else ""
        yield ok(about, f"what loads it is installed{names}")
    least = scheme.least_capability
    seen = (card for card in found.cards.cards if card.visible)
    weak = next((card for card in seen if least is not None and card.capability < least), None)
    if weak is not None:
        other = "bf16 or fp16" if scheme.dequantizes_on_request else "fp16"
        said = f"needs {of_capability(least)}, which {weak.name} has not"
        yield problem(about, said, f"another card, or precision: {other}")


def _elsewhere(role: Role, base: Path) -> Finding:
    """A role that no memory here is planned for: a server's, or a script's."""
    if role.engine == "scripted":
        if role.model == DEVELOPMENT or placed(role.model, base).is_file():
            return ok("script", f"{role.model} is here")
        return problem("script", f"{role.model} is not there", f"looked for {placed(role.model, base)}")
    lacking = role.settings.lacks()
    if lacking:
        return problem("server", lacking, "it is read from the environment alone")
    return ok("server", f"{role.model} is held elsewhere; it was not asked")
