"""The pool as those who borrow from it see it: with threads, with tasks, and what they are told."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from ullage.errors import DoesNotFitError, InputError, UnknownNameError, WaitError
from ullage.records.pool import read_pool
from ullage.runtime.pool import Pool, Role, Terms, last_used, transitions
from ullage.runtime.pool.simulated import Memory, SimulatedWeights


@pytest.fixture
def memory() -> Memory:
    return Memory({"a": 100, "b": 100, "host": 100})


def roles(memory: Memory, **sizes: int) -> list[Role]:
    return [Role(name, (SimulatedWeights(name, memory, {"a": size}),)) for name, size in sizes.items()]


def pool_of(memory: Memory, **sizes: int) -> Pool:
    return Pool(roles(memory, **sizes), {"a": 100, "b": 100}, 100)


def test_with_lends_the_model_and_gives_it_back(memory):
    with pool_of(memory, voice=80) as pool:
        with pool.lease("voice", timeout=10) as lease:
            assert lease.model.name == "voice"
            assert lease.form == "full"
            assert lease.run(lambda model: model.name) == "voice"
            assert pool.snapshot().roles[0].leases == 1
        assert pool.snapshot().roles[0].leases == 0
        with pytest.raises(InputError, match="role voice: was given back"):
            lease.run(lambda model: model.name)
    assert not any(memory.held.values())


def test_async_with_is_the_same_loan(memory):
    async def talk() -> list[str]:
        with pool_of(memory, one=80, two=80) as pool:

            async def ask(name: str) -> str:
                async with pool.lease(name, timeout=10) as lease:
                    return await lease.run(lambda model: model.name)

            return await asyncio.gather(*(ask(name) for name in ["one", "two"] * 8))

    assert asyncio.run(talk()) == ["one", "two"] * 8
    assert not memory.beyond
    assert not any(memory.held.values())


def test_a_crash_in_a_roles_code_releases_its_lease(memory):
    with pool_of(memory, one=80, two=80) as pool:
        with pytest.raises(ZeroDivisionError), pool.lease("one") as lease:
            lease.run(lambda model: 1 / 0)
        with pool.lease("two", timeout=10) as lease:
            assert lease.model.name == "two"


def test_work_goes_on_undisturbed_when_its_task_is_cancelled(memory):
    began, may_end = threading.Event(), threading.Event()

    def work(model: object) -> str:
        began.set()
        may_end.wait(10)
        assert memory.held["a"] == 80
        return "done"

    async def talk(pool: Pool) -> None:
        async def ask() -> None:
            async with pool.lease("one") as lease:
                await lease.run(work)

        task = asyncio.create_task(ask())
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.snapshot().roles[0].leases == 1  # what runs has it still
        other = pool.ask("two", 10)
        assert not other.lent
        may_end.set()
        await asyncio.wrap_future(other.answer)
        pool.withdraw(other)

    with pool_of(memory, one=80, two=80) as pool:
        asyncio.run(talk(pool))


def test_a_task_that_is_cancelled_while_it_waits_is_forgotten(memory):
    async def talk(pool: Pool) -> None:
        with pool.lease("one"):

            async def ask() -> None:
                async with pool.lease("two"):
                    pass

            task = asyncio.create_task(ask())
            await asyncio.sleep(0)
            assert len(pool.snapshot().waiting) == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not pool.snapshot().waiting

    with pool_of(memory, one=80, two=80) as pool:
        asyncio.run(talk(pool))


def test_one_piece_of_work_runs_on_a_device_at_a_time(memory):
    running, most = 0, 0
    lock = threading.Lock()

    def work(model: object) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.001)
        with lock:
            running -= 1

    both = Role("both", (SimulatedWeights("both", memory, {"a": 10, "b": 10}),))
    with (
        Pool([*roles(memory, one=10), both], {"a": 100, "b": 100}, 0) as pool,
        pool.lease("one") as one,
        pool.lease("both") as two,
    ):
        for future in [lease.submit(work) for lease in (one, two) * 10]:
            future.result(10)
        assert one.run(lambda model: one.run(lambda same: same is model))
    assert most == 1


def test_a_wait_that_runs_out_says_who_holds_the_room_since_when_and_what_frees_it(bench):
    bench.add("router", {"a": 10}, persistent=True)
    bench.add("pragmatist", 80)
    bench.add("philosopher", 80)
    bench.open(patience=5.0)
    router, pragmatist = bench.ask("router"), bench.ask("pragmatist")
    bench.give_back(router)
    bench.clock.advance(41.0)
    asked = bench.ask("philosopher", 30.0)
    bench.clock.advance(30.0)
    error = bench.refused(asked)
    assert isinstance(error, WaitError)
    assert str(error) == (
        "role philosopher: waited 30 s for 0.00 GiB on a, which is held by router (since 71 s, persistent); "
        "pragmatist (since 71 s, lent 1 times, the longest since 71 s). Room comes free when pragmatist is "
        "given back"
    )
    assert error.holders == ("router", "pragmatist")
    bench.give_back(pragmatist)
    assert bench.ask("philosopher").lent


def test_roles_that_never_fit_are_refused_before_anything_is_loaded(memory):
    def refusal(*given: Role) -> str:
        with pytest.raises(DoesNotFitError) as told:
            Pool(given, {"a": 100}, 10)
        return str(told.value)

    large = SimulatedWeights("large", memory, {"a": 90}, {"a": 20})
    assert "role large: takes" in refusal(Role("large", (large,)))
    assert "but the budget is" in refusal(Role("large", (large,)))
    hosted = SimulatedWeights("hosted", memory, {"a": 9}, {"host": 20})
    assert "on host" in refusal(Role("hosted", (hosted,)))
    voice, specialist = roles(memory, voice=60, specialist=50)
    voice = Role("voice", voice.forms, persistent=True)
    assert "role specialist: is" in refusal(voice, specialist)
    assert "too large beside voice, which stay" in refusal(voice, specialist)
    second = Role("second", specialist.forms, persistent=True)
    assert "too large beside the other persistent roles" in refusal(voice, second)
    assert memory.most == {"a": 0, "b": 0, "host": 0}


def test_names_and_forms_that_make_no_sense_are_refused(memory):
    one, two = roles(memory, one=10, two=10)
    with pytest.raises(InputError, match="there twice"):
        Pool([one, one], {"a": 100})
    with pytest.raises(InputError, match="has 0 forms"):
        Pool([Role("none", ())], {"a": 100})
    with pytest.raises(InputError, match="shares one form"):
        Pool([one, Role("both", (two.forms[0], one.forms[0]))], {"a": 100})
    with Pool([one, two], {"a": 100}) as pool, pytest.raises(UnknownNameError, match="unknown role 'on'"):
        pool.lease("on")


def test_a_role_goes_to_host_where_it_is_held_and_to_disk_where_it_is_not(bench):
    for name in ("one", "two", "three"):
        bench.add(name, 80, parked=60)
    bench.open()
    for name in ("one", "two", "three"):
        bench.give_back(bench.ask(name))
        bench.clock.advance(1.0)
    places = sorted(bench.where(name) for name in ("one", "two", "three"))
    assert places == ["device", "disk", "host"]
    again = bench.ask(next(name for name in ("one", "two") if bench.where(name) == "host"))
    assert bench.weights[again.role].said[-1] == "from host"


def test_what_cannot_be_parked_is_dropped(bench):
    one = bench.add("one", 80, parked=80)
    bench.add("two", 80)
    bench.open()
    one.park_fails = [RuntimeError("no pinned memory")]
    bench.give_back(bench.ask("one"))
    assert bench.ask("two").lent
    assert bench.where("one") == "disk"


def test_what_cannot_even_be_dropped_keeps_its_bytes_and_is_not_lent(bench):
    one = bench.add("one", 60)
    bench.add("two", 60)
    bench.add("small", 30)
    bench.open()
    bench.give_back(bench.ask("one"))
    one.drop_fails = [RuntimeError("the driver is gone")]
    two = bench.ask("two")
    assert "the driver is gone" in str(bench.refused(two))
    assert "could not be taken off its device" in str(bench.refused(bench.ask("one")))
    assert bench.ask("small").lent


def test_the_least_recently_used_of_equal_roles_leaves(bench):
    for name in ("old", "new"):
        bench.add(name, 50)
    bench.add("asked", 50)
    bench.open()
    for name in ("old", "new"):
        bench.give_back(bench.ask(name))
        bench.clock.advance(10.0)
    assert bench.ask("asked").lent
    assert (bench.where("old"), bench.where("new")) == ("disk", "device")


def test_of_two_equally_old_the_one_that_comes_back_sooner_leaves(bench):
    slow, quick = bench.add("slow", 50), bench.add("quick", 50)
    bench.add("asked", 50)
    bench.open()
    slow.on_part = lambda: bench.clock.sleep(5.0)
    quick.on_part = lambda: bench.clock.sleep(0.1)
    bench.give_back(bench.ask("slow"), bench.ask("quick"))
    bench.clock.advance(10.0)
    assert bench.ask("asked").lent
    assert (bench.where("slow"), bench.where("quick")) == ("device", "disk")


def test_a_load_takes_the_host_memory_it_passes_through(bench):
    bench.add("parked", 60, parked=90)
    bench.add("passing", 60, passing={"host": 50})
    bench.open()
    bench.give_back(bench.ask("parked"))
    assert bench.ask("passing").lent
    assert bench.where("parked") == "disk"


def test_a_persistent_role_is_compressed_while_another_needs_the_room(bench):
    """The voice stays, in int8 while a large specialist is there, and whole again when that has gone."""
    bench.add("voice", 70, compressed=30, persistent=True)
    bench.add("philosopher", 60)
    bench.add("artist", 20)
    bench.open()
    bench.give_back(bench.ask("voice"))
    philosopher = bench.ask("philosopher")
    assert philosopher.lent
    voice = bench.ask("voice")
    assert voice.resident.here.form == "compressed"
    bench.give_back(philosopher, voice)
    bench.give_back(bench.ask("voice"))
    assert bench.pool.snapshot().roles[0].form == "compressed"  # the philosopher is still there
    bench.give_back(bench.ask("artist"))
    bench.give_back(bench.ask("voice"))
    assert bench.pool.snapshot().roles[0].form == "full"


def test_a_compressed_role_comes_back_whole_where_there_is_room(bench):
    bench.add("voice", 70, compressed=30, persistent=True)
    bench.add("philosopher", 60, idle_seconds=5.0)
    bench.open()
    bench.give_back(bench.ask("voice"))
    bench.give_back(bench.ask("philosopher"))
    bench.clock.advance(6.0)
    bench.clock.settle()
    voice = bench.ask("voice")
    assert voice.lent
    assert voice.resident.here.form == "full"


def test_a_role_is_served_compressed_where_its_full_form_has_no_room_now(bench):
    bench.add("large", 70, compressed=30)
    bench.add("other", 60)
    bench.open()
    other = bench.ask("other")
    large = bench.ask("large")
    assert large.lent
    assert large.resident.here.form == "compressed"
    bench.give_back(other, large)


def test_what_is_expected_is_loaded_before_it_is_asked_for(bench):
    weights = bench.add("next", 80)
    bench.add("now", 80)
    pool = bench.open()
    now = bench.ask("now")
    pool.expect({"next": 0.8, "now": 0.1})
    bench.clock.settle()
    assert bench.where("next") == "disk"  # the other is lent
    bench.give_back(now)
    assert bench.where("next") == "device"
    assert bench.ask("next").lent
    assert weights.said == ["from disk"]


def test_the_predictor_is_asked_after_each_loan(bench):
    for name in ("question", "answer", "other"):
        bench.add(name, 80)
    bench.open(predictor=transitions)
    for name in ("question", "answer", "question"):
        bench.give_back(bench.ask(name))
    assert bench.where("answer") == "device"


def test_a_preload_is_called_off_when_its_room_is_asked_for(bench):
    expected = bench.add("expected", 80)
    bench.add("asked", 80)
    pool = bench.open()
    asked = []
    expected.on_part = lambda: (
        asked.append(pool.ask("asked")) if bench.memory.held["a"] and not asked else None
    )
    pool.expect({"expected": 1.0})
    bench.clock.settle()
    assert expected.said == ["cancelled"]
    assert asked[0].lent


def test_a_preload_that_is_asked_for_itself_is_not_called_off(bench):
    expected = bench.add("expected", 80)
    bench.add("asked", 80)
    pool = bench.open()
    pool.expect({"expected": 1.0})
    own = pool.ask("expected")
    other = pool.ask("asked")
    bench.clock.settle()
    assert own.lent
    assert not other.lent
    assert expected.said == ["from disk"]


def test_a_load_that_nobody_waits_for_any_more_makes_way(bench):
    """llama-swap, 727: cancel the load whose request was cancelled, when another model is asked for."""
    first = bench.add("mistaken", 80)
    bench.add("meant", 80)
    pool = bench.open()
    mistaken = pool.ask("mistaken")
    pool.withdraw(mistaken)
    meant = pool.ask("meant")
    bench.clock.settle()
    assert meant.lent
    assert "from disk" not in first.said


def test_a_pool_that_closes_waits_for_what_is_lent(memory):
    pool = pool_of(memory, one=80)
    with pool.lease("one") as lease:
        with pytest.raises(WaitError, match="one: still in use 0 s after the pool was to close"):
            pool.close(0.0)
        assert lease.model.name == "one"
    pool.close(10.0)
    assert not any(memory.held.values())
    with pytest.raises(WaitError, match="the pool was closed"), pool.lease("one"):
        pass


def test_a_snapshot_is_kept_in_a_folder_and_read_back(bench, tmp_path):
    bench.add("voice", 70, compressed=30, persistent=True)
    bench.add("other", 60)
    pool = bench.open(simulated=True, predictor=last_used)
    voice = bench.ask("voice")
    bench.ask("other", 60.0)
    bench.clock.advance(3.0)
    pool.write(tmp_path)
    seen = pool.snapshot()
    assert read_pool(tmp_path) == seen
    assert json.loads(json.dumps(seen.to_json()))["simulated"]
    assert [each.seconds for each in seen.waiting] == [3.0]
    assert (seen.roles[0].where, seen.roles[0].leases, seen.roles[0].lent_seconds) == ("device", 1, 3.0)
    bench.give_back(voice)


def test_predictions_are_shares_of_what_was():
    assert transitions("ABAC") == {}
    assert transitions("ABACABA") == {"B": 2 / 3, "C": 1 / 3}
    assert last_used(["A", "B"]) == {"B": 2 / 3, "A": 1 / 3}
    assert transitions([]) == last_used([]) == {}


def test_terms_have_a_longest_wait_for_those_who_name_none():
    assert Terms().longest_wait > Terms().patience


def test_a_lent_role_keeps_its_model_when_its_other_form_is_dropped_from_host(bench):
    bench.add("large", 70, parked=70, compressed=30)
    bench.add("other", 60)
    bench.add("passing", {"b": 20}, passing={"host": 50})
    bench.open()
    bench.give_back(bench.ask("large"))
    bench.ask("other")
    large = bench.ask("large")
    assert large.resident.here.form == "compressed"
    model = large.resident.model
    passing = bench.pool.ask("passing")
    again = bench.pool.ask("large")
    assert again.lent  # nothing that it uses moves
    bench.clock.settle()
    assert passing.lent
    assert bench.weights["large"].place == "disk"
    assert large.resident.model is model
