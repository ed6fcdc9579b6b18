"""Replies of a vLLM engine as they come, several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.engines.engine import Piece, Reply, Sampling
from ullage.engines.pieces import Pieces

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams


@dataclass(frozen=True, slots=True)
class Asked:
    """One sequence: the `ids` that it goes on from, how it is drawn, and what tells its text as it comes."""

    ids: tuple[int, ...]
    params: SamplingParams
    pieces: Pieces | None


def params_of(sampling: Sampling, seed: int, new_tokens: int, likeliest: int = 0) -> SamplingParams:
    """How one reply is drawn, in vLLM's words; it tells so many `likeliest` tokens beside the one taken."""
    from vllm import SamplingParams

    return SamplingParams(
        max_tokens=new_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stop=list(sampling.stop) or None,
        seed=seed,
        logprobs=likeliest,
    )


def given(ids: Sequence[int]) -> dict[str, list[int]]:
    """A prompt as vLLM takes token ids."""
    return {"prompt_token_ids": list(ids)}


def written(
    llm: LLM,
    asked: Sequence[Asked],
    reply: Callable[[RequestOutput, int, int], Reply],
    gone: Callable[[int], bool],
) -> Iterator[list[tuple[int, Piece | Reply]]]:
    """What has come of which after each of vLLM's steps, as `Collating.write`; `reply` makes one of an
    output, its prompt's tokens, and how many likeliest ones it tells.

    Left before its end, or where vLLM fails, nothing of it stays in vLLM.
    """
    engine = llm.llm_engine
    open_: dict[str, int] = {}
    seen = [0] * len(asked)
    try:
        for at, one in enumerate(asked):
            name = str(next(llm.request_counter))  # as its own calls are numbered
            open_[name] = at
            engine.add_request(name, given(one.ids), one.params)
        while open_:
            grown: list[tuple[int, Piece | Reply]] = []
            for found in engine.step():
                at = open_[found.request_id]
                pieces, tokens = asked[at].pieces, found.outputs[0].token_ids  # all so far
                if found.finished or gone(at):
                    whole = reply(found, len(asked[at].ids), asked[at].params.logprobs or 0)
                    grown += [(at, piece) for piece in ([] if pieces is None else pieces.rest(whole))]
                    grown.append((at, whole))
                    if not found.finished:
                        engine.abort_request([found.request_id])
                    del open_[found.request_id]
                elif pieces is not None:
                    grown += [(at, piece) for token in tokens[seen[at] :] for piece in pieces.grown(token)]
                    seen[at] = len(tokens)
            yield grown
    finally:
        if open_:
            engine.abort_request([*open_])
