"""What users of other model servers had to complain of, each case by its name."""

from __future__ import annotations

import pytest

from ullage.errors import OutOfMemoryError, PinnedError, UllageError, WaitError


def test_a_request_in_progress_is_not_aborted_when_another_role_is_asked_for(bench):
    """llama.cpp's router, `--models-max 1`: "aborts in progress requests on model swap instead of waiting for
    completion" (22447, again 24849); llama-swap, "Prevent swapping while commands are running" (588)."""
    bench.add("long", 80)
    bench.add("other", 80)
    bench.open(patience=5.0)
    running = bench.ask("long")
    waiting = bench.ask("other")
    bench.clock.advance(500.0)
    assert bench.where("long") == "device"
    assert not waiting.lent
    bench.give_back(running)
    assert waiting.lent


def test_twenty_queued_requests_are_served_before_their_role_is_swapped_away(bench):
    """llama-swap, 588: of ten images asked for one was made, then the model was swapped for a chat and back
    for the other nine; 612 asks for A B A A C A as A A A A B C, with a longest wait for C."""
    for name in "ABC":
        bench.add(name, 80)
    bench.open(patience=60.0)
    first = bench.ask("A")
    queued = [bench.ask(name) for name in "BAACA"]
    images = [bench.ask("A") for _ in range(20)]
    assert [each.lent for each in queued] == [False, True, True, False, True]
    assert all(each.lent for each in images)
    bench.give_back(first, queued[1], queued[2], queued[4], *images)
    assert queued[0].lent
    bench.give_back(queued[0])
    assert queued[3].lent
    assert bench.weights["A"].said.count("from disk") == 1


def test_the_longest_wait_of_one_who_waits_behind_a_busy_role_is_bounded(bench):
    """llama-swap, 612: "to prevent starvation of C, a max wait time can be used"."""
    bench.add("busy", 80)
    bench.add("C", 80)
    bench.open(patience=10.0)
    running = bench.ask("busy")
    waiting = bench.ask("C")
    for _ in range(9):
        bench.clock.advance(1.0)
        following = bench.ask("busy")
        assert following.lent
        bench.give_back(running)
        running = following
    bench.clock.advance(1.0)
    late = bench.ask("busy")
    assert not late.lent
    bench.give_back(running)
    assert waiting.lent
    bench.give_back(waiting)
    assert late.lent


def test_all_who_asked_before_a_role_came_are_served_before_it_leaves(bench):
    """llama-swap, 588: with many waiting on both sides each swap served one request only."""
    bench.add("A", 80)
    bench.add("B", 80)
    bench.open(patience=1.0)
    running = bench.ask("A")
    waiting = [bench.ask("B")]
    bench.clock.advance(2.0)  # longer than B's patience
    waiting += [bench.ask("A"), bench.ask("B")]
    bench.clock.advance(2.0)
    bench.give_back(running)
    assert [each.lent for each in waiting] == [True, False, True]
    bench.give_back(waiting[0], waiting[2])
    assert waiting[1].lent


def test_a_model_that_is_still_loading_is_not_chosen_as_the_victim(bench):
    """llama.cpp, 25528: the router's `unload_lru()` could pick a model in LOADING state, which was killed."""
    bench.add("loading", 60)
    bench.add("idle", 30)
    bench.add("asked", 60)
    bench.open()
    bench.give_back(bench.ask("idle"))
    loading = bench.pool.ask("loading")
    asked = bench.pool.ask("asked")
    assert bench.where("loading") == "moving"
    bench.clock.settle()
    assert loading.lent
    assert not asked.lent
    assert bench.weights["loading"].said == ["from disk"]
    bench.give_back(loading)
    assert asked.lent


def test_eviction_is_by_bytes_and_out_of_memory_is_tried_once_more(bench):
    """llama.cpp, 25326: eviction counted models, the load ran out of memory, and every request failed "until
    a manual restart"; LocalAI, 7269: "fails to unload model to make room for new model"."""
    for name in ("one", "two", "three"):
        bench.add(name, 30)
    large = bench.add("large", 60)
    bench.open()
    for name in ("one", "two", "three"):
        bench.give_back(bench.ask(name))
        bench.clock.advance(1.0)
    asked = bench.ask("large")
    assert asked.lent
    left = [name for name in ("one", "two", "three") if bench.where(name) == "disk"]
    assert len(left) == 2
    bench.give_back(asked)
    bench.give_back(bench.ask("one"), bench.ask("two"), bench.ask("three"))
    large.fails = [MemoryError("device out of memory")]
    asked = bench.ask("large")
    assert asked.lent
    assert [bench.where(name) for name in ("one", "two", "three")].count("device") <= 1


