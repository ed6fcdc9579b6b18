"""The roles of a plan in a pool that many ask at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ullage.engines.engine import Engine
from ullage.engines.opening import open_engine
from ullage.engines.turns import Turns
from ullage.errors import DoesNotFitError, EngineError, InputError
from ullage.phases.blocks import captures_of
from ullage.records.folder import RunFolder
from ullage.runtime.bounded import shared
from ullage.runtime.loader import Loaded
from ullage.runtime.opening import Options, open_session
from ullage.runtime.pool import Role
from ullage.runtime.pool.accounts import exceeding, together
from ullage.runtime.pool.clock import Threads
from ullage.runtime.pool.telling import told
from ullage.runtime.residents import BilledWeights, Residents, Serving
from ullage.runtime.role_weights import RoleWeights
from ullage.runtime.session import Session
from ullage.serving.desk import Desk
from ullage.serving.whole import Whole
from ullage.workloads.execution import check_able, refuse_unfit
from ullage.workloads.registry import find_kind
from ullage.workloads.served import Plans

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.records.pool import PoolSeen
    from ullage.spec.capture import Capture


@dataclass(frozen=True, slots=True)
class Lent:
    """What is lent of a role: its model, and the engine that was made of it, or holds it itself."""

    loaded: Loaded | Serving
    engine: object


@dataclass(slots=True, eq=False)
class Opened(RoleWeights):
    """Weights of role `name` that come with their engine, which holds them and so leaves with them."""

    name: str
    weights: BilledWeights
    open: Callable[[Loaded], object]

    @property
    def sizes(self) -> Mapping[str, int]:
        return self.weights.sizes

    @property
    def load_peaks(self) -> Mapping[str, int]:
        return self.weights.load_peaks

    @property
    def parked_bytes(self) -> int:
        return self.weights.parked_bytes

    def bring(self, cancelled: Callable[[], bool]) -> Lent:
        try:
            loaded = self.weights.bring(cancelled)
            return Lent(loaded, self.open(loaded) if isinstance(loaded, Loaded) else loaded)
        except InputError as error:  # a file that is gone, say: no mistake of whoever asks
            raise EngineError(f"role {self.name}: {error}") from error

    def park(self) -> None:
        self.weights.park()

    def drop(self) -> None:
        self.weights.drop()


class Lending:
    """The roles of a served plan: those held here in `pool`, each with a desk where it writes texts, and
    engines that ask another machine; and the `whole` that they make up."""

    def __init__(self, session: Session, whole: Whole | None = None) -> None:
        self.whole = whole
        self.session, self.plan, self.pool = session, session.plan, session.residents.pool
        self._turns = Turns(session)
        self.desks = {name: self._desk(name) for name in self.plan.roles if self.writes(name)}
        self.elsewhere: Mapping[str, Engine] = {
            name: open_engine(session, name)
            for name in self.plan.workload.roles
            if name not in self.plan.roles
        }

    def writes(self, name: str) -> bool:
        """Whether a role that is held here writes texts after texts."""
        role = self.plan.workload.roles[name]
        return role.runs_with.writes and not role.images and self.new_tokens(name) > 0

    def new_tokens(self, name: str) -> int:
        """Tokens of a reply that a role is planned for, at most."""
        workload = self.plan.workload
        own = workload.roles[name].new_tokens
        return workload.new_tokens if own is None else own

    def room(self, name: str) -> int:
        """Tokens of a prompt that a role is planned for, at most."""
        return self._turns.longest(name)

    def batch(self, name: str) -> int:
        """Texts that a role is planned to read at once."""
        return self._turns.limits(name).sequences

    def captured(self, name: str) -> tuple[Capture, ...]:
        """What the file captures of a role."""
        return captures_of(name, self.plan.workload)

    def staying(self) -> tuple[str, ...]:
        """Roles that the plan never has leave."""
        return self.session.staying()

    def _desk(self, name: str) -> Desk:
        return Desk(name, self.pool, self._turns.splitter(name), self.room(name))


@contextmanager
def open_lending(plans: Plans, options: Options) -> Iterator[Lending]:
    """The pool of a plan of kind `serve`, and who answers by the plan of the whole.

    Raises DoesNotFitError where it does not fit, or would not with what any role may take beside any other.
    """
    plan, whole = plans.roles, plans.whole
    for each in (plan,) if whole is None else (plan, whole):
        check_able(each)
        refuse_unfit(each)
    held: list[Session] = []

    def holds(made: Plan, download: bool, _: Callable[[PoolSeen], None]) -> Residents:
        def lent(name: str, weights: BilledWeights) -> Role:
            return _role(made, name, Opened(name, weights, lambda loaded: _engine(held[0], name, loaded)))

        return Residents(made, download, None, lent, Threads(len(made.roles)))

    with (
        shared(),
        TemporaryDirectory(prefix="ullage-serve-") as folder,
        open_session(plan, RunFolder(Path(folder)), options, holds) as session,
    ):
        held.append(session)
        for name in plan.roles:
            engine = plan.workload.roles[name].runs_with
            if engine.memory == "own cache":
                session.residents.opened_by(name, import_module(engine.opener).starter(session, name))
        _occupy(session)
        for warning in plan.warnings:
            session.say(warning)
        with nullcontext() if whole is None else _opened(session, whole) as answering:
            yield Lending(session, answering)


@contextmanager
def _opened(session: Session, plan: Plan) -> Iterator[Whole]:
    kind = plan.workload.kind
    with (
        import_module(find_kind(kind).server).open_served(session, plan) as answering,
        ThreadPoolExecutor(1, "ullage-whole") as thread,
    ):
        yield Whole(kind, answering, thread)


def _role(plan: Plan, name: str, weights: Opened) -> Role:
    """Of a file that has roles leave by themselves only those stay that it pins."""
    workload, section = plan.workload, plan.workload.section
    keep_alive = getattr(section, "keep_alive", None)
    stays = name in plan.staying() and keep_alive is None
    own = workload.roles[name].residency == "persistent"
    never_leaves = section is not None and name in section.staying(workload)  # type: ignore[attr-defined]
    return Role(name, (weights,), persistent=never_leaves or own or stays, idle_seconds=keep_alive)


def _engine(session: Session, name: str, loaded: Loaded) -> object:
    from ullage.engines.viewer import viewer_of

    role = session.workload.roles[name]
    opener = import_module(role.runs_with.opener)
    if role.runs_with.memory == "pipeline":
        return opener.painter_of(session, name, loaded)
    return viewer_of(session, name, loaded) if role.images else opener.engine_of(session, name, loaded)


def _occupy(session: Session) -> None:
    """Counts what any role takes beside all weights from now on. Raises DoesNotFitError where a role would
    never have room beside it."""
    beside, pool = session.residents.most_beside, session.residents.pool
    budgets = {each.place: each.budget for each in pool.snapshot().places}
    stay = session.residents.sizes_of(session.staying())
    for name in session.plan.roles:
        need = together(stay, {} if name in session.staying() else session.residents.sizes_of([name]), beside)
        over = exceeding(need, budgets)
        if over:
            raise DoesNotFitError(
                f"role {name}: {told(over)} too little is left for what any other role may take while it is "
                "there; give the role that works on most a smaller batch, or fewer prompt_tokens"
            )
    pool.occupy(beside)
