"""Two engines as another package brings them: one remote, one that loads a model through the session."""

from typing import Annotated

from pydantic import Field

from ullage.engines.engine import Reply
from ullage.spec.engine import EngineDescription
from ullage.spec.engine import Settings as EngineSettings


class EchoSettings(EngineSettings):
    """What is said after what was asked."""

    suffix: str = Field(default="", description="said at the end")
    times: Annotated[int, Field(strict=True, ge=1, le=3)] = 1


def described(name, **own):
    usual = {
        "memory": "none",
        "settings": EngineSettings,
        "needs": (),
        "install": "toy-engines",
        "opener": "toy_engines",
        "writes": True,
        "weighs": True,
        "states": False,
        "captures": False,
        "trains": False,
        "quantizes": lambda scheme: False,
        "splits_layers": False,
        "tensor_parallel": False,
        "finds_prefixes": False,
        "compiles": False,
        "phases": (),
        "layer_seconds": 0.0,
    }
    return EngineDescription(name=name, **usual | own)


ECHO = described("echo", settings=EchoSettings)
LOUD = described("loud", memory="process", phases=("prefill", "decode"), layer_seconds=1e-3)
LACKING = described("lacking", needs=("no_such_module",), install="toy-engines[all]")
NAMELESS = described("other")


class Echo:
    def __init__(self, settings):
        self.settings = settings

    def lengths(self, prompts):
        return [1] * len(prompts)

    def generate(self, prompts, sampling, seeds):
        said = ("echo " * self.settings.times).strip() + self.settings.suffix
        return [Reply(said, "end", 1) for _ in prompts]

    def score(self, prompts, choices):
        return [(-0.1, *[-3.0] * (len(choices) - 1)) for _ in prompts]


class Loud(Echo):
    def __init__(self, loaded):
        self.parameters = sum(each.numel() for each in loaded.model.parameters())

    def generate(self, prompts, sampling, seeds):
        return [Reply(f"{self.parameters} PARAMETERS", "end", 1) for _ in prompts]


def open_engine(session, name):
    role = session.workload.roles[name]
    if role.runs_with.local:
        return Loud(session.loaded.get(name) or session.load(name))
    return Echo(role.settings)
