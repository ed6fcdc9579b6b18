"""States that the stages of a run leave beside their results, in its `states/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from ullage.capture.choosing import Choosing, some_of
from ullage.capture.entries import STATES, StoredBatches, states_of
from ullage.capture.finite import not_finite, outcome_of, refused
from ullage.capture.index import write_index
from ullage.capture.listener import Listener, ReadSequence
from ullage.capture.projection import Products, products_in, projected, projected_capture, stored_in
from ullage.capture.proofs import proof_of, proven_points, to_json
from ullage.capture.sites import Point
from ullage.capture.store import Example, ShardStore
from ullage.engines.engine import Engine
from ullage.engines.heard import Heard
from ullage.engines.observer import Observable
from ullage.errors import InputError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.phases.phase import Phase
from ullage.runtime.layout import find_layout
from ullage.runtime.session import Session
from ullage.spec.capture import Capture
from ullage.spec.rope import model_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Ways = tuple[bool, bool]
"""How states are read: in chunks, and while tokens are written."""
WRITING: Final = False, True
FOLDER: Final = "states"
"""In the folder of the run."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sequence of a batch is about: the record at place `index` of the input, called `id`.

    `part` tells apart several sequences of one record (samples, candidates, pairs).
    """

    index: int
    id: str
    part: int = 0


class KeptStates:
    """Listens where the plan says, and writes each batch's states as one shard.

    Invariant: a batch's states are on disk before `taken` names them; what the journal does not name is
    written again, at the same place.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folder = session.folder.path / FOLDER
        self._new: list[dict[str, object]] = []
        self._shards: ShardStore | None = None
        self._weights: dict[str, Mapping[str, Tensor]] = {}

    def multiply(self, role: str, weights: Mapping[str, NDArray[np.float64]]) -> None:
        """From now on states of `role`, whose model is loaded, are multiplied at these sites with weights,
        (hidden, columns), in fp32."""
        import torch

        device = self._session.loaded[role].device
        held = {
            site: torch.from_numpy(each).to(device, torch.float32).contiguous()
            for site, each in weights.items()
        }
        self._weights[role] = held
        self._hold(role, [*held.values()], "probes")

    @contextmanager
    def listening(
        self, engine: Engine, phase: Phase, stage: str, asked: Sequence[Asked]
    ) -> Iterator[list[Products]]:
        """Inside, `engine` does one batch of `phase`, a sequence for each of `asked`; its states are kept.

        What is given holds, afterwards, each sequence's products with the weights of `multiply`; nothing of a
        batch that fails, and nothing where the plan has neither captures nor probes.
        """
        products: list[Products] = []
        if not (phase.work.captures or phase.work.probed) or not asked:
            yield products
            return
        listener = self._listener(phase, len(asked))
        with self._watched(engine, phase).observed(listener):
            yield products
        read = listener.finish()
        products += self.products(phase.running, read)
        if not phase.work.captures:
            return
        read = [replace(each, states=stored_in(each.states)) for each in read]
        self.keep(
            phase.running, read, listener.points, [_example(one, phase.running, stage) for one in asked]
        )

    def keep(
        self, role: str, read: Sequence[ReadSequence], points: Sequence[Point], about: Sequence[Example]
    ) -> None:
        """Keeps what was `read` of one batch at `points`; `about` is each sequence's example without its
        states and tokens.

        Raises InputError for states that are no numbers, unless they may be: nothing of their batch is kept.
        """
        self._hold(role, [tensor for each in read for tensor in each.states.values()])
        examples = [
            _with_states(*each, points)
            for each in zip(about, read, not_finite([one.states for one in read]), strict=True)
        ]
        self._check_finite(points, examples)
        del read
        self._new += [each.to_json() for each in self._store().add(0, examples)]
        self._hold(role, [])

    def products(self, role: str, read: Sequence[ReadSequence]) -> list[Products]:
        """What was read of `role`'s states as products with the weights of `multiply`; tells where they
        lie."""
        found = [products_in(each.states) for each in read]
        weights = [*self._weights.get(role, {}).values()]
        self._hold(role, weights + [one for each in found for one in each.values()], "probes")
        return found

    @contextmanager
    def hearing(self, engine: Engine, phase: Phase, begin: int) -> Iterator[Heard]:
        """Inside, `engine` writes one sequence of `phase`, and what is given has products with the weights
        of `multiply` of its positions from `begin` on, pass by pass; nothing else is kept."""
        heard = Heard(self.projected(phase), begin)
        with self._watched(engine, phase).observed(heard):
            yield heard
        self._hold(phase.running, [*self._weights[phase.running].values(), *heard.held()], "probes")

    def taken(self) -> dict[str, list[dict[str, object]]]:
        """What has been written since the last call, for the journal entry of the rows it belongs to."""
        found, self._new = self._new, []
        return {STATES: found} if found else {}

    def finish(self) -> None:
        """Writes the index of all states the journal names, if it names any."""
        if next(self._entries(), None) is None:
            return
        models = {name: role.model for name, role in self._session.workload.roles.items()}
        index = write_index(self._folder, self._entries, models)
        self._session.outcome[STATES] = {name: index[name] for name in ("examples", "tokens", "roles")}
        self._session.outcome |= outcome_of(self._entries())

    def _check_finite(self, points: Sequence[Point], examples: Sequence[Example]) -> None:
        """Stops a run whose states are no numbers, unless they may be: nothing of their batch is kept."""
        for one in examples if not self._session.allow_nan else ():
            problem = refused(one.not_finite, points)
            if problem is not None:
                raise InputError(
                    f"{one.role} {one.stage}: record {one.id!r}: {problem}; another precision may not "
                    "overflow; allow_nan: true of the capture, or --allow-nan, keeps and counts them"
                )

    def _listener(self, phase: Phase, sequences: int) -> Listener:
        """Made for each batch: points hold modules, which must be gone when their role is."""
        points = self.points(phase) + self.projected(phase)
        layout = find_layout(self._session.loaded[phase.running].model)
        return Listener(points, layout, Choosing(sequences), to_the_end=bool(phase.work.probed))

    def projected(self, phase: Phase, ways: Ways = WRITING) -> tuple[Point, ...]:
        """Where states of the running role are multiplied with its probes' weights."""
        weights = self._weights[phase.running] if phase.work.probed else {}
        points = self._proven(phase, [projected_capture(site) for site in weights], ways)
        return tuple(projected(each, weights[each.name]) for each in points)

    def points(self, phase: Phase, ways: Ways = WRITING) -> tuple[Point, ...]:
        """Where the states of the running role are kept of, as the plan says."""
        return self._proven(phase, phase.work.captures, ways)

    def _proven(self, phase: Phase, captures: Sequence[Capture], ways: Ways = WRITING) -> tuple[Point, ...]:
        if not captures:
            return ()
        whole = model_of(self._session.workload.roles[phase.running], self._session.plan.models)
        assert isinstance(whole, Architecture)
        layout = find_layout(self._session.loaded[phase.running].model)
        depth = len(whole.layers)
        say = self._session.say
        found = proven_points(captures, layout, name=whole.name, depth=depth, ways=ways, say=say)
        proofs = dict(cast("dict[str, object]", self._session.outcome.get("proofs", {})))
        self._session.outcome["proofs"] = proofs | {phase.running: to_json(proof_of(layout))}
        return found

    def _watched(self, engine: Engine, phase: Phase) -> Observable:
        """The engine as one that lets its model be watched. Raises UnsupportedError for one that does not."""
        if isinstance(engine, Observable):
            return engine
        name = self._session.workload.roles[phase.running].engine
        raise UnsupportedError(f"roles.{phase.running}: engine {name} lets nobody watch its model")

    def _store(self) -> ShardStore:
        if self._shards is None:
            self._shards = ShardStore(self._folder, 1, self._entries())
        return self._shards

    def _entries(self) -> Iterator[StoredBatches]:
        return states_of(self._session.journal.entries)

    def _hold(self, role: str, tensors: Sequence[Tensor], component: str = "captures") -> None:
        for device in self._session.monitor.devices:
            self._session.hold(role, device, component, self._session.bytes_on(device, tensors))


def _example(asked: Asked, role: str, stage: str) -> Example:
    return Example(asked.index, asked.id, None, (), (), 0, {}, role, stage, asked.part)


def _with_states(
    about: Example, read: ReadSequence, wrong: Mapping[str, int], points: Sequence[Point]
) -> Example:
    return replace(
        about,
        tokens=read.tokens,
        offsets=about.offsets or ((-1, -1),) * len(read.tokens),
        prompt_tokens=read.prompt_tokens,
        states={name: states.cpu() for name, states in read.states.items()},
        positions=some_of(points, read.positions),
        not_finite=wrong,
    )
