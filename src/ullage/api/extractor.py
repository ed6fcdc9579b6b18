"""States of texts or token ids from a model that is loaded already: the way in from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from ullage.capture.backward import BackwardReader, reached
from ullage.capture.inputs import Inputs, TokenIds, token_ids
from ullage.capture.listener import ReadSequence
from ullage.capture.proof import Proof
from ullage.capture.proofs import proof_of, proven_points
from ullage.capture.reader import Chunk, Reader
from ullage.capture.sites import held_sites
from ullage.capture.spelling import decode
from ullage.capture.taps import PATTERN
from ullage.engines.engine import Sampling
from ullage.engines.row import new_row, seed_of
from ullage.engines.writing import Writer, end_tokens
from ullage.engines.written import written_states
from ullage.errors import InputError
from ullage.runtime.layout import find_layout
from ullage.runtime.tokenizer import special_ids
from ullage.spec.capture import Capture, Keep
from ullage.spec.parse import parse_part
from ullage.spec.positions import Entry, Range, lacking, written

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ullage.runtime.tokenizer import Tokenizer


class Kept(TypedDict, total=False):
    """What is kept of each sequence: fields of a workload file's `captures`, with their defaults."""

    positions: str | Sequence[Entry]
    span_tokens: int | None
    precision: Literal["compute", "fp32", "fp16", "bf16"]
    keep: Keep


class Extractor:
    """Reads chosen sites of a transformers decoder.

        extractor = Extractor(model, ["blocks.*.hook_resid_post"], positions="last")
        for sequence in extractor.read([[1, 2, 3], [4, 5]]):
            sequence.states["blocks.0.hook_resid_post"]     # (1, hidden)

    `sites` are hook names with globs and negative layers, `positions` what is kept of each sequence,
    `chunk_tokens` streams longer sequences in chunks of that many. `with_gradients` leaves the states in
    the autograd graph; `gradient_checkpointing` then recomputes layers in the backward pass instead of
    keeping their activations (the model is put in train mode for it, with its dropout set to zero by the
    caller if unwanted). Any decoder that transformers can build is read, once its sites are proven on a small
    model of its config (`proof`; kept, so that it is made once). Raises SpecError for a site the model lacks,
    listing those it has, UnsupportedError for one whose identity does not hold.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Sequence[str],
        *,
        chunk_tokens: int | None = None,
        with_gradients: bool = False,
        gradient_checkpointing: bool = False,
        tokenizer: Tokenizer | None = None,
        **kept: Unpack[Kept],
    ) -> None:
        unknown = next((name for name in kept if name not in Kept.__annotations__), None)
        if unknown is not None:
            raise TypeError(f"Extractor() got an unexpected keyword argument {unknown!r}")
        if gradient_checkpointing and not with_gradients:
            raise InputError("gradient_checkpointing saves nothing without with_gradients=True")
        if chunk_tokens is not None and with_gradients:
            raise InputError("a streamed pass keeps no graph; leave chunk_tokens or with_gradients out")
        if not sites:
            raise InputError("sites: names no site, as blocks.*.hook_resid_post")
        self._model, self._tokenizer = model, tokenizer
        layout = find_layout(model)
        if with_gradients:
            kept["keep"] = "device"
        capture = parse_part(Capture, {"sites": list(sites), **kept})
        self._positions = capture.positions
        if capture.positions == "not-special" and tokenizer is None:
            raise InputError(
                "positions: not-special asks the tokenizer which tokens those are; give Extractor(..., "
                "tokenizer=)"
            )
        self._checkpointing = gradient_checkpointing
        self._reader = Reader(
            model,
            layout,
            proven_points(
                [capture], layout, name=type(model).__name__, ways=(chunk_tokens is not None, False)
            ),
            chunk_tokens=chunk_tokens,
            with_gradients=with_gradients,
            stop=not gradient_checkpointing,
            device=next(model.parameters()).device,
            special=special_ids(tokenizer)
            if capture.positions == "not-special" and tokenizer
            else frozenset(),
        )
        if self._reader.eager and layout.config._attn_implementation != "eager":
            raise InputError("attention patterns exist in the eager kernel alone; load with attention: eager")

    @property
    def proof(self) -> Proof:
        """What was proven of the model's family: where its sites are, what is broken, how long it took."""
        return proof_of(self._reader.layout)

    @property
    def sites(self) -> tuple[str, ...]:
        """The full names of the sites that are read, in model order."""
        return tuple(point.name for point in self._reader.points)

    def read(self, inputs: Inputs, spans: Sequence[tuple[int, int]] = ()) -> list[ReadSequence]:
        """All inputs in one batch: tokens and states of each. Texts need the tokenizer; `spans` are [begin,
        end) tokens of each input, which positions: span keeps."""
        ids = self._ids(inputs)
        self._check(ids, spans)
        if not self._checkpointing:
            return self._reader.read(ids, spans)
        with _checkpointing(self._model):
            return self._reader.read(ids, spans)

    def backward(
        self,
        inputs: Inputs,
        spans: Sequence[tuple[int, int]] = (),
        *,
        use_reentrant: bool = True,
    ) -> list[ReadSequence]:
        """States, and beside each the gradient of its text's loss there, under the site's name and `_grad`;
        and the `loss`, (1,).

        The loss of a text is the mean cross entropy of its next tokens, whatever it is read with. No weight
        takes a gradient. Every layer is checkpointed: its input is kept, and it runs again in the backward
        pass, in torch's older way (`use_reentrant`), which every model bears, or its newer one. Positions are
        chosen of gradients as of states.
        """
        if self._reader.with_gradients or self._reader.chunk_tokens is not None:
            raise InputError(
                "backward: makes a graph of its own of whole texts; leave out with_gradients and chunk_tokens"
            )
        if self._reader.layout.head is None:
            raise InputError(f"{type(self._model).__name__} has no language-model head, and so no loss")
        ids = self._ids(inputs)
        self._check(ids, spans)
        reader = replace(self._reader, points=reached(self._reader.points))
        return BackwardReader(reader, use_reentrant).read(ids, spans)

    def stream(self, inputs: Inputs) -> Iterator[Chunk]:
        """Chunk by chunk, every position; what the caller does not keep is freed before the next one is
        computed. Raises InputError for an extractor of some positions: `read` keeps those in chunks too."""
        if self._positions != "all":
            raise InputError(
                f"positions: {written(self._positions)}: stream gives every position, chunk by chunk; use "
                "read, which keeps these and reads in chunks too, or positions: all"
            )
        return self._reader.stream(self._ids(inputs))

    def generate(
        self,
        prompts: Inputs,
        new_tokens: int,
        spans: Sequence[tuple[int, int]] = (),
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int = 0,
    ) -> list[ReadSequence]:
        """States of prompts and of what follows them, up to `new_tokens` each; `spans` are the prompts'.

        Temperature 0 takes the likeliest token; else tokens are drawn, of the likeliest that make up `top_p`
        of the probability, by the chance of `seed` and the prompt's place alone. A sequence ends where the
        model ends it, or with the token that completes one of `stop`, which needs the tokenizer.
        """
        if new_tokens < 1:
            raise InputError(f"new_tokens: {new_tokens} writes nothing; give at least 1, or use read")
        if getattr(self._model, "generation_config", None) is None:
            raise InputError(
                f"{type(self._model).__name__} has no language-model head, and writes nothing; load it with "
                "AutoModelForCausalLM, or use read"
            )
        if stop and self._tokenizer is None:
            raise InputError("stop: is looked for in text; give Extractor(..., tokenizer=)")
        ids = self._ids(prompts)
        self._check(ids, spans)
        self.proof.check([point.site.hook for point in self._reader.points], writing=True)
        writer = Writer(
            self._model, self._reader.device, end_tokens(self._model), self._decode, self._reader.chunk_tokens
        )
        rows = [new_row(one, seed_of(seed, place)) for place, one in enumerate(ids)]
        return written_states(
            self._reader, writer, rows, Sampling(new_tokens, temperature, top_p, tuple(stop)), spans
        )

    def _decode(self, tokens: Sequence[int]) -> str:
        assert self._tokenizer is not None
        return decode(self._tokenizer, tokens)

    def _check(self, ids: Sequence[TokenIds], spans: Sequence[Range]) -> None:
        """Raises InputError for positions that an input does not have, and for spans that are none."""
        if (self._positions == "span") != bool(spans):
            raise InputError(
                "spans: are kept with positions: span alone"
                if spans
                else "positions: span needs spans=, [begin, end) tokens of each input"
            )
        if spans and len(spans) != len(ids):
            raise InputError(f"spans: {len(spans)} of them for {len(ids)} inputs")
        for index, one in enumerate(ids):
            missing = lacking(self._positions, len(one))
            if missing is not None:
                raise InputError(
                    f"inputs[{index}] has {len(one):,} tokens and no position {missing}; ranges as "
                    "[[begin, end]] take what there is"
                )
            if spans and not 0 <= spans[index][0] < spans[index][1] <= len(one):
                raise InputError(
                    f"spans[{index}]: {list(spans[index])} is not [begin, end) of the {len(one):,} tokens "
                    f"of inputs[{index}]"
                )

    def _ids(self, inputs: Inputs) -> list[TokenIds]:
        return token_ids(inputs, self._tokenizer, self._reader.layout.rows)


