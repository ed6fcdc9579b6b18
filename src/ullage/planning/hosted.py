"""Tokens and dollars of roles that a server holds, at the prices that the file gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ullage.phases.hosted import Requests
from ullage.spec.workload import Workload


@dataclass(frozen=True, slots=True)
class Hosted:
    """What 1000 examples ask of the server behind `role`, at most, and in dollars for these and for all
    examples of the workload; None without `price_per_million`."""

    role: str
    model: str
    requests: int
    prompt_tokens: int
    new_tokens: int
    usd_per_1000_examples: float | None
    usd: float | None


def hosted(workload: Workload, asked: Iterable[Requests]) -> tuple[Hosted, ...]:
    """Each remote role's requests put together, in the file's order."""
    every = list(asked)
    found = []
    for name, role in workload.roles.items():
        own = [each for each in every if each.role == name]
        if role.runs_with.local or not own:
            continue
        read = round(1000 * sum(each.count * each.prompt_tokens for each in own))
        written = round(1000 * sum(each.count * each.new_tokens for each in own))
        prices = role.settings.prices()
        usd = None if prices is None else (read * prices[0] + written * prices[1]) / 1e6
        whole = None if usd is None else usd * workload.examples / 1000
        requests = round(1000 * sum(each.count for each in own))
        found.append(Hosted(name, role.model, requests, read, written, usd, whole))
    return tuple(found)
