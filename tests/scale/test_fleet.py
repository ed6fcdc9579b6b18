"""What becomes of partitions whose actors die: which are done again, searched, rejected, given up."""

import errno
import itertools
import json
import platform
import random
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError
from ullage.records.attempts import read_attempts
from ullage.records.parts import Parts
from ullage.records.status import status_of
from ullage.scale import cluster, fleet
from ullage.scale.bisection import DEATHS, Bisection
from ullage.scale.blame import NODES, REASON
from ullage.scale.waiting import Task, Waiting
from ullage.workloads import execution

RECORDS = 17
WORK = {
    "kind": "pii",
    "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted", "batch": 2}},
    "budget": {"gpus": "cpu"},
    "new_tokens": 8,
    "pii": {"input": "records.jsonl"},
    "partition": {"records": 6},
}


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


class NodeDiedError(RayError):
    pass


class ActorUnavailableError(RayActorError):
    pass


class Ray:
    """As much of Ray as is asked for, in this process: an actor's work is done when it is waited for.
    `kills(method, args)` is asked before a method is done, and again after it, with what it
    returned: True ends the actor, and so does an error of Ray's, which is what its death is told by."""

    exceptions = SimpleNamespace(
        RayError=RayError,
        RayTaskError=RayTaskError,
        NodeDiedError=NodeDiedError,
        ActorUnavailableError=ActorUnavailableError,
    )
    cloudpickle = SimpleNamespace(
        register_pickle_by_value=lambda module: None, unregister_pickle_by_value=lambda module: None
    )

    def __init__(self, kills, nodes=2, seed=0):
        self._kills, self._nodes, self._chance = kills, nodes, random.Random(seed)
        self.killed, self.here = 0, ""

    def nodes(self):
        here = {"Alive": True, "Resources": self._resources(1), "NodeManagerHostname": "here"}
        return [{**here, "NodeID": f"{number:056x}"} for number in range(self._nodes)]

    def available_resources(self):
        return self._resources(self._nodes)

    @staticmethod
    def _resources(nodes):
        return {"CPU": 1.0 * nodes, "memory": 1e12 * nodes}

    def get_runtime_context(self):
        return SimpleNamespace(get_node_id=lambda: self.here)

    def wait(self, asked, timeout):
        chosen = self._chance.choice(asked)
        return [chosen], [each for each in asked if each is not chosen]

    def get(self, asked):
        return asked()

    def kill(self, actor):
        self.killed += 1
        actor.close.remote()

    def is_initialized(self):
        return False

    def shutdown(self):
        pass

    def remote(self, kind):
        """Actors are placed on the last node that they do not avoid."""

        def options(label_selector=None, **given):
            avoided = (label_selector or {}).get("ray.io/node-id", "")
            ids = [row["NodeID"] for row in self.nodes() if row["NodeID"] not in avoided]
            return SimpleNamespace(remote=lambda *args: _Handle(self, kind(*args), ids[-1]))

        return SimpleNamespace(options=options)


class _Handle:
    def __init__(self, ray, actor, node):
        self._ray, self._kills, self._actor, self._node = ray, ray._kills, actor, node

    def __getattr__(self, method):
        def remote(*args):
            def done():
                self._ray.here = self._node
                self.end(self._kills(method, args, None))
                found = getattr(self._actor, method)(*args)
                self.end(self._kills(method, args, found))
                return found

            if method == "close":
                return done()
            return done

        return SimpleNamespace(remote=remote)

    def end(self, killed):
        if killed:
            self._actor.close()  # or it would count the tensors of later tests
            raise killed if isinstance(killed, RayError) else RayActorError("killed")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "script.jsonl").write_text('{"contains": "", "scores": {"yes": -0.1, "no": -3.0}}\n')
    with (folder / "records.jsonl").open("w") as file:
        for number in range(RECORDS):
            found = {"type": "phone", "start": 5, "end": 9}
            file.write(json.dumps({"id": f"r{number}", "text": "Call 1234", "candidates": [found]}) + "\n")
    ullage.run(ullage.load(WORK), folder / "local", base=folder)
    return folder


