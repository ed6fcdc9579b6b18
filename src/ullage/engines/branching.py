"""Prompts that begin alike, in one row: their trunk is read once, and what follows as branches.

A branch sees the trunk and itself under a mask of the row's own, at the positions it would have alone, so
that it is read as if it stood there without the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.capture.reader import padded
from ullage.engines.prefix import SharedPrefix

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedConfig

    from ullage.runtime.layout import Layout

Tokens = tuple[int, ...]
KERNELS: Final = ("sdpa", "eager")
"""Attention that takes a mask for each pair of positions."""
EXACT: Final = 1e-4
ROUNDED: Final = 5e-2
"""How far a branch's state may be from its own pass in the self-check, in fp32 and in anything less, as a
share of the state."""
LEAST_GAIN: Final = 4.0
"""How many times nearer than without the mask it must be."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One row: a trunk, and its branches side by side; each branch has a token or more."""

    trunk: Tokens
    branches: tuple[Tokens, ...]

    @property
    def tokens(self) -> Tokens:
        """As they are read."""
        return sum(self.branches, self.trunk)

    @property
    def ends(self) -> tuple[int, ...]:
        """The column of each branch's last token."""
        return tuple(end - 1 for _, end in self.spans())

    @property
    def positions(self) -> list[int]:
        """Of each token, from 0: every branch goes on where the trunk ends."""
        found = list(range(len(self.trunk)))
        for branch in self.branches:
            found += range(len(self.trunk), len(self.trunk) + len(branch))
        return found

    def spans(self) -> Iterator[tuple[int, int]]:
        """The columns [begin, end) of each branch."""
        begin = len(self.trunk)
        for branch in self.branches:
            yield begin, begin + len(branch)
            begin += len(branch)

    def grow(self, seen: Tensor) -> None:
        """Marks in (width, width) which earlier column each column sees; all of `seen` is false before."""
        trunk = len(self.trunk)
        seen[:trunk, :trunk] = True
        for begin, end in self.spans():
            seen[begin:end, :trunk] = True
            seen[begin:end, begin:end] = True
        seen.tril_()
        seen.fill_diagonal_(True)  # padding sees itself: a row of nothing has no softmax


def tree_of(prompts: Sequence[Tokens], shared: int = 0) -> Tree:
    """The prompts without their first `shared` tokens, as one row."""
    trunk = shared + common(prompts, shared)
    return Tree(prompts[0][shared:trunk], tuple(one[trunk:] for one in prompts))


def common(prompts: Sequence[Tokens], after: int = 0) -> int:
    """How many tokens after the first `after` all prompts share, at least one short of each."""
    low, high = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    at = after
    while at < most and low[at] == high[at]:
        at += 1
    return at - after


def rows_of(prompts: Sequence[Tokens], most: int) -> list[tuple[tuple[int, ...], int]]:
    """Neighbours put together while their row has at most `most` tokens; indices, and the row's tokens.

    A prompt that is no longer than what joins it is left alone: nothing would be saved.
    """
    rows: list[tuple[tuple[int, ...], int]] = []
    for index, prompt in enumerate(prompts):
        if rows:
            held, tokens = rows[-1]
            joined = len(tree_of([prompts[each] for each in (*held, index)]).tokens)
            if joined <= most and joined < tokens + len(prompt):
                rows[-1] = ((*held, index), joined)
                continue
        rows.append(((index,), len(prompt)))
    return rows


def block_mask(trees: Sequence[Tree], cached: int, layout: Layout, device: torch.device | str) -> Tensor:
    """(rows, 1, width, cached + width): bool, true where a column sees another; what the prefix holds, all
    see. For eager attention what is added to scores, in the model's dtype."""
    import torch

    width = max(len(tree.tokens) for tree in trees)
    seen = torch.zeros(len(trees), 1, width, cached + width, dtype=torch.bool, device=device)
    seen[..., :cached] = True
    for tree, own in zip(trees, seen, strict=True):
        tree.grow(own[0, :, cached:])
    if kernel_of(layout.config) != "eager":
        return seen
    dtype = next(layout.final_norm.parameters()).dtype if layout.final_norm else torch.float32
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, torch.finfo(dtype).min)


