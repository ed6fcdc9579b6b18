"""The end of a forward pass with labels: final norm, output layer, loss, and the way back through them.

Source: ForCausalLMLoss of transformers 5.19 (loss/loss_utils.py): logits in fp32, labels shifted instead of
logits; torch's cross_entropy keeps the log-softmax. Trainer lets go of the logits before it goes back; under
mixed precision accelerate turns them to fp32 first (convert_outputs_to_fp32).
"""

from __future__ import annotations

from typing import NamedTuple

from ullage.memory.training import operations as op
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.linear import Matrix, linear


class Scores(NamedTuple):
    """The output layer over a vocabulary, and how its loss is made: logits `capped` by tanh; of a `shifted`
    copy of them in fp32, as releases made it that did not shift labels instead."""

    head: Matrix
    capped: bool
    shifted: bool = False


def loss(m: Meter, scores: Scores, hidden: Symbol) -> Symbol:
    """The loss of normed states; what only variables hold is gone when it is there."""
    logits = linear(m, hidden, scores.head)
    if scores.capped:
        logits = op.scaled(m, op.kept_result(m, op.scaled(m, logits), logits.width))
    full = op.cast(m, logits, op.FULL)
    given = op.copied(m, op.part(m, full, full.elements)) if scores.shifted else full
    chances = op.kept_result(m, given, op.FULL)
    del full, given
    found = picked(m, chances)
    del chances
    if m.autocast:
        logits = op.cast(m, logits, op.FULL)
    return found


def picked(m: Meter, chances: Symbol) -> Symbol:
    """nll_loss: one number, whose gradient is as large as what it was picked from."""
    elements = chances.elements
    return m.made(1, op.FULL, [chances], lambda g: [m.new(elements, op.FULL)], [chances])
