"""A server of small roles on loopback, in a thread of the test's own process."""

import contextlib
import json
import urllib.request
from dataclasses import dataclass

import pytest

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")

from threaded import threaded  # noqa: E402

from ullage.serving.made import plans_of  # noqa: E402
from ullage.serving.server import Listening, listen  # noqa: E402
from ullage.ui.beside import pages_beside  # noqa: E402
from ullage.ui.source import source_of  # noqa: E402

TOKEN = "a token of the tests, long enough"
CALL = 'I look.\n<tool_call>{"name": "weather", "arguments": {"town": "Norby"}}</tool_call>'


@dataclass(frozen=True)
class Running:
    address: str
    plan: object

    token = TOKEN

    def client(self, key=TOKEN, **more):
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, **{"max_retries": 0, **more})

    def post(self, path, body):
        """What is answered with 200."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return answer.read()


@contextlib.contextmanager
def running(plan, pages=False, **listening):
    """The address of a server that ends with the block; what it raises is raised."""
    at = Listening(port=0, **{"token": TOKEN, **listening})
    source = source_of(plan.roles, "served.json")
    with (
        pages_beside(source, None) if pages else contextlib.nullcontext() as beside,
        threaded(lambda ready: listen(plan, at, ready=ready, beside=beside)) as address,
    ):
        yield Running(address, plan)


def planned(folder, document, gpus=None):
    """The plans of serving a file."""
    path = folder / "served.json"
    path.write_text(json.dumps(document))
    return plans_of(str(path), gpus)


def written(folder, roles, **more):
    """The plan of serving these roles from a file."""
    document = {"kind": "serve", "roles": roles, "batch": 8, "prompt_tokens": 200, "new_tokens": 24}
    return planned(folder, document | more, "cpu")


@pytest.fixture(scope="session")
def small_roles(tmp_path_factory, perception_folder, artist_folder):
    """One that writes, one that looks, one that paints, and a script."""
    folder = tmp_path_factory.mktemp("served")
    script = folder / "script.jsonl"
    lines = [
        {"contains": "tool_response", "text": "It rains in Norby."},
        {"contains": "", "text": CALL},
    ]
    script.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "writer": {"model": "ullage:tiny"},
        "eye": {"model": str(perception_folder), "images": 1, "image_size": "64x48"},
        "painter": {"model": str(artist_folder), "engine": "diffusers", "image_size": "32x32", "steps": 2},
        "script": {"model": str(script), "engine": "scripted"},
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory, small_roles):
    """All of them, with a token."""
    captures = [{"role": "writer", "sites": ["blocks.*.hook_resid_post"], "positions": "all"}]
    with running(written(tmp_path_factory.mktemp("file"), small_roles, captures=captures)) as found:
        yield found


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """`with begun(document)`: a server of a file that says so."""

    @contextlib.contextmanager
    def of(document, **listening):
        with running(planned(tmp_path_factory.mktemp("file"), document), **listening) as found:
            yield found

    return of


@pytest.fixture
def serving(tmp_path):
    """`with serving(roles, more, **listening)`: a server of its own; `more` is what else its file says."""

    @contextlib.contextmanager
    def begun(roles, more=None, **listening):
        with running(written(tmp_path, roles, **(more or {})), **listening) as found:
            yield found

    return begun


@pytest.fixture(scope="session")
def endless_folder(tmp_path_factory):
    """A model that takes chats and never ends a reply by itself."""
    import small_models

    folder = tmp_path_factory.mktemp("models") / "endless"
    small_models.save(folder, chat=True, hidden=128, layers=4, positions=8192)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        held = json.loads((folder / name).read_text())
        held.pop("eos_token_id", None)
        if "eos_token" in held:
            held["eos_token"] = held["pad_token"]  # templates want one
        (folder / name).write_text(json.dumps(held))
    return folder
