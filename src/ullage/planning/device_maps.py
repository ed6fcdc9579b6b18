"""Where each role's blocks are loaded, neighbours in one place together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from ullage.planning.plan import Plan


def device_maps(plan: Plan) -> dict[str, dict[str, str]]:
    """By role, for every role that is held here, its blocks and their device (`gpu:0`, `cpu`, `disk`, or
    `gpu:0+gpu:1` where each holds a share of every block): `{"embed_tokens": "gpu:0", "layers.0-39": "gpu:0",
    "layers.40-79": "gpu:1", "norm+lm_head": "gpu:1"}`. `runtime.loader.module_map` has the modules' names."""
    return {name: _folded(role.placement.device_map) for name, role in plan.roles.items()}


def _folded(blocks: Mapping[str, str]) -> dict[str, str]:
    """Layers that follow one another on one device as `layers.FIRST-LAST`."""
    found = {}
    for (kind, device), run in groupby(blocks.items(), lambda block: (_kind(block[0]), block[1])):
        names = [name for name, _ in run]
        if kind and len(names) > 1:
            found[f"{names[0]}-{names[-1].removeprefix('layers.')}"] = device
        else:
            found |= dict.fromkeys(names, device)
    return found


def _kind(block: str) -> bool:
    return block.startswith("layers.")
