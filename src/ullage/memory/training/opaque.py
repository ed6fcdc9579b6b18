"""What autograd keeps of parts whose statements are not written here: sums, read off saved tensors."""

from __future__ import annotations

from ullage.facts.architecture import Attention, Dense, Experts, LatentAttention, Layer, Recurrent
from ullage.memory.forward.attention import LOG_SUM_EXP_BYTES, QUADRATIC
from ullage.memory.forward.cache import cached_heads
from ullage.memory.forward.one_pass import Pass
from ullage.memory.training.saved_recurrence import saved_by_recurrence


def saved_mixer(layer: Layer, work: Pass, width: int) -> int:
    """Query, key, value and output of attention, with probabilities where they exist; a recurrence's scan."""
    mixer, rows = layer.mixer, work.rows
    if isinstance(mixer, Recurrent):
        return saved_by_recurrence(layer, mixer, work, width)
    if mixer is None:
        return 0
    if isinstance(mixer, LatentAttention):
        head = mixer.nope_dim + mixer.rope_dim
        elements = mixer.heads * (2 * head + 2 * mixer.value_dim) + mixer.kv_rank
        heads = mixer.heads
    else:
        assert isinstance(mixer, Attention)
        elements = mixer.heads * (mixer.head_dim + mixer.value_dim)
        elements += cached_heads(mixer) * (mixer.head_dim + mixer.value_dim)
        heads = mixer.heads
    scores = work.batch * heads * work.new * (work.cached + work.new)
    if work.kernel in QUADRATIC:
        kept = scores * (4 + width if work.kernel == "eager" else 2 * 4)
    else:
        kept = rows * heads * LOG_SUM_EXP_BYTES
    return rows * elements * width + kept


def saved_feed_forward(layer: Layer, hidden: int, rows: int, width: int) -> int:
    """Gate, activated gate, up and product; of experts for every token that chose one."""
    part = layer.feed_forward
    if isinstance(part, Dense):
        return rows * part.intermediate * width * (4 if part.gated else 2)
    if isinstance(part, Experts):
        routed = part.active * (2 * hidden + part.intermediate * (4 if part.gated else 2))
        return rows * (routed + 4 * part.shared_intermediate) * width
    return 0
