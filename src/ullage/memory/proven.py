"""Whether the formula of a pass was held against the model's own code."""

from __future__ import annotations

from collections.abc import Iterator

from ullage.facts.proof import Proof, proof_of
from ullage.memory.traced import Asked
from ullage.phases.phase import Work


def proof_of_pass(family: str, asked: Asked, transformers: str | None = None) -> Proof:
    """The table's answer for a pass that could be traced instead, `family` as in `proof_of`.

    It knows what `asked` says and nothing else: a static or quantized cache, an adapter that is loaded, a
    stretched rope, weights of a GGUF file or layers that move between devices are in neither.
    """
    return proof_of(
        family,
        kind_of(asked),
        "sdpa" if asked.kernel == "auto" else asked.kernel,
        precision_of(asked),
        processor=asked.processor,
        transformers=transformers,
    )


def precision_of(asked: Asked) -> str:
    """The table's word for what weights are stored and products made in, as `bf16` or `nf4 in bf16`."""
    return asked.compute if asked.scheme is None else f"{asked.scheme} in {asked.compute}"


def kind_of(asked: Asked) -> str:
    """The kind of a pass: what is done, and what else takes part in it, as `prefill, captures`."""
    return ", ".join((asked.work.activity, *_features(asked.work, asked.sampling[0])))


def _features(work: Work, temperature: float) -> Iterator[str]:
    """What the bytes of a pass depend on beside sizes, each in a word. What probes make, and are fitted
    with, is in no trace: formulas say it in any case."""
    forward, training, captures = work.activity in ("prefill", "decode"), work.training, work.captures
    scores = work.activity == "prefill" and work.caches and not work.new_tokens
    there = {
        "no cache": forward and not work.caches,
        "no logits": forward and work.caches and work.logits == "none",
        "all logits": forward and work.logits == "all",
        "scored": scores and work.logits == "last",
        "shared prefix": forward and work.cached_tokens > 0 and not work.new_tokens,
        # What is written begins by other code, which reads all anew where windows or recurrences forget.
        "shared beginning": forward and work.cached_tokens > 0 and work.new_tokens > 0,
        "in chunks": forward and work.chunk_tokens is not None and work.chunk_tokens < work.prompt_tokens,
        "drawn": work.activity == "decode" and temperature > 0,
        "captures": bool(captures),
        "captures within layers": any(site.count(".") != 2 for each in captures for site in each.sites),
        "captures of positions": any(each.positions != "all" for each in captures),
        "captures on the device": any(each.keep == "device" for each in captures),
        "images": work.images > 0,
        "checkpointed": work.activity == "train" and work.gradient_checkpointing,
        "adapter": training is not None and training.lora is not None,
        "mixed precision": training is not None and training.mixed_precision not in (None, "no"),
    }
    return (word for word, holds in there.items() if holds)
