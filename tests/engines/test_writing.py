"""What cannot be written is told in a line."""

from contextlib import nullcontext

import pytest
import small_families

from ullage.engines.engine import Sampling
from ullage.engines.prefix import SHORTEST_PREFIX
from ullage.engines.row import new_row
from ullage.engines.scoring import Scorer
from ullage.engines.writing import Writer
from ullage.errors import UnsupportedError
from ullage.runtime.layout import find_layout


@pytest.mark.parametrize("family", ["mamba", "recurrent_gemma"])
def test_a_model_that_gives_no_cache_to_go_on_from_is_refused(family):
    model = small_families.build(small_families.config_of(family)).model
    writer = Writer(model, "cpu", frozenset(), lambda tokens: "")
    with pytest.raises(UnsupportedError, match="is read here and not written"):
        writer.write([new_row((5, 6, 7), 0)], Sampling(2, 0.0, 1.0, ()))


def test_nor_is_what_prompts_begin_with_read_once_where_no_cache_is_given():
    model = small_families.build(small_families.config_of("recurrent_gemma")).model
    alike = [(*range(3, 3 + SHORTEST_PREFIX), end) for end in (20, 21)]
    with pytest.raises(UnsupportedError, match="is read here and not written"):
        Scorer(find_layout(model), "cpu").scores(alike, [[(5,), (6,)]] * len(alike))


class Watching:
    """Watches each row, and so has every prompt read by itself."""

    needs_all = to_the_end = False

    def during(self, coverage):
        return nullcontext()

    def ended(self, sequences, prompt_tokens):
        pass


LONG, SHORT = tuple(range(5, 25)), tuple(range(9, 16))
PROMPTS = (LONG, SHORT, LONG, LONG, SHORT, LONG)
FAMILIES = (
    "llama",
    "gemma2",
    "mistral",
    "qwen3_moe",
    "deepseek_v3",
    "jamba",
    "granitemoehybrid",
    "qwen3_next",
)


@pytest.mark.parametrize("chunk", [None, 6])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_one_prompt_are_written_as_if_each_had_read_it(family, chunk):
    model = small_families.build(small_families.config_of(family)).model
    read = []
    model.get_input_embeddings().register_forward_hook(
        lambda module, given, out: read.append(out.shape[0] * out.shape[1])
    )
    writer = Writer(model, "cpu", frozenset({2}), lambda tokens: "", chunk)
    together, apart = ([new_row(each, 9 + n) for n, each in enumerate(PROMPTS)] for _ in range(2))
    writer.write(together, Sampling(6, 1.0, 0.9, ()))
    shared = sum(read)
    writer.write(apart, Sampling(6, 1.0, 0.9, ()), Watching())
    for one, other in zip(together, apart, strict=True):
        assert one.tokens == other.tokens
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert len({tuple(row.tokens) for row in together if row.prompt == LONG}) > 1
    assert sum(read) - 2 * shared == len(LONG) * (len(PROMPTS) - 2)