def test_out_of_memory_twice_is_an_error_and_the_others_are_served(bench):
    bench.add("other", 30)
    large = bench.add("large", 60)
    bench.open()
    bench.give_back(bench.ask("other"))
    large.fails = [MemoryError("none left"), MemoryError("none left")]
    asked = bench.ask("large")
    error = bench.refused(asked)
    assert isinstance(error, OutOfMemoryError)
    assert "role large: memory ran out twice" in str(error)
    assert bench.ask("other").lent
    assert bench.where("large") == "disk"
    assert bench.ask("large").lent


def test_two_loads_at_once_that_each_fit_alone_are_not_begun_together(bench):
    """omlx, 650: "two different models causing both to try to load without off loading one, causing an out
    of memory issue"; Ollama, 13235: "VRAM runs out when loading models one after another"."""
    bench.add("one", 50, passing={"a": 10})
    bench.add("two", 50, passing={"a": 10})
    bench.open()
    one, two = bench.pool.ask("one"), bench.pool.ask("two")
    assert len(bench.clock.jobs) == 1
    bench.clock.settle()
    assert one.lent
    assert not two.lent  # 50 are there, and 60 are needed while it loads
    bench.give_back(one)
    assert two.lent


def test_the_same_model_under_two_names_is_loaded_once(bench):
    """llama-swap, 281: "occasionally preloads the same model into memory multiple times"."""
    from ullage.runtime.pool import Role

    weights = bench.add("judge", 80)
    bench.roles.append(Role("critic", (weights,)))
    bench.open()
    judge, critic = bench.ask("judge"), bench.ask("critic")
    assert judge.lent
    assert critic.lent
    assert judge.resident is critic.resident
    assert weights.said == ["from disk"]
    assert bench.pool.snapshot().places[0].used == 80


def test_the_next_load_waits_until_the_driver_has_given_memory_back(bench):
    """Ollama, 7745: "gpu VRAM usage didn't recover within timeout"; llama-swap, 97: the driver "hasn't
    finished cleaning up GPU states before the next model configuration is executed"."""
    given_back = 3.0

    def free(device: str) -> int:
        late = bench.clock.time < given_back
        return 20 if late and bench.weights["first"].place == "disk" else 100 - bench.memory.held[device]

    bench.add("first", 80)
    bench.add("second", 80)
    bench.open(free=free, free_wait=10.0)
    bench.give_back(bench.ask("first"))
    assert bench.where("first") == "device"
    second = bench.ask("second")
    assert second.lent
    assert bench.clock.time >= given_back


def test_a_driver_that_gives_nothing_back_is_said_so_after_a_bounded_wait(bench):
    bench.add("first", 80)
    bench.open(free=lambda device: 20, free_wait=10.0)
    error = bench.refused(bench.ask("first"))
    assert isinstance(error, OutOfMemoryError)
    assert "another process may hold it" in str(error)
    assert bench.clock.time < 30.0


def test_memory_that_another_process_takes_meanwhile_is_made_up_for_by_evicting(bench):
    """vLLM, 34600: another process took the memory while a model slept; waking failed, and what it had mapped
    by then was never released."""
    taken = 0

    def free(device: str) -> int:
        return 100 - taken - bench.memory.held[device]

    bench.add("small", 30)
    bench.add("large", 50)
    bench.open(free=free)
    bench.give_back(bench.ask("small"))
    taken = 40
    large = bench.ask("large")
    assert large.lent
    assert bench.where("small") == "disk"
    assert bench.pool.snapshot().failures == 1


def test_host_memory_is_accounted_after_waking_and_returned_when_another_needs_it(bench):
    """vLLM, 16663: "cpu memory not released when wake up the vLLM instance"."""
    bench.add("sleeper", 80, parked=80)
    bench.add("other", 80, parked=80)
    bench.open()
    bench.give_back(bench.ask("sleeper"))
    bench.clock.advance(1.0)
    bench.give_back(bench.ask("other"))
    assert bench.where("sleeper") == "host"
    bench.clock.advance(1.0)
    bench.give_back(bench.ask("sleeper"))
    host = bench.pool.snapshot().places[-1]
    assert host.place == "host"
    assert host.used == bench.memory.held["host"]
    bench.clock.advance(1.0)
    bench.give_back(bench.ask("other"))
    assert bench.memory.held["host"] <= 100


