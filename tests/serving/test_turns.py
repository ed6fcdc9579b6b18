"""Roles on a device that holds one of them: whoever asks waits in the pool's queue, and is answered."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import ullage
from ullage.serving.made import plans_of

NAMES = ("one", "two", "three")
WORK = {"batch": 2, "prompt_tokens": 60, "new_tokens": 8}


def file_of(device, **more):
    roles = {name: {"model": "ullage:tiny"} for name in NAMES}
    return {"kind": "serve", "roles": roles, "budget": {"gpus": f"1x(cpu, {device})"}, **WORK, **more}


def said(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def crowded(begun):
    with begun(file_of("24MiB")) as found:
        yield found


def where(server):
    return {each.id: each.ullage["where"] for each in server.client().models.list()}


def test_the_plan_has_idle_roles_wait(crowded):
    assert crowded.plan.roles.workload.schedule in ("swapped", "sequential")
    assert crowded.plan.roles.staying() == ()


def test_everybody_is_answered_whoever_has_to_leave(crowded):
    client = crowded.client()

    def answer(number):
        model = NAMES[number % 3]
        found = client.chat.completions.create(model=model, messages=said(f"Where is cat {number % 4}?"))
        return number % 4, found.choices[0].message.content

    with ThreadPoolExecutor(12) as threads:
        found = [*threads.map(answer, range(24))]
    assert len(set(found)) == 4
    assert sum(place == "device" for place in where(crowded).values()) <= 1


def test_a_stream_says_where_its_role_is_while_it_is_waited_for(crowded, monkeypatch):
    """A load that is made to last."""
    import urllib.request

    from ullage.serving import lending

    bring = lending.Opened.bring
    monkeypatch.setattr(lending.Opened, "bring", lambda *given: (time.sleep(2.5), bring(*given))[1])
    away = next(name for name, place in where(crowded).items() if place != "device")
    body = {"model": away, "messages": said("Where is the cat?"), "stream": True}
    headers = {"Authorization": f"Bearer {crowded.token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(
        f"{crowded.address}/v1/chat/completions", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(asked) as answer:
        lines = answer.read().decode().splitlines()
    assert any(line.startswith(f": role {away} is ") for line in lines)
    assert lines[-2] == "data: [DONE]"
    assert any('"finish_reason":"stop"' in line for line in lines)


def test_a_role_leaves_by_itself_once_nobody_asks_for_it(begun):
    with begun(file_of("200MiB", serve={"keep_alive": 0.5, "pinned": ["one"]})) as server:
        for name in NAMES[:2]:
            server.client().chat.completions.create(model=name, messages=said("Where is the cat?"))
        until = time.monotonic() + 20
        while where(server)["two"] == "device" and time.monotonic() < until:
            time.sleep(0.05)
        assert where(server)["two"] != "device"
        assert where(server)["one"] == "device"


def test_who_is_pinned_stays_in_every_layout(tmp_path):
    path = tmp_path / "file.json"
    for schedule in ("swapped", "sequential"):
        path.write_text(json.dumps(file_of("40MiB", schedule=schedule, serve={"pinned": ["two"]})))
        assert plans_of(str(path)).roles.staying() == ("two",)


@pytest.mark.parametrize(
    "more, problem",
    [
        ({"serve": {"pinned": ["tree"]}}, "nearest: three"),
        ({"serve": {"keep_alive": 0}}, "keep_alive"),
        ({"captures": [{"role": "one", "sites": ["blocks.*"], "positions": "span"}]}, "a record's own"),
        (
            {"roles": {"one": {"model": "ullage:tiny", "engine": "vllm", "residency": "disk"}}},
            "vllm gives nothing of its share",
        ),
        ({"training": {"optimizer": "adamw"}}, "trains nothing"),
    ],
)
def test_what_cannot_be_served_is_told_with_its_place(tmp_path, more, problem):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(file_of("200MiB") | more))
    with pytest.raises(ullage.SpecError, match=problem):
        plans_of(str(path))
