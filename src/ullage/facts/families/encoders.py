"""What single families of encoders have of their own: token types, relative positions, windows."""

from __future__ import annotations

from ullage.facts.families.family import WindowRule
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm, single


def token_types(fields: Fields, hidden: int) -> Weights:
    """What tells the first text of a pair from the second."""
    types = fields.count("type_vocab_size")
    return single("embeddings.token_type_embeddings.weight", (types, hidden), "embedding") if types else ()


def halved(name: str) -> WindowRule:
    """As many positions before each as after it: half of the field `name`."""

    def found(fields: Fields) -> int | None:
        both = fields.optional(name)
        return None if both is None else both // 2

    return found


def mpnet_bias(fields: Fields, hidden: int) -> Weights:
    """MPNet (arXiv 2004.09297): a number a head for each bucket of distances, one table for all layers."""
    shape = (fields.size("relative_attention_num_buckets"), fields.heads())
    return single("encoder.relative_attention_bias.weight", shape, "embedding")


def deberta_positions(fields: Fields) -> bool:
    """Whether the input has positions too."""
    return fields.raw("position_biased_input") is not False


def distances(fields: Fields) -> int:
    """How far apart DeBERTa-v2 tells positions, in buckets each way (arXiv 2006.03654); 0: not at all."""
    if not fields.flag("relative_attention"):
        return 0
    buckets, largest = fields.raw("position_buckets"), fields.raw("max_relative_positions")
    if isinstance(buckets, int) and buckets > 0:
        return buckets
    if isinstance(largest, int) and largest > 0:
        return largest
    return fields.size("max_position_embeddings")


def deberta_embeddings(fields: Fields, hidden: int) -> Weights:
    """Token types, and the embeddings of distances, which all layers share, with their norm."""
    weights = token_types(fields, hidden)
    reach = distances(fields)
    if reach:
        weights += single("encoder.rel_embeddings.weight", (2 * reach, hidden), "embedding")
    normed = fields.raw("norm_rel_ebd")
    if isinstance(normed, str) and "layer_norm" in normed.lower():
        weights += norm("encoder.LayerNorm", hidden, True)
    return weights


def deberta_layer(fields: Fields, hidden: int) -> Weights:
    """Projections of distances, where they are not those of the content."""
    if not distances(fields) or fields.flag("share_att_key"):
        return ()
    types = _position_scores(fields)
    weights: Weights = ()
    if "c2p" in types:
        weights += linear("attention.self.pos_key_proj", hidden, hidden, True)
    if "p2c" in types:
        weights += linear("attention.self.pos_query_proj", hidden, hidden, True)
    return weights


def _position_scores(fields: Fields) -> tuple[str, ...]:
    """Which scores distances have a part in: c2p (content to position), p2c, or both."""
    named = fields.raw("pos_att_type")
    if isinstance(named, str):
        return tuple(part.strip() for part in named.lower().split("|"))
    return fields.names("pos_att_type") or ()