def test_a_discarded_role_wakes_with_its_buffers(bench):
    """vLLM, 16564 and 29341: "sleep level 2 causes gibberish outputs": what is no parameter was lost."""
    bench.add("role", 80)
    bench.add("other", 80)
    bench.open()
    first = bench.ask("role")
    before = first.resident.model
    bench.give_back(first)
    bench.give_back(bench.ask("other"))
    assert first.resident.model is None
    again = bench.ask("role")
    assert again.resident.model.buffers == "rotary"
    assert again.resident.model is not before


def test_the_idle_timer_of_a_busy_role_does_not_fire(bench):
    """llama-swap, 588: the time to live counted from the load, not from the last use; LocalAI's watchdog,
    5221, stopped backends at work."""
    bench.add("busy", 80, parked=80, idle_seconds=10.0)
    bench.open()
    running = bench.ask("busy")
    bench.clock.advance(100.0)
    bench.clock.settle()
    assert bench.where("busy") == "device"
    bench.give_back(running)
    bench.clock.advance(9.0)
    bench.clock.settle()
    assert bench.where("busy") == "device"
    bench.clock.advance(2.0)
    bench.clock.settle()
    assert bench.where("busy") == "host"


def test_a_role_is_not_evicted_while_nothing_needs_the_room(bench):
    """LocalAI, 11101: a pinned model "is torn down after every request, so each call pays a full reload"."""
    role = bench.add("role", 50)
    bench.add("beside", 50)
    bench.open()
    for _ in range(3):
        bench.give_back(bench.ask("role"), bench.ask("beside"))
        bench.clock.advance(1000.0)
        bench.clock.settle()
    assert role.said == ["from disk"]


def test_a_stray_request_does_not_throw_out_a_role_that_is_pinned(bench):
    """Ollama, 7789: "How to prevent Ollama requests to change the running model"; a client of llama-swap
    swapped through all models at their start."""
    bench.add("used", 80)
    bench.add("stray", 80)
    pool = bench.open()
    bench.give_back(bench.ask("used"))
    pool.pin("used")
    stray = bench.ask("stray")
    error = bench.refused(stray)
    assert isinstance(error, PinnedError)
    assert error.status == 409
    assert error.holders == ("used",)
    assert "pinned" in str(error)
    pool.unpin("used")
    assert bench.ask("stray").lent


def test_a_shutdown_in_the_middle_of_a_load_leaves_nothing_behind(bench):
    """llama-swap, 100: ended while a model was loading, it left the child and its memory behind."""
    half = bench.add("half", 80)
    bench.add("other", 20)
    pool = bench.open()
    bench.give_back(bench.ask("other"))
    ended = []
    half.on_part = lambda: ended.append(pool.end()) if bench.memory.held["a"] > 20 and not ended else None
    waiting = bench.ask("half")
    assert half.said == ["cancelled"]
    assert ended[0].done()
    assert not any(bench.memory.held.values())
    assert isinstance(bench.refused(waiting), WaitError)
    assert isinstance(bench.refused(bench.ask("other")), WaitError)


@pytest.mark.parametrize("error", [RuntimeError("broken file"), UllageError("no such model"), SystemExit(1)])
def test_after_any_failure_the_pool_still_serves(bench, error):
    """llama-swap, 97: after one failed load "all further requests return an error until llama-swap is
    restarted"."""
    failing = bench.add("failing", 80)
    bench.add("other", 80)
    bench.open()
    failing.fails = [error]
    asked = bench.pool.ask("failing")
    other = bench.pool.ask("other")
    bench.clock.settle()
    assert str(error) in str(bench.refused(asked))
    assert other.lent
    bench.give_back(other)
    assert bench.ask("failing").lent


def test_two_busy_roles_do_not_thrash(bench):
    """llama-swap, 611: "the majority of the time is spent just swapping model"."""
    for name in "AB":
        bench.add(name, 80, minimum_seconds=10.0)
    bench.open(patience=60.0)
    served = 0
    waiting = [bench.ask("A"), bench.ask("B")]
    for _ in range(400):
        bench.clock.advance(0.5)
        bench.clock.settle()
        for index, request in enumerate(waiting):
            if request.lent:
                served += 1
                bench.give_back(request)
                waiting[index] = bench.ask(request.role)
    loads = sum(each.said.count("from disk") for each in bench.weights.values())
    assert served >= 300
    assert loads <= 200 / 10 + 1
