"""States of texts and the gradients of their loss, layer after layer recomputed in the backward pass.

The loss of a text is the mean cross entropy of its next tokens in nats; that of a batch is the sum over its
texts, so a text's gradients do not depend on what it is read with. Weights are frozen: gradients are those
of the states alone. Every layer is checkpointed (arXiv 1604.06174): its input is kept, and it runs again when
the gradient comes back. TransformerLens's names: the gradient of a site is called like it with `_grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from ullage.capture.coverage import Coverage, right_padded
from ullage.capture.gradients import GRADIENT, LOSS
from ullage.capture.hooks import listening_at
from ullage.capture.listener import Listener, ReadSequence
from ullage.capture.reader import Reader, padded
from ullage.capture.sites import Point
from ullage.capture.taps import PATTERN, Seen, given, given_back, pattern_seen
from ullage.capture.transfer import Transfer
from ullage.errors import InputError, UnsupportedError
from ullage.memory.captures.sites import HEAD_SITES
from ullage.runtime.rope import frequencies_of, groups
from ullage.spec.site_patterns import EVERY

if TYPE_CHECKING:
    from torch import Tensor, nn

UNREACHED: Final = ("logits", "ln_final.hook_normalized")
"""Sites that are computed beside the model's own pass: no gradient flows through them."""


def reached(points: Iterable[Point]) -> tuple[Point, ...]:
    """`points` without those that the pattern of every site named and no gradient flows through."""
    return tuple(p for p in points if EVERY not in p.capture.sites or p.site.hook not in UNREACHED)


@dataclass(slots=True)
class BackwardReader:
    """Reads states and gradients at a reader's points. `reentrant` is torch's way of checkpointing: a layer
    runs without a graph first, and with one when it runs again. No weight takes a gradient while it reads.
    `transfer` is how what is read goes to the host.
    """

    reader: Reader
    reentrant: bool = True
    transfer: Transfer | None = None

    def __post_init__(self) -> None:
        """Raises UnsupportedError for a site that no gradient flows through."""
        names = [point.name for point in self.reader.points if point.site.hook in UNREACHED]
        if names:
            raise UnsupportedError(
                f"captures: {names[0]}: no gradient flows through it; leave it out, or backward"
            )

    def read(
        self, sequences: Sequence[Sequence[int]], spans: Sequence[tuple[int, int]] = ()
    ) -> list[ReadSequence]:
        """States and gradients of each sequence. Raises InputError for one of a single token, which has no
        loss."""
        if any(len(each) < 2 for each in sequences):
            raise InputError("backward: a text of one token has no next one, and no loss; leave it out")
        found: dict[int, ReadSequence] = {}
        for places in groups(self.reader.layout.config, [len(each) for each in sequences]):
            own = [spans[place] for place in places] if spans else ()
            with _frozen(self.reader.model):
                found |= zip(places, self._read_together([sequences[p] for p in places], own), strict=True)
        return [found[place] for place in range(len(sequences))]

    def _read_together(
        self, sequences: Sequence[Sequence[int]], spans: Sequence[tuple[int, int]]
    ) -> list[ReadSequence]:
        import torch

        lengths = [len(each) for each in sequences]
        reader = self.reader
        ids = padded(sequences, reader.device, reader.padding)
        choosing = reader.choosing(sequences, spans)
        states, gradients = (
            Listener(reader.points, reader.layout, choosing, transfer=self.transfer) for _ in range(2)
        )
        heard = _Heard(states, gradients, right_padded(lengths, 0, max(lengths)))
        frequencies = frequencies_of(reader.model, reader.layout.config, max(lengths))
        with ExitStack() as stack:
            stack.enter_context(frequencies)
            stack.enter_context(torch.enable_grad())
            stack.enter_context(_begun_at(reader.layout.embedding))
            for layer in reader.layout.layers:
                stack.enter_context(_checkpointed(layer, self.reentrant))
            for point in reader.points:
                stack.enter_context(listening_at(point.tap, partial(heard.at, point)))
            extra = {"output_attentions": True} if reader.eager else {}
            losses = losses_of(reader.model(input_ids=ids, use_cache=False, **extra).logits, ids, lengths)
            heard.recomputing = True
            losses.sum().backward()
        lost = next((point.name for point in reader.points if point.name not in heard.reached), None)
        if lost is not None:
            raise UnsupportedError(f"captures: {lost}: no gradient of the loss reaches it")
        each = zip(
            _finished(states, sequences),
            _finished(gradients, sequences),
            losses.detach().cpu().split(1),
            strict=True,
        )
        return [_joined(*one) for one in each]


