"""Multi-head latent attention: DeepSeek-V2, V3, V3.2 and MiniCPM3."""

from __future__ import annotations

from ullage.facts.architecture import LatentAttention
from ullage.facts.families.family import Latent
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm
from ullage.facts.families.switch import holds


def latent_attention(
    fields: Fields, row: Latent, hidden: int, indexes: bool
) -> tuple[LatentAttention, Weights]:
    """One block and its projections, with an indexer of its own where it `indexes`."""
    heads = fields.size("num_attention_heads")
    fields.kv_heads()  # of no meaning here, and yet transformers divides by them
    q_rank = fields.optional("q_lora_rank")
    kv_rank = fields.size("kv_lora_rank")
    rope = fields.size("qk_rope_head_dim")
    nope = fields.size("qk_nope_head_dim")
    value = fields.size("v_head_dim")
    bias, where = holds(row.bias, fields), row.where
    if q_rank:
        weights = linear(f"{where}.q_a_proj", q_rank, hidden, bias)
        weights += norm(f"{where}.q_a_layernorm", q_rank)
        weights += linear(f"{where}.q_b_proj", heads * (nope + rope), q_rank)
    else:
        weights = linear(f"{where}.q_proj", heads * (nope + rope), hidden)
    weights += linear(f"{where}.kv_a_proj_with_mqa", kv_rank + rope, hidden, bias)
    weights += norm(f"{where}.kv_a_layernorm", kv_rank)
    weights += linear(f"{where}.kv_b_proj", heads * (nope + value), kv_rank)
    weights += linear(f"{where}.o_proj", hidden, heads * value, bias)
    index_dim = fields.count("index_head_dim") if row.indexer and indexes else 0
    mixer = LatentAttention(heads, kv_rank, rope, nope, value, index_dim)
    if not index_dim:
        return mixer, weights
    index_heads, rank = fields.size("index_n_heads"), q_rank or hidden
    mixer = mixer._replace(indexer_heads=index_heads, chosen=fields.size("index_topk"), q_rank=rank)
    return mixer, weights + _indexer(hidden, rank, index_heads, index_dim)


def _indexer(hidden: int, q_rank: int, heads: int, width: int) -> Weights:
    """The sparse-attention indexer of DeepSeek-V3.2 (arXiv 2512.02556)."""
    where = "self_attn.indexer"
    weights = linear(f"{where}.wq_b", heads * width, q_rank) + linear(f"{where}.wk", width, hidden)
    weights += norm(f"{where}.k_norm", width, True)
    return weights + linear(f"{where}.weights_proj", heads, hidden)
