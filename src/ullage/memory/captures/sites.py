"""Bytes of captured tensors, site by site.

Site names are TransformerLens's. Shapes per layer: residual stream and block outputs
`(batch, positions, hidden)`, `hook_q/k/v/z` `(batch, positions, heads, head_dim)`,
`hook_pattern` `(batch, heads, queries, keys)`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ullage.errors import SpecError, nearest
from ullage.facts.architecture import Architecture, Attention, LatentAttention, Layer
from ullage.facts.dtypes import DTYPES
from ullage.spec.capture import Capture
from ullage.spec.positions import most_rows
from ullage.spec.site_patterns import hook_of

RESIDUAL_SITES = (
    "hook_resid_pre",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_mlp_out",
    "hook_attn_out",
)
AFTER_ATTENTION = ("hook_mlp_out", "hook_resid_post", "ln_final", "ln_final.hook_normalized", "logits")
"""Sites of a block that need its feed-forward part to run."""
HEAD_SITES = ("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "attn.hook_pattern")
LAYER_SITES = RESIDUAL_SITES + HEAD_SITES
LOGITS = "logits"
"""The output distribution, (positions, vocabulary), as the language-model head gives it."""
MODEL_SITES = ("hook_embed", "ln_final.hook_normalized", "ln_final", LOGITS)
KEPT: Final = ("positions", "span_tokens", "keep", "precision", "allow_nan")
"""What a capture says of its sites' states."""

SEQUENCES_PER_PLANNED = 4
"""Short texts share a batch's tokens: a batch holds at most this many times the planned sequences."""


class Site(NamedTuple):
    """A capture point: `block` is 0 for the embedding, 1..L for layers, L+1 after the final norm."""

    hook: str
    block: int


class Sited(NamedTuple):
    """A model by the sites of its blocks: what messages call it, and the hooks of each layer."""

    name: str
    hooks: tuple[frozenset[str], ...]


def site_name(site: Site) -> str:
    """What a site is called in files: its hook, of a layer with its number before it."""
    return site.hook if site.hook in MODEL_SITES else f"blocks.{site.block - 1}.{site.hook}"


@lru_cache(maxsize=4096)
def matched_sites(capture: Capture, architecture: Architecture) -> tuple[Site, ...]:
    """The sites `capture` names in `architecture`, in model order.

    Raises SpecError naming the sites the model has when a pattern matches none of them.
    """
    hooks: dict[int, frozenset[str]] = {}
    for layer in architecture.layers:
        if id(layer) not in hooks:
            hooks[id(layer)] = frozenset(hook for hook in LAYER_SITES if _has(layer, hook))
    return matched(capture, Sited(architecture.name, tuple(hooks[id(each)] for each in architecture.layers)))


def check_apart(captures: Sequence[Capture], architecture: Architecture) -> None:
    """Raises SpecError for a site of which two captures keep different things: a run stores one."""
    if len(captures) < 2:
        return
    named: dict[Site, Capture] = {}
    for capture in captures:
        for site in matched_sites(capture, architecture):
            other = named.setdefault(site, capture)
            apart = [each for each in KEPT if getattr(other, each) != getattr(capture, each)]
            if apart:
                place = site_name(site)
                raise SpecError(
                    [
                        f"captures: two name {place} and keep different things of it: {apart[0]} "
                        f"{getattr(other, apart[0])} and {getattr(capture, apart[0])}; name it in one of them"
                    ]
                )


def matched(capture: Capture, sited: Sited) -> tuple[Site, ...]:
    """`matched_sites` of a model known by its sites alone."""
    found: dict[Site, None] = {}
    mistakes = [*_no_layers(capture, sited)]
    if mistakes:  # the sites are looked for in every layer, so that what is wrong is told once
        capture = capture.model_copy(update={"layers": "all"})
    for pattern in capture.sites:
        hits = list(_match(pattern, capture, sited))
        if not hits:
            mistakes.append(_no_match(pattern, sited))
        found.update(dict.fromkeys(hits))
    if mistakes:
        raise SpecError(mistakes)
    return tuple(sorted(found, key=lambda site: (site.block, site.hook)))


def _match(pattern: str, capture: Capture, sited: Sited) -> Iterator[Site]:
    count = len(sited.hooks)
    if not pattern.startswith("blocks."):
        for hook in MODEL_SITES:
            if fnmatch.fnmatchcase(hook, pattern):
                yield Site(hook, 0 if hook == "hook_embed" else count + 1)
        if not pattern.startswith("*"):
            return
        number = "*"
    else:
        number = pattern.split(".", 2)[1]
    hook_pattern = hook_of(pattern)
    for index in _layers(number, capture, count):
        for hook in LAYER_SITES:
            if fnmatch.fnmatchcase(hook, hook_pattern) and hook in sited.hooks[index]:
                yield Site(hook, index + 1)


