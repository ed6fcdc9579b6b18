"""The roles of a run as residents of a pool: the plan says who is where, the pool carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ullage.errors import OutOfMemoryError, UllageError
from ullage.phases.phase import Phase
from ullage.planning.plan import Plan
from ullage.planning.role_plan import Placed
from ullage.records.pool import PoolSeen
from ullage.runtime.batching import is_out_of_memory, release
from ullage.runtime.billed import Taken, billed
from ullage.runtime.loader import Loaded, load_model
from ullage.runtime.pool.accounts import Sizes, either, together
from ullage.runtime.pool.clock import Clock, OneThread
from ullage.runtime.pool.holding import Place
from ullage.runtime.pool.lease import Lease
from ullage.runtime.pool.pool import Pool
from ullage.runtime.pool.role import Role
from ullage.runtime.pool.terms import Terms
from ullage.runtime.reading import CPU
from ullage.runtime.role_weights import RoleWeights

if TYPE_CHECKING:
    from ullage.runtime.parking import ModelWeights


@runtime_checkable
class Serving(Protocol):
    """An engine that holds a role's model itself."""

    def close(self) -> None: ...


class FromDisk:
    """A model that is loaded by `open` and freed, and never waits."""

    def __init__(self, open_: Callable[[], Loaded | Serving]) -> None:
        self._open = open_
        self._model: Loaded | Serving | None = None

    def bring(self, cancelled: Callable[[], bool]) -> Loaded | Serving:
        self._model = self._open()
        return self._model

    def park(self) -> None:
        self.drop()

    def drop(self) -> None:
        gone, self._model = self._model, None
        if gone is not None and not isinstance(gone, Loaded):
            gone.close()
        del gone
        release()


@dataclass(slots=True, eq=False)
class BilledWeights(RoleWeights):
    """Weights that count as much as the plan bills for them. `error` is what the last load raised."""

    weights: FromDisk | ModelWeights
    taken: Taken
    error: BaseException | None = None

    @property
    def sizes(self) -> Mapping[str, int]:
        return self.taken.sizes

    @property
    def load_peaks(self) -> Mapping[str, int]:
        return self.taken.load_peaks

    @property
    def parked_bytes(self) -> int:
        return self.taken.parked

    def bring(self, cancelled: Callable[[], bool]) -> Loaded | Serving:
        self.error = None
        try:
            return self.weights.bring(cancelled)
        except BaseException as error:
            self.error = error
            raise

    def park(self) -> None:
        self.weights.park()
        release()

    def drop(self) -> None:
        self.weights.drop()


def _on_the_processor(placed: Placed) -> Placed:
    return replace(placed, device_map=dict.fromkeys(placed.device_map, CPU))


class Residents:
    """The roles that a plan holds here. Invariant: whoever is on a device is lent to this run, so that nobody
    leaves whom the plan does not have leave; what the pool counts is what the plan bills."""

    def __init__(
        self,
        plan: Plan,
        download: bool,
        told: Callable[[PoolSeen], None] | None,
        lent: Callable[[str, BilledWeights], Role] = lambda name, weights: Role(name, (weights,)),
        clock: Clock | None = None,
    ) -> None:
        """`lent` makes the pool's role of a name and its weights; without a `clock` it is a run's own."""
        self._plan, self._download = plan, download
        self._bill = billed(plan)
        self._leases: dict[str, Lease] = {}
        self._openers: dict[str, Callable[[], Serving]] = {}
        self._weights = {
            name: BilledWeights(self._moved(name, self._bill.roles[name]), self._bill.roles[name])
            for name in plan.roles
        }
        terms = Terms(ran_out=is_out_of_memory, told=told, simulated=plan.gpus.abilities.simulated)
        self.pool = Pool(
            [lent(name, weights) for name, weights in self._weights.items()],
            self._bill.budgets,
            self._bill.host,
            terms,
            clock or OneThread(),
        )

    def here(self) -> Mapping[str, Loaded | Serving]:
        """By name the models that are on devices."""
        found = {name: lease.model for name, lease in self._leases.items()}
        return {name: model for name, model in found.items() if isinstance(model, Loaded | Serving)}

    def waiting(self) -> tuple[str, ...]:
        """Those in host memory."""
        return tuple(each.name for each in self.pool.snapshot().roles if each.where == "host")

    def spread(self, name: str, size: int) -> dict[str, int]:
        """So many bytes of a role's weights on simulated devices, as the plan divides them."""
        sizes = self._bill.roles[name].sizes
        every = max(sum(sizes.values()), 1)
        return {place: size * held // every for place, held in sizes.items()}

    def sizes_of(self, names: Iterable[str]) -> Sizes:
        """By place the weights of these roles together."""
        return together(*(self._bill.roles[name].sizes for name in names))

    @property
    def most_beside(self) -> Sizes:
        """By place the most that is no role's weights, in any phase."""
        return either(*self._bill.beside.values())

    def parks(self, name: str) -> bool:
        """Whether the plan ever has it wait in host memory."""
        return bool(self._bill.roles[name].parked)

    def opened_by(self, name: str, opener: Callable[[], Serving]) -> None:
        """How a role's engine is started that holds its model itself."""
        self._openers[name] = opener

    def bring(self, name: str, phase: Phase | None) -> Loaded | Serving:
        """Role `name`'s model, loaded or woken in `phase` unless it is here. Raises what loading it raised,
        and OutOfMemoryError where memory ran out again after all that may had left."""
        if name not in self._leases:
            self.occupied_in(phase)
            asking = self.pool.lease(name)
            try:
                self._leases[name] = asking.__enter__()
            except UllageError as error:
                raised = self._weights[name].error
                if raised is None or isinstance(error, OutOfMemoryError):
                    raise
                raise raised from raised.__cause__
        model = self._leases[name].model
        assert isinstance(model, Loaded | Serving)
        return model

    def send(self, name: str, to: Place) -> None:
        """Off its devices, if it is there: whoever else holds its model must have let go of it before."""
        self.pool.occupy({})
        lease = self._leases.pop(name, None)
        if lease is not None:
            lease.end()
        self.pool.send(name, to)

    def occupied_in(self, phase: Phase | None) -> None:
        """Counts what is no role's weights in `phase`, as planned."""
        self.pool.occupy({} if phase is None else self._bill.beside.get(phase.name, {}))

    def close(self) -> None:
        """Frees everyone."""
        for name in tuple(self._leases):
            self._leases.pop(name).end()
        self.pool.close()

    def _moved(self, name: str, taken: Taken) -> FromDisk | ModelWeights:
        role, planned, base = self._plan.workload.roles[name], self._plan.roles[name], self._plan.base
        if self._plan.gpus.abilities.simulated:
            planned = replace(planned, placement=_on_the_processor(planned.placement))
        if role.runs_with.memory == "own cache":
            return FromDisk(lambda: self._openers[name]())
        if not taken.parked:
            return FromDisk(lambda: load_model(role, planned, base=base, download=self._download))
        from ullage.runtime.parking import model_weights

        model = self._plan.models[role.model]
        return model_weights(role, planned, model, base=base, download=self._download)
