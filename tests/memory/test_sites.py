"""Bytes of captured sites, over every family."""

import every_family
import pytest

from ullage.errors import SpecError
from ullage.memory.captures.sites import HEAD_SITES, Site, check_apart, matched_sites, site_bytes
from ullage.spec.capture import Capture

PROJECTIONS = {
    "attn.hook_q": ("q_proj", "q_b_proj"),
    "attn.hook_k": ("k_proj",),
    "attn.hook_v": ("v_proj",),
}
GATED = ("qwen3_next", "qwen3_5")
"""Families whose query projection makes a gate as wide as the query too."""


def elements(family, hook, block, positions=1, keys=1):
    """Elements kept of one sequence, told by their bytes in fp32."""
    architecture = every_family.architecture(family)
    capture = Capture(sites=(f"blocks.*.{hook}",), positions="all", precision="fp32")
    return site_bytes(Site(hook, block), capture, architecture, 1, positions, keys, "bf16") // 4


def with_heads(family):
    """Numbers of the blocks whose attention has heads, 1 the first."""
    capture = Capture(sites=("blocks.*.attn.hook_q", "hook_embed"))
    sites = matched_sites(capture, every_family.architecture(family)) if has_heads(family) else ()
    return [site.block for site in sites if site.hook in HEAD_SITES]


def has_heads(family):
    layers = every_family.architecture(family).layers
    return any(hasattr(layer.mixer, "heads") for layer in layers)


@pytest.mark.parametrize("family", every_family.NAMES)
def test_a_head_site_is_as_wide_as_the_projection_that_makes_it(family):
    layers = every_family.architecture(family).layers
    for block in with_heads(family)[:12]:
        made = {w.name.split(".")[-2]: w.shape[0] for w in layers[block - 1].weights if w.role == "linear"}
        for hook, names in PROJECTIONS.items():
            for name in set(names) & set(made):
                gate = 2 if hook == "attn.hook_q" and family.startswith(GATED) else 1
                assert elements(family, hook, block) * gate == made[name], (hook, block)
        if "o_proj" in made:
            output = next(w for w in layers[block - 1].weights if w.name.endswith("o_proj.weight"))
            assert elements(family, "attn.hook_z", block) == output.shape[1]


@pytest.mark.parametrize("family", every_family.NAMES)
def test_a_pattern_grows_with_queries_times_keys(family):
    for block in with_heads(family)[:1]:
        one = elements(family, "attn.hook_pattern", block)
        assert one == every_family.architecture(family).layers[block - 1].mixer.heads
        assert elements(family, "attn.hook_pattern", block, 3, 5) == 15 * one


@pytest.mark.parametrize("family", every_family.NAMES)
def test_what_is_kept_of_a_sequence_is_what_was_asked_for(family):
    architecture = every_family.architecture(family)
    site = Site("hook_resid_post", 1)
    for positions, kept in (("all", 7), ("last", 1), ("mean", 1)):
        capture = Capture(sites=("blocks.0.hook_resid_post",), positions=positions, precision="fp32")
        assert matched_sites(capture, architecture) == (site,)
        found = site_bytes(site, capture, architecture, 2, 7, 7, "bf16")
        assert found == 2 * kept * architecture.hidden_size * 4


def test_one_site_is_kept_in_one_way():
    architecture = every_family.architecture(every_family.NAMES[0])
    last = Capture(sites=("blocks.*.hook_resid_post",), positions="last")
    whole = Capture(sites=("blocks.1.hook_resid_post", "hook_embed"))
    with pytest.raises(SpecError, match=r"two name blocks\.1\.hook_resid_post .* positions last and all"):
        check_apart((last, whole), architecture)
    check_apart((last, last.model_copy(update={"layers": (0,)})), architecture)
    check_apart((last, Capture(sites=("hook_embed",))), architecture)
