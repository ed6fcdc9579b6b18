"""Models that go while they are served, and a server that ends before its answers do."""

import json
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

import ullage

SAID = [{"role": "user", "content": "Where is the cat?"}]


def health(server):
    with urllib.request.urlopen(f"{server.address}/health") as answer:
        return json.load(answer)


def test_a_model_that_is_gone_fails_by_its_name_and_takes_no_other_along(begun, tmp_path):
    """mudler/LocalAI 7503: after one that failed to load no other was loaded."""
    shutil.copytree(ullage.tiny_path(), tmp_path / "model")
    roles = {"moved": {"model": str(tmp_path / "model")}, "other": {"model": "ullage:tiny"}}
    work = {"prompt_tokens": 60, "new_tokens": 8, "batch": 2, "schedule": "sequential"}
    with begun({"kind": "serve", "roles": roles, "budget": {"gpus": "1x(cpu, 24MiB)"}, **work}) as server:
        client = server.client().chat.completions

        def ask(model):
            return client.create(model=model, messages=SAID).choices[0].message.content

        (weights,) = (tmp_path / "model").glob("*.safetensors")
        kept = weights.read_bytes()
        weights.unlink()
        with pytest.raises(openai.APIStatusError, match="role moved: ") as error:
            ask("moved")
        assert error.value.status_code == 502
        weights.write_bytes(kept[:1000])
        with pytest.raises(openai.APIError, match="role moved: "):
            list(client.create(model="moved", messages=SAID, stream=True))
        other = ask("other")
        weights.write_bytes(kept)
        assert ask("moved") == other


def test_what_is_not_answered_when_the_time_is_over_is_told_so(serving, endless_folder):
    """It was a 500 in plain text, and a stream that broke off."""
    work = {"new_tokens": 8_000, "prompt_tokens": 50, "batch": 1}
    with ThreadPoolExecutor(2) as threads:
        with serving({"writer": {"model": str(endless_folder)}}, work, drain_seconds=1) as server:
            create = server.client().chat.completions.create
            stream = create(model="writer", messages=SAID, stream=True)
            next(iter(stream))
            whole = threads.submit(lambda: create(model="writer", messages=SAID))
            other = threads.submit(lambda: list(create(model="writer", messages=SAID, stream=True)))
            while health(server)["waiting"] < 2:
                time.sleep(0.02)
        with pytest.raises(openai.APIError, match="the server ends"):
            list(stream)
        for each in (whole, other):
            with pytest.raises(openai.APIError, match="the server ends"):
                each.result()