@dataclass(slots=True)
class _Heard:
    """What one batch gives. Invariant: a state is taken in the first pass through its layer, its gradient
    where it comes back, once."""

    states: Listener
    gradients: Listener
    coverage: Coverage
    recomputing: bool = False
    reached: set[str] = field(default_factory=set)

    def at(self, point: Point, seen: Seen) -> None:
        """A pass has reached a point."""
        import torch

        if not self.recomputing:
            with torch.no_grad():
                self.states.take(point, point.tap.take(seen).detach(), self.coverage)
        source = _source(point, seen)
        if source.requires_grad:
            source.register_hook(partial(self._come_back, point))

    def _come_back(self, point: Point, gradient: Tensor) -> None:
        import torch

        with torch.no_grad():
            self.gradients.take(point, _gradient(point, gradient.detach()), self.coverage)
        self.reached.add(point.name)


def losses_of(logits: Tensor, ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """(batch,) mean cross entropy of each text's next tokens in nats; logits (batch, tokens, vocabulary), ids
    (batch, tokens), padded on the right."""
    from torch.nn.functional import cross_entropy

    ignored = -100
    targets = ids.roll(-1, dims=1)
    for row, length in enumerate(lengths):
        targets[row, length - 1 :] = ignored
    flat = logits.flatten(0, 1).float()  # in one piece, which no slice is
    each = cross_entropy(flat, targets.flatten().to(flat.device), ignore_index=ignored, reduction="none")
    losses: Tensor = each.unflatten(0, ids.shape).sum(dim=1)
    return losses / losses.new_tensor([length - 1 for length in lengths])


def _source(point: Point, seen: Seen) -> Tensor:
    """The tensor of the model's own graph that a point's state is taken from."""
    if point.site.hook == PATTERN:
        return pattern_seen(seen)
    return given(seen) if point.tap.when == "begin" else given_back(seen)


def _gradient(point: Point, gradient: Tensor) -> Tensor:
    """The gradient of a point's state, made of that of its source: a part of it, or, where the state is the
    source times a number, divided by that."""
    if point.site.hook in HEAD_SITES and point.site.hook != PATTERN:
        return point.tap.take(Seen((gradient,), {}, gradient))
    return gradient if point.tap.scale == 1 else gradient / point.tap.scale


def _finished(listener: Listener, sequences: Sequence[Sequence[int]]) -> list[ReadSequence]:
    listener.ended(sequences, [len(each) for each in sequences])
    return listener.finish()


def _joined(states: ReadSequence, gradients: ReadSequence, loss: Tensor) -> ReadSequence:
    named = {f"{name}{GRADIENT}": each for name, each in gradients.states.items()}
    where = {f"{name}{GRADIENT}": each for name, each in gradients.positions.items()}
    return replace(
        states, states={**states.states, **named, LOSS: loss}, positions={**states.positions, **where}
    )


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No weight of the model takes a gradient while this lasts."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def _begun_at(embedding: nn.Module) -> Iterator[None]:
    """The graph begins at what the embedding gives, for no weight takes a gradient."""

    def ended(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        return output.detach().requires_grad_().clone()  # a model may change it in place, as no leaf allows

    handle = embedding.register_forward_hook(ended)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _checkpointed(layer: nn.Module, reentrant: bool) -> Iterator[None]:
    """While this lasts, the layer keeps its inputs alone and runs again in the backward pass."""
    replaced = layer.__dict__.get("forward")
    layer.forward = partial(_run_again, layer.forward, reentrant)
    try:
        yield
    finally:
        del layer.forward
        if replaced is not None:
            layer.forward = replaced


def _run_again(forward: Callable[..., object], reentrant: bool, *args: object, **kwargs: object) -> object:
    """`forward` checkpointed by torch, which only sees the tensors that stand among its own arguments."""
    from torch import Tensor
    from torch.utils.checkpoint import checkpoint

    named = {name: each for name, each in kwargs.items() if isinstance(each, Tensor) and each.requires_grad}
    others = {name: each for name, each in kwargs.items() if name not in named}
    names, count = tuple(named), len(args)  # of the tensors themselves nothing may outlive the layer's turn

    def again(*given: object) -> object:
        by_name = dict(zip(names, given[count:], strict=True))
        return forward(*given[:count], **by_name, **others)

    return checkpoint(again, *args, *named.values(), use_reentrant=reentrant, preserve_rng_state=False)
