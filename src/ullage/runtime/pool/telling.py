"""Why a role is not lent, in a line: who holds the room, since when, and what would free it."""

from __future__ import annotations

from ullage.errors import OutOfMemoryError, PinnedError, UllageError, WaitError
from ullage.runtime.pool.accounts import Sizes
from ullage.runtime.pool.role import Resident
from ullage.runtime.pool.state import State
from ullage.runtime.pool.waiting import Request
from ullage.runtime.role_weights import HOST
from ullage.units import gib


def waited_out(state: State, request: Request, now: float) -> WaitError:
    """The wait has run out."""
    holders = [
        each for each in state.residents if each is not request.resident and _in_the_way(each, request)
    ]
    own = request.resident
    coming = next((job for job in state.jobs if job.target is own and job.brings), None)
    said = f"role {request.role}: waited {now - request.asked:.3g} s for {_need(own)}"
    if coming is not None:
        said += f"; it is being loaded, since {now - coming.began:.3g} s: give it longer"
    elif own.ready:
        said += "; it is there, but others have waited longer for its room: give it longer"
    elif holders:
        held = "; ".join(f"{_held_by(each, now)}" for each in holders)
        said += f", which is held by {held}. Room comes free when {_freed_by(holders)}"
    else:
        said += "; nobody holds it, what was there is still leaving: give it longer"
    return WaitError(said, (each.name for each in holders))


def pinned(state: State, request: Request) -> PinnedError:
    """Those who are pinned leave no room."""
    names = [
        each.name for each in state.residents if each.pinned and each.here and each is not request.resident
    ]
    said = (
        f"role {request.role}: there is no room for {_need(request.resident)} beside {' and '.join(names)},"
    )
    return PinnedError(f"{said} which {'is' if len(names) == 1 else 'are'} pinned; unpin one", names)


def ended(request: Request) -> WaitError:
    """The pool was closed while it waited."""
    return WaitError(f"role {request.role}: the pool was closed; nothing is lent any more")


def out_of_memory(resident: Resident, error: BaseException) -> OutOfMemoryError:
    """Memory ran out twice."""
    return OutOfMemoryError(
        f"role {resident.name}: memory ran out twice while it was loaded, the second time after others had "
        f"left ({str(error) or type(error).__name__}); the others are still served: give it a compressed "
        "form, or the pool budgets that hold"
    )


def not_loaded(resident: Resident, error: BaseException) -> BaseException:
    """A load failed: an error of Ullage's own as it is, another in a line."""
    if isinstance(error, UllageError) or not isinstance(error, Exception):
        return error
    return UllageError(f"role {resident.name}: could not be loaded: {type(error).__name__}: {error}")


def stuck(resident: Resident) -> UllageError:
    """It could not be taken off its device."""
    return UllageError(f"role {resident.name}: could not be taken off its device: {resident.stuck}")


def told(sizes: Sizes) -> str:
    """Bytes by place, as text."""
    return " and ".join(f"{gib(size)} on {place}" for place, size in sizes.items() if size) or "nothing"


def _need(resident: Resident) -> str:
    return told(resident.forms[-1].peaks)


def _in_the_way(each: Resident, request: Request) -> bool:
    """Whether it holds bytes where the request's role goes: on devices, for a load's host memory too."""
    wanted = {place for form in request.resident.forms for place in form.peaks if place != HOST}
    return any(
        place in wanted for form in each.forms if form is each.here or each.moving for place in form.sizes
    )


def _held_by(each: Resident, now: float) -> str:
    since = f"since {now - each.since:.3g} s"
    if each.moving or each.stuck:
        return f"{each.name} ({each.stuck or 'on its way'})"
    if each.lent:
        longest = now - min(each.lent.values())
        return f"{each.name} ({since}, lent {len(each.lent)} times, the longest since {longest:.3g} s)"
    kept = "persistent" if each.persistent else "pinned" if each.pinned else "idle"
    return f"{each.name} ({since}, {kept})"


def _freed_by(holders: list[Resident]) -> str:
    lent = [each.name for each in holders if each.lent and not each.stays]
    if lent:
        return f"{' and '.join(lent)} {'is' if len(lent) == 1 else 'are'} given back"
    pinned_ones = [each.name for each in holders if each.pinned]
    if pinned_ones:
        return f"{' and '.join(pinned_ones)} {'is' if len(pinned_ones) == 1 else 'are'} unpinned"
    return "those have been there for their minimum, or have arrived"
