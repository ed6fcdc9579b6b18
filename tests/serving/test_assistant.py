"""An assistant as one model, beside its roles, on the same pool."""

import base64
import http.client
import io
import json
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

import ullage
from ullage.runtime.opening import Options
from ullage.serving.checking import check_served
from ullage.serving.made import plans_of
from ullage.serving.server import Listening


@pytest.fixture(scope="module")
def document(artist_folder, perception_folder):
    roles = {name: {"model": "ullage:tiny"} for name in ("router", "voice", "pragmatist", "philosopher")}
    roles["router"]["new_tokens"] = 1
    roles["artist"] = {"model": str(artist_folder), "engine": "diffusers", "image_size": "32x32", "steps": 1}
    roles["perception"] = {"model": str(perception_folder), "images": 1, "image_size": "64x48"}
    work = {"prompt_tokens": 200, "new_tokens": 16, "batch": 2}
    return {"kind": "assistant", "roles": roles, "budget": {"gpus": "2x(cpu, 40MiB)"}, **work}


@pytest.fixture(scope="module")
def assistant(begun, document):
    with begun(document) as found:
        yield found


def said(*texts):
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def test_it_is_one_model_beside_its_roles(assistant, document):
    names = [each.id for each in assistant.client().models.list()]
    assert names == [*document["roles"], "assistant"]


def test_it_answers_as_it_does_in_a_talk(assistant, document, tmp_path):
    """Turn by turn, with the conversation in every request."""
    asked = ["How do I fix a broken boat?", "Where is the cat?"]
    path = tmp_path / "assistant.json"
    path.write_text(json.dumps(document))
    with ullage.talk(path) as talk:
        rows = [talk.say(text).row for text in asked]
    told = [row["voice"] or row["answer"] for row in rows]
    client = assistant.client().chat.completions
    first = client.create(model="assistant", messages=said(asked[0]))
    assert first.choices[0].message.content == told[0]
    assert first.usage.prompt_tokens > 0
    second = client.create(model="assistant", messages=said(asked[0], told[0], asked[1]))
    assert second.choices[0].message.content == told[1]


def test_pictures_come_and_go(assistant):
    from PIL import Image

    client = assistant.client().chat.completions
    painted = client.create(model="assistant", messages=said("Paint a red boat."))
    (picture,) = painted.choices[0].message.images
    png = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
    assert Image.open(io.BytesIO(png)).size == (32, 32)
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    parts = [
        {"type": "text", "text": "What is in the picture"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    streamed = [*client.create(model="assistant", messages=[{"role": "user", "content": parts}], stream=True)]
    assert streamed[-1].choices[0].finish_reason in ("stop", "length")


def test_roles_and_the_whole_are_asked_at_once(assistant):
    client = assistant.client().chat.completions
    models = ["assistant", "pragmatist", "voice", "philosopher"] * 3

    def answer(model):
        return client.create(model=model, messages=said("Where is the cat?")).choices[0].message.content

    alone = [answer(model) for model in models[:4]]
    with ThreadPoolExecutor(12) as threads:
        assert [*threads.map(answer, models)] == alone * 3


@pytest.mark.parametrize(
    "more, problem",
    [
        ({"temperature": 1}, "temperature: assistant is several roles"),
        ({"messages": said("one", "two")}, "the last one is not a user's"),
        ({"messages": [{"role": "system", "content": "Be brief."}, *said("one")]}, "asked by users alone"),
        ({"messages": said(" ")}, "nothing was said"),
    ],
)
def test_what_its_file_says_is_not_said_again(assistant, more, problem):
    with pytest.raises(openai.BadRequestError, match=problem):
        assistant.client().chat.completions.create(
            **{"model": "assistant", "messages": said("Hello"), **more}
        )


def test_router_and_voice_stay_while_specialists_take_turns(assistant):
    """Where its run has them: the voice's layers over both devices, beside whoever has its turn."""
    plans = assistant.plan
    assert plans.whole.staying() == plans.roles.staying() == ("router", "voice")
    maps = [
        {name: role.placement.device_map for name, role in each.roles.items()}
        for each in (plans.whole, plans.roles)
    ]
    assert maps[0] == maps[1]
    assert set(maps[0]["voice"].values()) == {"gpu:0", "gpu:1"}
    pool = json.loads(assistant.client().models.with_raw_response.retrieve("voice").content)["ullage"]
    assert pool["where"] == "device"
    assert set(pool["bytes"]) == {"gpu:0", "gpu:1"}


def test_the_example_is_asked_once_for_each_role_and_as_a_whole(tmp_path, artist_folder, perception_folder):
    roles = [f"roles.artist.model={artist_folder}", f"roles.perception.model={perception_folder}"]
    plans = plans_of("examples/small/assistant-tiny.yaml", overrides=roles)
    answered = check_served(plans, Listening(), Options(quiet=True))
    assert [line.partition(" answered")[0] for line in answered] == [
        "router: chat",
        "voice: chat",
        "pragmatist: chat",
        "philosopher: chat",
        "archivist: chat",
        "artist: images",
        "perception: pictures",
        "assistant: pictures",
    ]


def test_clients_that_wait_are_answered_side_by_side(assistant, monkeypatch):
    """As many as the voice's batch, a user's own one after the other; each as it is answered alone."""
    from ullage.kinds.assistant.flow import Flow

    answer, batches = Flow.answer, []

    def noted(flow, turns):
        batches.append([turn.request.user for turn in turns])
        answer(flow, turns)

    monkeypatch.setattr(Flow, "answer", noted)

    def ask(number):
        users = {} if number < 8 else {"user": "ann"}
        found = assistant.client().chat.completions.create(
            model="assistant", messages=said(f"Where is cat {number % 4}?"), **users
        )
        return found.choices[0].message.content, found.usage

    alone = [ask(number) for number in range(4)]
    assert [len(users) for users in batches] == [1, 1, 1, 1]
    batches.clear()
    with ThreadPoolExecutor(12) as threads:
        together = [*threads.map(ask, range(12))]
    assert together == alone * 3
    assert max(map(len, batches)) == 2
    assert all(users.count("ann") < 2 for users in batches)


def test_a_mistake_that_only_the_work_finds_keeps_the_connection(assistant):
    host = urllib.parse.urlsplit(assistant.address).netloc
    headers = {"Authorization": f"Bearer {assistant.token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(host)
    connection.connect()
    local = connection.sock.getsockname()
    for text, status in ((" ", 400), ("Where is the cat?", 200), (" ", 400), (" ", 400)):
        body = json.dumps({"model": "assistant", "messages": said(text)})
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        assert answer.status == status, answer.read()
        answer.read()
        assert connection.sock is not None  # the server did not end it
        assert connection.sock.getsockname() == local
    connection.close()


def test_one_that_cannot_be_answered_takes_nobody_along(assistant):
    client = assistant.client().chat.completions

    def ask(text):
        try:
            return client.create(model="assistant", messages=said(text)).choices[0].message.content
        except openai.BadRequestError as error:
            return error.code

    with ThreadPoolExecutor(6) as threads:
        found = [*threads.map(ask, ["Where is the cat?", " "] * 3)]
    assert found[1::2] == ["invalid_request"] * 3
    assert len(set(found[::2])) == 1
