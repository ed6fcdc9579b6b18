"""How each role of a workload is held on given cards: what of its model, by which kernels, in which bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from ullage.errors import UnsupportedError
from ullage.facts.abilities import Abilities
from ullage.facts.architecture import Architecture, Model
from ullage.memory.chunked import check_chunks
from ullage.memory.encoder import check_encoder
from ullage.memory.loaded import Loaded, loaded
from ullage.memory.needs import RECENT
from ullage.memory.process import context_basis
from ullage.memory.refusals import check_role, check_served
from ullage.memory.weights.loading import with_kept_head
from ullage.memory.weights.part import needed_part
from ullage.memory.weights.precision import ResolvedPrecision, resolve_precision
from ullage.phases.phase import Phase, Work
from ullage.spec.role import Role
from ullage.spec.rope import model_of
from ullage.units import Interval


class Held(NamedTuple):
    """A role as it is `loaded`, and its precision with the reason for it."""

    loaded: Loaded
    precision: ResolvedPrecision


def held_roles(
    phases: tuple[Phase, ...], models: Mapping[str, Model], abilities: Abilities, cards: tuple[Interval, ...]
) -> dict[str, Held]:
    """Every role whose weights are here. Raises UnsupportedError where a model and what is asked of it do not
    go together."""
    works = works_of(phases)
    found = {}
    for name, role in roles_of(phases).items():
        model, own = model_of(role, models), works.get(name, ())
        part = needed_part(own, model) if isinstance(model, Architecture) else model
        if isinstance(model, Architecture):
            if model.encodes:
                check_encoder(name, role, model, own)
            check_chunks(name, role, model, own)
        draft = models[drafts] if (drafts := role.settings.drafts()) is not None else None
        found[name] = _held(name, role, part, model, abilities, draft, _card(role, cards))
    return found


def loaded_of(roles: Mapping[str, Held]) -> dict[str, Loaded]:
    """The same without reasons."""
    return {name: each.loaded for name, each in roles.items()}


def roles_of(phases: Iterable[Phase]) -> dict[str, Role]:
    """Those whose weights are ever here."""
    found = {resident.name: resident.role for phase in phases for resident in phase.resident}
    return {name: role for name, role in found.items() if role.runs_with.local}


def works_of(phases: Iterable[Phase]) -> dict[str, list[Work]]:
    """What each role does but being loaded."""
    found: dict[str, list[Work]] = {}
    for phase in phases:
        if phase.work.activity != "load":
            found.setdefault(phase.running, []).append(phase.work)
    return found


def _card(role: Role, cards: tuple[Interval, ...]) -> Interval | None:
    """The card of which the role's engine is given a share, where the file says which: where it is pinned,
    else the one with most room, as it is placed; of several ranks the smallest, whose cache all have too.
    """
    if role.runs_with.memory != "own cache" or role.settings.own_cache().gpu_memory_utilization is None:
        return None
    placement = role.placement
    names = (placement,) if isinstance(placement, str) else placement
    pinned = [int(name.removeprefix("gpu:")) for name in names if name.startswith("gpu:")]
    allowed = [cards[at] for at in pinned if at < len(cards)] or list(cards)
    if not allowed:
        return None
    return min(allowed) if role.tensor_parallel > 1 else max(allowed)


@lru_cache(maxsize=RECENT)
def _held(
    name: str,
    role: Role,
    part: Model,
    model: Model,
    abilities: Abilities,
    draft: Model | None,
    card: Interval | None,
) -> Held:
    """`part` of a model as the role's engine holds it. Raises UnsupportedError."""
    precision = resolve_precision(role, model, abilities)
    bare = precision.unexplained
    check_role(name, role, model, precision, abilities)
    if part is model and isinstance(part, Architecture) and role.runs_with.memory == "process":
        part = with_kept_head(part, bare)
    own = None
    if role.runs_with.memory == "own cache" and isinstance(part, Architecture):
        from ullage.memory.vllm.sizes import served

        if draft is not None and not isinstance(draft, Architecture):
            raise UnsupportedError(
                f"role {name}: {draft.name} is a diffusion pipeline, which writes no drafts"
            )
        if isinstance(model, Architecture):
            check_served(name, role, model, draft)
        own = served(part, role, bare, abilities, draft, card)
    known = context_basis(abilities)
    found = loaded(name, part, model, bare, abilities.processor, known, role.attention, role.cache, own)
    return Held(found, precision)
