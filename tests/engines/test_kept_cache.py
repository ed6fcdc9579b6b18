"""Replies of a talk are those of whole passes, whatever of it is kept in the cache, cut off or broken off."""

from contextlib import nullcontext
from functools import cache
from types import SimpleNamespace

import pytest
import small_families
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ullage.engines.engine import Sampling
from ullage.engines.transformers_engine import TransformersEngine

CUT = ("llama", "bloom", "gpt2", "mistral")
"""Families whose caches can be cut where a talk differs from what was read; Mistral's windows until they
slide."""
GROWN = ("granitemoehybrid", "qwen3_next", "minimax")
"""Families whose caches hold states of all that was read: they are gone on from, and not cut."""
WHOLE = ("jamba",)
"""A family that is read whole each time."""
SAMPLING = Sampling(3)
BEGUN = " ".join(f"w{at}" for at in range(5, 15))


class Watch:
    """Counts the tokens that are read; breaks off the pass in which so many more layers have run."""

    needs_all = False
    to_the_end = False

    def __init__(self, model, layers=None):
        self.read, self.left = 0, layers
        blocks = next(each for each in model.modules() if type(each).__name__ == "ModuleList")
        self.handles = [block.register_forward_hook(self._ran) for block in blocks]

    def _ran(self, *_):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def during(self, coverage):
        self.read += sum(part.end - part.begin for part in coverage.parts)
        return nullcontext()

    def ended(self, sequences, prompt_tokens):
        """Nothing is left to be told."""


class Talk:
    """A model's engine, whose words are its tokens."""

    def __init__(self, family):
        self.model = model_of(family)
        rows = self.model.get_input_embeddings().weight.shape[0]
        made = Tokenizer(models.WordLevel({f"w{at}": at for at in range(rows)}, "w0"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        words = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="w0")
        self.engine = TransformersEngine(
            SimpleNamespace(model=self.model, tokenizer=words, device="cpu"), family
        )

    def reply(self, prompt, layers=None):
        """The reply, None where it was broken off, and how many tokens were read for it."""
        watch, reply = Watch(self.model, layers), None
        try:
            with self.engine.observed(watch):
                *_, reply = self.engine.stream(prompt, SAMPLING, 0)
        except KeyboardInterrupt:
            pass
        finally:
            for handle in watch.handles:
                handle.remove()
        return reply, watch.read


@cache
def model_of(family):
    model = small_families.build(small_families.config_of(family)).model
    model.generation_config.eos_token_id = None
    return model


def same(one, other):
    return one.text == other.text and one.logprobs == pytest.approx(other.logprobs, abs=2e-4)


@pytest.mark.parametrize("family", [*CUT, *GROWN, *WHOLE])
def test_only_what_is_new_is_read(family):
    talk = Talk(family)
    prompt = BEGUN
    for turn in range(3):
        found, read = talk.reply(prompt)
        whole, all_read = Talk(family).reply(prompt)
        assert same(found, whole)
        new = (
            all_read if turn == 0 or family in WHOLE else 2 + 1 + 2
        )  # a reply's last token, a question, a reply
        assert read == new
        prompt = f"{prompt} {found.text} w3 w4"
    earlier = f"{BEGUN} w7 w8 w9"  # what was said is not what was written
    found, read = talk.reply(earlier)
    whole, all_read = Talk(family).reply(earlier)
    assert same(found, whole)
    assert (read < all_read) == (family in CUT[:3])


def test_what_is_forgotten_is_read_again():
    talk = Talk("llama")
    _, first = talk.reply(BEGUN)
    talk.engine.forget()
    assert talk.reply(BEGUN)[1] == first


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_replies_are_those_of_whole_passes_whatever_came_before(data):
    """Whatever was said, and wherever a reply was broken off: between passes or between layers."""
    family = data.draw(st.sampled_from([*CUT, *GROWN]))
    talk = Talk(family)
    said = BEGUN.split()
    for _ in range(data.draw(st.integers(2, 4))):
        layers = data.draw(st.none() | st.integers(1, 8))
        kept = data.draw(st.integers(max(len(said) - 6, 0), len(said)))
        said = [
            *said[:kept],
            *data.draw(st.lists(st.sampled_from(["w3", "w4", "w5"]), min_size=1, max_size=4)),
        ]
        found, _ = talk.reply(" ".join(said), layers)
        if found is not None:
            assert same(found, Talk(family).reply(" ".join(said))[0])
            said = [*said, *found.text.split()]
