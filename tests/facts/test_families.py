"""Every row against transformers' own model: each tensor, for default configs and with flags turned."""

import pytest
import small_families

from ullage.errors import UllageError
from ullage.facts.config import config_defaults, read_config
from ullage.facts.families.family import Family
from ullage.facts.families.rows import decoder_types, encoder_types, family_of, known_types

STRUCTURE = ("bias", "norm", "tie_word", "parallel", "decoder_arch", "multi_query", "use_cache_", "k_eq_v")
BUILT = {"alibi", "enable_moe_block", "do_layer_norm_before", "mamba_inner_layernorms", "layer_norm_eps"}


def flags(family):
    """Flags of a class's defaults that may give tensors, each with its other value."""
    return {
        name: not value
        for name, value in config_defaults()[family].items()
        if isinstance(value, bool) and any(part in name for part in STRUCTURE) and name not in BUILT
    }


@pytest.mark.long
@pytest.mark.parametrize("family", small_families.FAMILIES + small_families.ENCODERS)
def test_a_row_counts_every_tensor_of_the_model_whatever_flag_is_turned(family):
    for fields in ({}, flags(family)):
        config = small_families.config_of(family, **fields)
        found, real = small_families.shapes(small_families.build(config, device="meta"))
        assert found == real, fields


@pytest.mark.parametrize("family", small_families.VARIANTS)
def test_a_row_counts_every_tensor_of_other_structures_that_its_configs_ask_for(family):
    for config in small_families.variants_of(family):
        found, real = small_families.shapes(small_families.build(config, device="meta"))
        assert found == real, config


@pytest.mark.parametrize("family", decoder_types() + encoder_types())
def test_a_type_has_one_row_and_the_defaults_it_needs(family):
    assert isinstance(family_of(family), Family)
    assert family in config_defaults() or family in small_families.OWN_CODE


def test_no_type_without_a_row_is_read_as_another():
    assert family_of("warp") is None
    for wrapper in set(known_types()) - {*decoder_types(), *encoder_types()}:
        with pytest.raises(UllageError):
            read_config({"model_type": wrapper, "text_config": {"model_type": "warp"}}, "model", "test")
