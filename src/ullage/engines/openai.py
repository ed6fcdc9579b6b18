"""Engine openai: a server that speaks OpenAI's protocol, as vLLM, llama.cpp or a hosted model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from ullage.spec.engine import EngineDescription
from ullage.spec.engine import Settings as EngineSettings
from ullage.spec.value import Count, Switch

if TYPE_CHECKING:
    from ullage.engines.engine import Engine
    from ullage.runtime.session import Session

BATCHES: Final = 4
"""A batch is so many times the concurrency, so that few requests wait for the slowest."""
Price = Annotated[float, Field(strict=True, ge=0)]


class Settings(EngineSettings):
    """A server that speaks OpenAI's protocol. The key is read from the environment, never from the file."""

    base_url: str | None = Field(default=None, description="None: OpenAI's own")
    key_env: str = Field(default="OPENAI_API_KEY", description="the environment variable with the key")
    timeout_seconds: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 120.0
    retries: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        default=5, description="of one request, with growing pauses"
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=1024)] = 8
    requests_per_minute: Count | None = None
    logprobs: Switch = Field(default=True, description="ask for the probability of every token")
    price_per_million: tuple[Price, Price] | None = Field(
        default=None, description="USD for a million prompt tokens and new tokens"
    )

    def at_once(self) -> int:
        """Prompts of a batch."""
        return BATCHES * self.concurrency

    def lacks(self) -> str:
        """A key, where OpenAI's own server is asked."""
        if os.environ.get(self.key_env) or self.base_url is not None:
            return ""
        return f"no key: set the environment variable {self.key_env}, or base_url of a server that needs none"

    def prices(self) -> tuple[float, float] | None:
        """USD for a million prompt tokens and new tokens, None where the file does not say."""
        return self.price_per_million


ENGINE: Final = EngineDescription(
    name="openai",
    memory="none",
    settings=Settings,
    needs=("openai",),
    install="ullage[openai]",
    opener="ullage.engines.openai",
    writes=True,
    weighs=True,
    states=False,
    captures=False,
    trains=False,
    quantizes=lambda scheme: False,
    splits_layers=False,
    tensor_parallel=False,
    finds_prefixes=True,
    compiles=False,
    phases=(),
    layer_seconds=0.0,
)


def open_engine(session: Session, name: str) -> Engine:
    """Role `name`'s server, not asked anything yet."""
    from ullage.engines.openai_engine import OpenAIEngine

    role = session.workload.roles[name]
    assert isinstance(role.settings, Settings)
    return OpenAIEngine(role.model, role.settings)
