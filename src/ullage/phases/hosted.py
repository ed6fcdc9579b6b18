"""What is asked of roles that a server holds: no memory here, but tokens that are paid for."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.phases.phase import Work


@dataclass(frozen=True, slots=True)
class Requests:
    """For one example, `role`'s server is asked `count` times; each time it reads and writes at most so many
    tokens."""

    role: str
    count: float
    prompt_tokens: int
    new_tokens: int


def requests_of(role: str, work: Work) -> Requests:
    """What `work` asks of a server. A verdict that is weighed and not written takes a token all the same."""
    return Requests(role, work.passes * work.batch, work.prompt_tokens, max(work.new_tokens, 1))
