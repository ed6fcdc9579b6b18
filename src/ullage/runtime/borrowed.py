"""A session's roles and devices, where others have them too: everything is borrowed, and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, runtime_checkable

from ullage.errors import UllageError
from ullage.phases.phase import Phase
from ullage.planning.plan import Plan
from ullage.runtime.loader import Loaded
from ullage.runtime.monitor import Monitor
from ullage.runtime.pool.holding import Place
from ullage.runtime.pool.lease import Asking, Lease
from ullage.runtime.pool.pool import Pool
from ullage.runtime.residents import Residents, Serving
from ullage.runtime.session import Session


class GoneError(UllageError):
    """Nobody is left who waits for what was to be done."""


@runtime_checkable
class WithModel(Protocol):
    """What a pool lends, where that is more than a model."""

    @property
    def loaded(self) -> Loaded | Serving: ...


class Borrowed(Residents):
    """The roles of a pool that is others' too. Invariant: what is here is lent to this session; where it lies
    once it was given back, and what is beside it, is the pool's to say."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._loans: dict[str, tuple[Asking, Lease]] = {}

    def here(self) -> Mapping[str, Loaded | Serving]:
        """By name the models that are lent to this session."""
        return {name: _model(lease) for name, (_, lease) in self._loans.items()}

    def waiting(self) -> tuple[str, ...]:
        """Nobody of whom this session would know."""
        return ()

    def parks(self, name: str) -> bool:
        """What is given back is the pool's."""
        return False

    def opened_by(self, name: str, opener: Callable[[], Serving]) -> None:
        """The pool's roles are opened by whoever made it."""

    def bring(self, name: str, phase: Phase | None) -> Loaded | Serving:
        """Role `name`'s model, once it is lent. Raises what waiting for it, or loading it, raised."""
        if name not in self._loans:
            asking = self.pool.lease(name)
            self._loans[name] = asking, asking.__enter__()
        return _model(self._loans[name][1])

    def send(self, name: str, to: Place) -> None:
        """Gives it back."""
        if name in self._loans:
            self._loans.pop(name)[1].end()

    def occupied_in(self, phase: Phase | None) -> None:
        """What is no role's weights was counted when the pool was made."""

    def close(self) -> None:
        """Gives everyone back."""
        for name in tuple(self._loans):
            self.send(name, "disk")


class Turned(Monitor):
    """Measures nothing: inside a phase, its role's devices are this thread's alone."""

    def __init__(self, pool: Pool, here: Callable[[], Mapping[str, object]]) -> None:
        super().__init__((), {}, 1.0, lambda text: None)
        self._pool, self._here = pool, here
        self.gone: Callable[[], bool] = lambda: False
        """Whether nobody waits any more, which is looked at before each phase."""

    @contextmanager
    def inside(self, phase: Phase) -> Iterator[Phase]:
        """Raises GoneError where nobody waits for it."""
        if self.gone():
            raise GoneError(f"nobody waits for {phase.name} any more")
        if phase.activity == "load" or phase.running not in self._here():
            yield phase
            return
        with self._pool.working(phase.running):
            yield phase

    def enter(self, phase: Phase | None) -> None:
        """Nothing is counted."""


def borrowing(session: Session, plan: Plan) -> tuple[Session, Turned]:
    """A session that carries out `plan` with the roles of another session's pool, beside its other users."""
    residents = Borrowed(session.residents.pool)
    monitor = Turned(session.residents.pool, residents.here)
    made = replace(
        session,
        plan=plan,
        residents=residents,
        monitor=monitor,
        live=None,
        simulated=None,
        held={},
        freed=[],
        outcome={},
        freed_maps={},
    )
    return made, monitor


def _model(lease: Lease) -> Loaded | Serving:
    lent = lease.model
    model = lent.loaded if isinstance(lent, WithModel) else lent
    assert isinstance(model, Loaded | Serving)
    return model