def padded_positions(trees: Sequence[Tree], cached: int, device: torch.device | str) -> Tensor:
    """(rows, width) positions after `cached` earlier ones; padding has the first."""
    import torch

    found = [tree.positions for tree in trees]
    width = max(map(len, found))
    rows = [[cached + each for each in own] + [cached] * (width - len(own)) for own in found]
    return torch.tensor(rows, dtype=torch.long, device=device)


def kernel_of(config: PreTrainedConfig) -> str:
    """The attention that the model was loaded with."""
    return str(getattr(config, "_attn_implementation", ""))


def window_of(config: PreTrainedConfig) -> int | None:
    """The shortest sliding window of any layer; None where all layers see everything."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    chunk = getattr(config, "attention_chunk_size", None)
    slides = window is not None and (kinds is None or "sliding_attention" in kinds)
    found = [each for each in (window if slides else None, chunk) if each is not None]
    return min(found) if found else None


def why_singly(layout: Layout, device: torch.device | str) -> str:
    """Why prompts of this model are read one by one; "" where branches are read as they are alone.

    Two small rows are read with a prefix in the cache, and each branch by itself: its last state must be the
    same, and nearer than without the mask.
    """
    kernel = kernel_of(layout.config)
    if kernel not in KERNELS:
        return f"attention {kernel or 'of this model'} takes no mask of its own"
    try:
        apart, unmasked, exact = _compared(layout, device)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
        return f"{type(layout.base).__name__} refuses the mask ({type(error).__name__})"
    if not apart <= (EXACT if exact else ROUNDED) or not apart * LEAST_GAIN <= unmasked:
        return f"{type(layout.base).__name__} does not keep branches apart ({apart:.1e} from a pass alone)"
    return ""


def _compared(layout: Layout, device: torch.device | str) -> tuple[float, float, bool]:
    """How far branches are from their own passes, with the mask and without; whether states are fp32."""
    import torch

    rows = min(layout.rows or 64, 64)
    words = [(7 * at * at + 3 * at + 5) % (rows - 4) + 4 if rows > 8 else at % rows for at in range(40)]
    shared, trunks = tuple(words[:10]), (tuple(words[10:15]), tuple(words[15:18]))
    ends = ((words[18:21], words[21:23], words[23:27]), (words[27:28], words[28:31]))
    prompts = [[(*shared, *trunk, *end) for end in own] for trunk, own in zip(trunks, ends, strict=True)]
    trees = [Tree(trunk, tuple(map(tuple, own))) for trunk, own in zip(trunks, ends, strict=True)]
    alone = [_state(layout, one, device) for own in prompts for one in own]
    naive = [
        _state(layout, shared + trees[row].tokens[: end + 1], device)
        for row, own in enumerate(trees)
        for end in own.ends
    ]
    prefix = SharedPrefix(layout.base, device)
    hidden = read_trees(trees, prefix.cache(shared, 2), len(shared), layout, device)
    together = [hidden[row, end] for row, own in enumerate(trees) for end in own.ends]
    exact = together[0].dtype == torch.float32

    def apart(states: Sequence[Tensor]) -> float:
        pairs = zip(states, alone, strict=True)
        return max(float((a - b).float().norm() / b.float().norm()) for a, b in pairs)

    return apart(together), apart(naive), exact


def _state(layout: Layout, ids: Tokens, device: torch.device | str) -> Tensor:
    import torch

    given = torch.tensor([ids], dtype=torch.long, device=device)
    found: Tensor = layout.base(input_ids=given, use_cache=False).last_hidden_state[0, -1]
    return found


def read_trees(
    trees: Sequence[Tree], cache: object, cached: int, layout: Layout, device: torch.device | str
) -> Tensor:
    """(rows, width, hidden) after the last norm; `cached` tokens precede every row in the cache."""
    out = layout.base(
        input_ids=padded([tree.tokens for tree in trees], device),
        position_ids=padded_positions(trees, cached, device),
        attention_mask=block_mask(trees, cached, layout, device),
        past_key_values=cache,
        use_cache=cache is not None,
    )
    found: Tensor = out.last_hidden_state
    return found