def carried(monkeypatch, folder, name, kills, seed=0, overrides=(), look=lambda asked, node: []):
    ray = Ray(kills, seed=seed)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", ray.exceptions)
    monkeypatch.setattr(cluster, "_connect", lambda address: True)
    monkeypatch.setattr(fleet, "check_nodes", lambda nodes, asked, address: None)  # test_nodes has it
    monkeypatch.setattr("ullage.scale.actor.look", look)  # so that no Ray need be installed
    monkeypatch.setattr("gc.collect", lambda: 0)  # of each actor, a fifth of a second beside torch
    _, record = ullage.run(ullage.load(WORK, overrides), folder / name, base=folder, on="ray")
    return record


def rows(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


class Killer:
    """Whoever does one of these `lines` dies, and so does whoever is named in `chances`, in turn."""

    def __init__(self, lines=(), chances=()):
        self._lines, self._chances = set(lines), list(chances)

    def __call__(self, method, args, found):
        if method not in ("do", "try_out") or found is not None:
            return False
        if self._chances and self._chances.pop():
            return True
        part = args[0]
        lines = range(part.line + 1, part.line + part.lines + 1)
        if method == "try_out":
            lines = range(args[1], args[2] + 1)
        return bool(self._lines & (set(lines) - set(part.rejected)))


@settings(max_examples=6, deadline=None)
@given(
    st.sets(st.integers(1, RECORDS), max_size=2),
    st.lists(st.booleans(), max_size=3),
    st.integers(0, 9),
)
def test_records_that_end_actors_are_rejected_and_all_others_done(work, lines, chances, seed):
    with pytest.MonkeyPatch.context() as patched:
        name = f"run-{sorted(lines)}-{chances}-{seed}"
        if (work / name).exists():
            return
        killer = Killer(lines, chances)
        record = carried(patched, work, name, killer, seed)
    whole = rows(work / "local", "verified.jsonl")
    assert rows(work / name, "verified.jsonl") == [
        row for number, row in enumerate(whole, 1) if number not in lines
    ]
    rejected = rows(work / name, "rejects.jsonl")
    assert [(row["line"], row["reason"]) for row in rejected] == [(line, REASON) for line in sorted(lines)]
    accounts = record.outcome["partitions"]
    assert accounts["rejected"] == len(lines)
    assert (accounts["trials"] > 0) >= bool(lines)
    assert ullage.check_run(work / name).holds


def test_an_actor_that_dies_after_its_work_is_no_death_of_the_partition(work, monkeypatch):
    kills = lambda method, args, found: method == "do" and found is not None  # noqa: E731
    accounts = carried(monkeypatch, work, "after", kills).outcome["partitions"]
    assert (accounts["again"], accounts["lost"], accounts["trials"]) == (0, 0, 0)
    assert rows(work / "after", "verified.jsonl") == rows(work / "local", "verified.jsonl")


def test_actors_whose_partitions_lie_in_a_store_die_as_others_do(work, monkeypatch, tmp_path):
    store = f"partition.store=file://{tmp_path}/store"
    chances = [False, True, False, True, True]

    def kills(method, args, found):
        return bool(method == "do" and found is not None and chances and chances.pop())

    accounts = carried(monkeypatch, work, "stored", kills, overrides=[store]).outcome["partitions"]
    assert (accounts["again"], accounts["lost"]) == (0, 0), "each died after its manifest was there"
    lost = carried(monkeypatch, work, "lost", Killer({9}), overrides=[store]).outcome["partitions"]
    assert (lost["lost"], lost["rejected"]) == (3, 1)
    assert rows(work / "stored", "verified.jsonl") == rows(work / "local", "verified.jsonl")
    assert [each for each in (tmp_path / "store").rglob("*") if each.is_file()] == []


def test_a_partition_that_only_as_a_whole_ends_actors_ends_the_run_in_a_line(work, monkeypatch):
    kills = lambda method, args, found: method == "do" and args[0].number == 1  # noqa: E731
    with pytest.raises(InputError, match=r"partition 1 \(lines 7 to 12 .* no line of it alone did") as raised:
        carried(monkeypatch, work, "whole", kills)
    assert "\n" not in str(raised.value)
    assert 1 <= Parts(work / "whole").kept < 3
    found = status_of(work / "whole")
    assert found.state == "cut short"
    assert found.partitions.lost == 2 * DEATHS
    assert (found.done > 0, found.total) == (True, RECORDS)
    # What was found out is remembered: the next driver asks once more, and does not search again.
    ray = Ray(lambda *_: False)
    monkeypatch.setitem(sys.modules, "ray", ray)
    record = ullage.resume(work / "whole", on="ray")
    assert record.outcome["partitions"]["lost"] == 2 * DEATHS
    assert rows(work / "whole", "verified.jsonl") == rows(work / "local", "verified.jsonl")


@pytest.mark.parametrize("death", [OutOfMemoryError("the node ran low"), RayActorError("exit code 0")])
def test_however_a_record_ends_actors_it_is_rejected(work, monkeypatch, death):
    killer = Killer({9})
    name = type(death).__name__
    accounts = carried(monkeypatch, work, name, lambda *given: death if killer(*given) else False)
    assert accounts.outcome["partitions"]["rejected"] == 1
    assert len(rows(work / name, "verified.jsonl")) == RECORDS - 1


@pytest.mark.parametrize(
    "death",
    [
        NodeDiedError("preempted"),
        ActorUnavailableError("socket closed"),
        RayActorError("The actor died because its node has died."),
    ],
)
def test_nodes_that_come_and_go_are_no_fault_of_a_partition(work, monkeypatch, death):
    lost = [death] * (NODES * DEATHS - 1)
    name = f"nodes-{type(death).__name__}"
    kills = lambda method, args, found: lost.pop() if method == "do" and found is None and lost else False  # noqa: E731
    accounts = carried(monkeypatch, work, name, kills).outcome["partitions"]
    assert (accounts["lost"], accounts["trials"], accounts["rejected"]) == (NODES * DEATHS - 1, 0, 0)
    assert rows(work / name, "verified.jsonl") == rows(work / "local", "verified.jsonl")


def test_what_ends_actors_without_any_record_is_blamed_on_none(work, monkeypatch):
    """As a judge's known answers do, which the first partition asks beside its records."""

    def kills(method, args, found):
        return method in ("do", "try_out") and args[0].number == 0

    with pytest.raises(InputError, match="partition 0 ended 3 actors without any of its records") as raised:
        carried(monkeypatch, work, "beside", kills)
    assert "\n" not in str(raised.value)
    assert Parts(work / "beside").rejected() == {}


def test_what_is_wrong_in_an_actor_names_its_node(work, monkeypatch):
    def full(self, attempt, ended):
        raise OSError(errno.ENOSPC, "No space left on device", str(attempt))

    monkeypatch.setattr(Parts, "keep", full)
    with pytest.raises(InputError, match=r"an actor on \S+: .*/doing/.*: No space left on device"):
        carried(monkeypatch, work, "full", lambda *_: False)


def test_what_is_said_to_be_done_and_is_not_there_does_not_count(work, monkeypatch):
    monkeypatch.setattr(fleet, "SEEN_SECONDS", 0.0)
    monkeypatch.setattr(Parts, "keep", lambda self, attempt, ended: None)
    with pytest.raises(InputError, match=r"partition 0 was done, and is not in .*same disk on all nodes"):
        carried(monkeypatch, work, "unseen", lambda *_: False)


def test_times_of_actors_that_wait_for_one_processor_are_no_evidence(work, monkeypatch):
    given = []
    monkeypatch.setattr(execution, "leave_evidence", lambda *_, timed: given.append(timed))
    carried(monkeypatch, work, "two", lambda *_: False)
    assert given == [False]


def test_a_run_that_stands_still_ends_with_what_it_waits_for(work, monkeypatch):
    clock = SimpleNamespace(monotonic=itertools.count(step=0.3).__next__, sleep=lambda seconds: None)
    monkeypatch.setattr(fleet, "time", clock)
    monkeypatch.setattr(Ray, "wait", lambda self, asked, timeout: ([], asked))
    with pytest.raises(fleet.StalledError, match="nothing went on for 1 s: 2 actors wait to be placed"):
        carried(monkeypatch, work, "still", lambda *_: False, overrides=["partition.patience=1"])


def test_deaths_of_an_earlier_driver_count(work, monkeypatch):
    died = []

    def kills(method, args, found):  # others are kept before the last is begun
        if method == "do" and args[0].number == 2:
            died.append(args)
            if len(died) == 3:
                raise KeyboardInterrupt
            return True
        return False

    with pytest.raises(KeyboardInterrupt):
        carried(monkeypatch, work, "twice", kills)
    assert read_attempts(Parts(work / "twice"))[1]["lost"] == 2
    again = Killer({14})
    monkeypatch.setitem(sys.modules, "ray", Ray(again))
    accounts = ullage.resume(work / "twice", on="ray").outcome["partitions"]
    assert (accounts["lost"], accounts["rejected"]) == (3, 1)


def test_actors_that_never_open_end_the_run_in_a_line(work, monkeypatch):
    with pytest.raises(InputError, match="opening an actor ended 10 in a row"):
        carried(monkeypatch, work, "opening", lambda method, args, found: method == "open")


def lacks_a_package(*nodes):
    """What the nodes of these numbers answer who looks around there."""
    return lambda asked, node: ["spacy is missing there"] if int(node, 16) in nodes else []


def test_a_node_that_joined_since_and_is_not_fit_is_left_out_and_told(work, monkeypatch):
    record = carried(monkeypatch, work, "joined", lambda *_: False, look=lacks_a_package(1))
    line = f"node {platform.node()} ({'0' * 8}): spacy is missing there"
    assert record.outcome["partitions"]["left_out"] == [line], "once, though two actors came to it"
    assert f"left out: {line}" in record.outcome["remarks"]
    assert status_of(work / "joined").partitions.left_out == (line,)
    assert rows(work / "joined", "verified.jsonl") == rows(work / "local", "verified.jsonl")


def test_where_no_node_is_left_but_those_left_out_the_run_ends_with_a_line_for_each(work, monkeypatch):
    with pytest.raises(InputError, match=r"^--on ray: node .*: spacy is missing there") as raised:
        carried(monkeypatch, work, "none", lambda *_: False, look=lacks_a_package(0, 1))
    assert len(str(raised.value).splitlines()) == 2


@given(st.integers(1, 3000), st.data())
def test_one_line_of_many_is_found_in_as_many_trials_as_halvings(count, data):
    line = data.draw(st.integers(1, count))
    search, trials, found = Bisection(range(1, count + 1)), 0, "nothing yet"
    while found == "nothing yet":
        trials += 1
        found = search.died() if line in search.trial else search.lived()
    assert found == "it is the line"
    assert list(search.suspects) == [line]
    assert trials <= 1 + (count - 1).bit_length() + DEATHS


@given(st.integers(1, 300), st.lists(st.booleans(), max_size=40))
def test_a_line_is_blamed_only_after_it_alone_ended_so_many(count, deaths):
    search, alone, found = Bisection(range(count)), {}, "nothing yet"
    for died in deaths:
        if found != "nothing yet":
            break
        trial = tuple(search.trial)
        if len(trial) == 1 and died:
            alone[trial] = alone.get(trial, 0) + 1
        found = search.died() if died else search.lived()
    if found == "it is the line":
        assert alone[tuple(search.suspects)] == DEATHS


def test_what_waits_is_looked_up_as_it_is_asked_for():
    looked = []

    def left():
        for number in range(10**9):
            looked.append(number)
            yield number

    waiting = Waiting(left())
    assert waiting
    assert waiting.take() == Task(0)
    waiting.add(Task(7, range(3)))
    assert [waiting.take(), waiting.take()] == [Task(7, range(3)), Task(1)]
    assert looked == [0, 1]
