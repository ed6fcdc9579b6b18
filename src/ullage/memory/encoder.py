"""What an encoder is asked for: it reads each text in one pass and as a whole, and writes none."""

from __future__ import annotations

from collections.abc import Iterable

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.memory.forward.one_pass import FULL, Pass
from ullage.phases.phase import TRAINING, Work
from ullage.spec.role import Role
from ullage.units import Interval


def check_encoder(name: str, role: Role, architecture: Architecture, works: Iterable[Work]) -> None:
    """Raises UnsupportedError where a role asks an encoder for what it cannot do, or what is not known."""
    kind = f"role {name}: {architecture.name} is an encoder"
    if role.runs_with.memory != "process":
        raise UnsupportedError(f"{kind}, of which engine {role.engine} is not described; use transformers")
    own = any(layer.flow.scores != "library" for layer in architecture.layers)
    if own and role.attention not in ("auto", "eager"):
        raise UnsupportedError(
            f"{kind} with attention of its own; {role.attention} has no part in it; use auto"
        )
    for work in works:
        if work.activity == "decode" or work.new_tokens:
            raise UnsupportedError(
                f"{kind}, which writes nothing; set its new_tokens to 0, or name a decoder"
            )
        if work.activity in TRAINING:
            raise UnsupportedError(f"{kind}, whose backward pass is not described; train a decoder")
        if work.captures:
            raise UnsupportedError(f"{kind}, of which no sites are known; capture states of a decoder")


def encoded_bytes(architecture: Architecture, one_pass: Pass, width: int) -> Interval:
    """What comes after an encoder's layers: pooled states and scores of labels, or, for a mean over
    positions, the states weighed by their mask once more, in fp32 at most."""
    hidden = architecture.hidden_size
    states = one_pass.rows * hidden * width
    pooled = one_pass.batch * (3 * hidden + len(architecture.labels)) * width
    if architecture.gives == "labels":
        return Interval.exactly(states + pooled)
    return Interval(states, 2 * states, states + 2 * one_pass.rows * hidden * FULL)