def collect(chunks: Iterable[Chunk]) -> Mapping[str, Tensor]:
    """All chunks of a stream in one tensor a site: (batch, tokens, *width), patterns (batch, heads, tokens,
    tokens), in the dtype and on the device of the chunks; of no chunks nothing."""
    import torch

    parts: dict[str, list[Tensor]] = {}
    for chunk in chunks:
        for name, tensor in chunk.states.items():
            parts.setdefault(name, []).append(tensor)
    found = {}
    for name, tensors in parts.items():
        if name.endswith(PATTERN):
            keys = tensors[-1].shape[-1]
            whole = [torch.nn.functional.pad(each, (0, keys - each.shape[-1])) for each in tensors]
            found[name] = torch.cat(whole, dim=2)
        else:
            found[name] = torch.cat(tensors, dim=1)
    return found


def sites_of(model: nn.Module) -> tuple[str, ...]:
    """Every site of a loaded model that its family's proof holds, in model order."""
    layout = find_layout(model)
    return held_sites(layout, proof_of(layout).places)


@contextmanager
def _checkpointing(model: Any) -> Iterator[None]:
    """Layers are checkpointed while this lasts (arXiv 1604.06174)."""
    training = model.training
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    try:
        yield
    finally:
        model.train(training)
        # What is left of the pass runs again in the backward pass, checkpointed as it was.
        model.gradient_checkpointing_disable()
