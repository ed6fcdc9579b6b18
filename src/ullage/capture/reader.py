"""Runs one batch of token sequences through a model and gives the states of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ullage.capture.hooks import listening, run_pass
from ullage.capture.logits import logits_of
from ullage.capture.reduction import Reducer, Rows, reducer_of
from ullage.capture.sites import Point
from ullage.capture.streaming import blockwise, reserved_cache
from ullage.capture.transfer import Transfer, stay
from ullage.memory.captures.sites import LOGITS
from ullage.runtime.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

States = dict[str, "Tensor"]
"""One sequence's tensors by site name, in the shapes `capture.reduction` states."""


@dataclass(frozen=True, slots=True)
class ReadSequence:
    """What was read of one sequence: every token id, how many of them were the prompt, its states.

    A generated sequence has no state for its last token: it was chosen, but never read.
    """

    tokens: tuple[int, ...]
    prompt_tokens: int
    states: States


@dataclass(frozen=True, slots=True)
class Chunk:
    """Positions [begin, end) of a streamed batch: tensors (batch, end - begin, *width) by site name."""

    begin: int
    end: int
    states: dict[str, Tensor]


@dataclass(slots=True)
class Reader:
    """A model with the points to read. `chunk_tokens` streams longer sequences in chunks of that many.

    `model` is the whole model (it must have a head to generate), `layout` its decoder. `with_gradients`
    leaves the states in the autograd graph. `stop` ends a pass after its last point.
    """

    model: nn.Module
    layout: Layout
    points: tuple[Point, ...]
    chunk_tokens: int | None = None
    with_gradients: bool = False
    stop: bool = True
    logits: bool = False
    device: Any = "cpu"
    padding: int = 0
    eager: bool = field(init=False)

    def __post_init__(self) -> None:
        self.eager = any(point.site.hook == "attn.hook_pattern" for point in self.points)

    def read(
        self, sequences: Sequence[Sequence[int]], spans: Sequence[tuple[int, int]] = ()
    ) -> list[ReadSequence]:
        """The states of each sequence, all in one padded batch.

        Padding stands on the right, where causal attention keeps it from every real token, so no mask is
        needed and the arithmetic is that of the plain forward pass.
        """
        longest = max(map(len, sequences))
        rows = Rows([0] * len(sequences), [len(each) for each in sequences], spans)
        reducers, transfer = self._reducers(rows)
        ids = padded(sequences, self.device, self.padding)
        if self.chunk_tokens is not None and self.chunk_tokens < longest:

            def sink(begin: int, point: Point, tensor: Tensor) -> None:
                reducers[point.name].feed(_batched(tensor, len(sequences)), begin)

            for _ in self._chunks(ids, sink):
                pass
        else:
            self._whole(ids, reducers)
        return self._finish(sequences, [len(each) for each in sequences], reducers, transfer)

    def stream(self, sequences: Sequence[Sequence[int]]) -> Iterator[Chunk]:
        """Chunk by chunk, what each point gives; what is not kept is freed before the next chunk.

        Columns beyond a sequence's length are padding.
        """
        held: dict[str, Tensor] = {}

        def keep(_: int, point: Point, tensor: Tensor) -> None:
            held[point.name] = _batched(tensor, len(sequences))

        for begin, end in self._chunks(padded(sequences, self.device, self.padding), keep):
            yield Chunk(begin, end, held)
            held = {}

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        new_tokens: int,
        options: Mapping[str, Any],
        on_prefilled: Callable[[], None] = lambda: None,
    ) -> list[ReadSequence]:
        """Continues the prompts by up to `new_tokens`, reading every pass; `on_prefilled` is called once
        the prompts have been read.

        `options` go to transformers' `generate` (`do_sample`, `temperature`, ...). Prompts are padded on
        the left, and masked.
        """
        import torch
        from transformers import StoppingCriteria

        longest = max(map(len, prompts))
        rows = Rows([longest - len(each) for each in prompts], [len(each) for each in prompts])
        reducers, transfer = self._reducers(rows)
        ids = torch.full((len(prompts), longest), self.padding, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for index, prompt in enumerate(prompts):
            ids[index, rows.first[index] :] = torch.tensor(prompt, dtype=torch.long)
            mask[index, rows.first[index] :] = 1
        end = end_tokens(self.model, options)
        seen = 0
        done = [False] * len(prompts)

        def sink(point: Point, tensor: Tensor) -> None:
            reducers[point.name].feed(_batched(tensor, len(prompts)), seen)

        class Following(StoppingCriteria):
            """Counts the tokens that will be read by the next pass; stops nothing."""

            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
                nonlocal seen
                if seen == 0:
                    on_prefilled()
                seen = input_ids.shape[1] - 1
                for index, token in enumerate(input_ids[:, -1].tolist()):
                    if not done[index]:
                        done[index] = token in end
                        if not done[index]:
                            rows.lengths[index] += 1
                return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

        with torch.inference_mode(), listening(self.points, sink, stop=False):
            generate: Any = self.model.generate
            out = generate(
                ids.to(self.device),
                attention_mask=mask.to(self.device),
                max_new_tokens=new_tokens,
                stopping_criteria=[Following()],
                pad_token_id=self.padding,
                **options,
            )
        found = []
        for index, row in enumerate(out.tolist()):
            new = row[longest:]
            stops = [at for at, token in enumerate(new) if token in end]
            found.append((*prompts[index], *new[: stops[0] + 1 if stops else len(new)]))
            rows.lengths[index] = min(rows.lengths[index], len(found[-1]) - 1)
        return self._finish(found, [len(prompt) for prompt in prompts], reducers, transfer)

    def _reducers(self, rows: Rows) -> tuple[dict[str, Reducer], Transfer]:
        transfer = Transfer()
        here = {point.name for point in self.points if point.capture.keep == "device"}
        here |= {point.name for point in self.points if point.site.hook == LOGITS}
        return {
            point.name: reducer_of(point, rows, stay if point.name in here else transfer.send)
            for point in self.points
        }, transfer

    def _finish(
        self,
        tokens: Sequence[Sequence[int]],
        prompts: Sequence[int],
        reducers: Mapping[str, Reducer],
        transfer: Transfer,
    ) -> list[ReadSequence]:
        transfer.wait()
        finished = {name: reducer.finish() for name, reducer in reducers.items()}
        for point in self.points:
            if point.site.hook == LOGITS:
                send = stay if point.capture.keep == "device" else transfer.send
                with self._mode():
                    rows = [logits_of(hidden, self.layout) for hidden in finished[point.name]]
                finished[point.name] = [send(each) for each in rows]
        transfer.wait()
        return [
            ReadSequence(
                tuple(each), prompts[index], {name: states[index] for name, states in finished.items()}
            )
            for index, each in enumerate(tokens)
        ]

    def _mode(self) -> AbstractContextManager[Any]:
        import torch

        return nullcontext() if self.with_gradients else torch.inference_mode()

    def _whole(self, ids: Tensor, reducers: Mapping[str, Reducer]) -> None:
        def sink(point: Point, tensor: Tensor) -> None:
            reducers[point.name].feed(_batched(tensor, ids.shape[0]), 0)

        extra: dict[str, Any] = {"output_attentions": True} if self.eager else {}
        with self._mode(), listening(self.points, sink, stop=self.stop):
            run_pass(self.layout.base, input_ids=ids, use_cache=False, **extra)

    def _chunks(self, ids: Tensor, sink: Callable[[int, Point, Tensor], None]) -> Iterator[tuple[int, int]]:
        """Runs chunk after chunk, handing (first column, point, tensor) to `sink`; the columns of each."""
        size = self.chunk_tokens or ids.shape[1]
        cache = reserved_cache(self.layout.config, ids.shape[1])
        extra: dict[str, Any] = {"output_attentions": True} if self.eager else {}
        for begin in range(0, ids.shape[1], size):
            end = min(begin + size, ids.shape[1])
            attention = nullcontext() if self.eager else blockwise(self.model)
            with attention, self._mode(), listening(self.points, partial(sink, begin), stop=self.stop):
                run_pass(
                    self.layout.base,
                    input_ids=ids[:, begin:end],
                    past_key_values=cache,
                    use_cache=True,
                    **extra,
                )
            yield begin, end


def _batched(tensor: Tensor, batch: int) -> Tensor:
    """(batch, tokens, *width) of what some modules see as (batch x tokens, *width)."""
    return tensor if tensor.shape[0] == batch else tensor.unflatten(0, (batch, -1))


def padded(sequences: Sequence[Sequence[int]], device: Any, padding: int = 0) -> Tensor:
    """Token ids (batch, longest), padded on the right: causal attention keeps it from every real token."""
    import torch

    longest = max(map(len, sequences))
    rows = [[*sequence, *[padding] * (longest - len(sequence))] for sequence in sequences]
    return torch.tensor(rows, dtype=torch.long, device=device)


def end_tokens(model: nn.Module, options: Mapping[str, Any]) -> set[int]:
    """Ids that end what the model writes: those of `options`, else its own."""
    end = options.get("eos_token_id", getattr(model.generation_config, "eos_token_id", None))
    return set() if end is None else {end} if isinstance(end, int) else set(end)