def _layers(number: str, capture: Capture, count: int) -> list[int]:
    chosen = list(range(count))
    if capture.layers != "all":
        chosen = [layer % count for layer in capture.layers if -count <= layer < count]
    if number in ("*", "{l}", "{layer}", ""):
        return chosen
    if re.fullmatch(r"-?\d{1,6}", number):
        wanted = int(number)
        return [wanted % count] if -count <= wanted < count else []
    return [index for index in chosen if fnmatch.fnmatchcase(str(index), number)]


def _no_layers(capture: Capture, sited: Sited) -> Iterator[str]:
    """What is wrong with `layers`, where the model has fewer."""
    count = len(sited.hooks)
    wrong = [layer for layer in capture.layers if isinstance(layer, int) and not -count <= layer < count]
    if wrong:
        shown = ", ".join(map(str, wrong[:8])) + (", ..." if len(wrong) > 8 else "")
        yield (
            f"captures: layers: {shown}: no such {'layer' if len(wrong) == 1 else 'layers'} in {sited.name}; "
            f"it has 0 to {count - 1}, or -{count} to -1 from the end"
        )


def _has(layer: Layer, hook: str) -> bool:
    if hook in HEAD_SITES:
        return isinstance(layer.mixer, Attention | LatentAttention)
    if hook == "hook_attn_out":
        return layer.mixer is not None
    if hook == "hook_resid_mid":
        return layer.flow.order != "parallel"
    if hook == "hook_mlp_out":
        return layer.feed_forward is not None
    return True


def _no_match(pattern: str, sited: Sited) -> str:
    hook = pattern.split(".", 2)[-1]
    has = [site for site in LAYER_SITES if any(site in hooks for hooks in sited.hooks)]
    close = nearest(hook, [site for site in (*has, *MODEL_SITES) if site != hook])
    hint = f"; nearest: {', '.join(close)}" if close else ""
    return (
        f"capture site {pattern!r} matches nothing in {sited.name} "
        f"(layers 0 to {len(sited.hooks) - 1}){hint}. It has blocks.{{l}}. with "
        f"{', '.join(has)}, and {', '.join(MODEL_SITES)}"
    )


def site_bytes(
    site: Site,
    capture: Capture,
    architecture: Architecture,
    batch: int,
    positions: int,
    keys: int,
    compute: str,
) -> int:
    """Bytes kept at one site for one batch, at most.

    `positions` are those of each sequence that the pass runs over; `capture.positions` reduces them on the
    device: last and mean keep one per sequence, span `span_tokens`.
    """
    rows = most_rows(capture.positions, batch, batch * positions, capture.span_tokens or 1)
    return rows * row_bytes(site, capture, architecture, keys, compute)


def row_bytes(site: Site, capture: Capture, architecture: Architecture, keys: int, compute: str) -> int:
    """Bytes of one position of one sequence at a site."""
    width = DTYPES[compute if capture.precision == "compute" else capture.precision]
    return _site_width(site, architecture, keys) * width


def _site_width(site: Site, architecture: Architecture, keys: int) -> int:
    """Elements per position."""
    if site.hook == LOGITS:
        return architecture.vocab_size
    if site.hook not in HEAD_SITES:
        return architecture.hidden_size
    mixer = architecture.layers[site.block - 1].mixer
    if isinstance(mixer, LatentAttention):
        head = mixer.nope_dim + mixer.rope_dim
        widths = (mixer.heads * head, mixer.heads * head, mixer.heads * mixer.value_dim)
        heads = mixer.heads
    else:
        assert isinstance(mixer, Attention)
        widths = (
            mixer.heads * mixer.head_dim,
            mixer.kv_heads * mixer.head_dim,
            mixer.kv_heads * mixer.value_dim,
        )
        heads = mixer.heads
    if site.hook == "attn.hook_pattern":
        return heads * keys
    if site.hook == "attn.hook_z":
        value = mixer.value_dim
        return heads * value
    return dict(zip(("attn.hook_q", "attn.hook_k", "attn.hook_v"), widths, strict=True))[site.hook]


def needs_eager(sites: tuple[Site, ...]) -> bool:
    """Attention patterns exist only in the eager implementation."""
    return any(site.hook == "attn.hook_pattern" for site in sites)
