"""Scores of prompts that begin alike are those of whole passes, whatever keeps the beginning."""

import pytest
import small_families
import torch

from ullage.engines.scoring import Scorer
from ullage.runtime.layout import find_layout

BEGUN = tuple(range(5, 25))
PROMPTS = [(*BEGUN, 31, 32, 33), (*BEGUN, 40, 41)]
CHOICES = [[(7,), (9, 11)], [(7,), (9, 11)]]


@pytest.mark.parametrize("family", ["llama", "jamba", "granitemoehybrid", "qwen3_next"])
def test_scores_are_those_of_whole_passes(family):
    """Mamba's scan forgets what was read before a pass of several tokens; nothing is shared then."""
    model = small_families.build(small_families.config_of(family)).model
    with torch.inference_mode():
        found = Scorer(find_layout(model), "cpu").scores(PROMPTS, CHOICES)
    for prompt, scores in zip(PROMPTS, found, strict=True):
        for choice, score in zip(CHOICES[0], scores, strict=True):
            with torch.inference_mode():
                logits = model(torch.tensor([[*prompt, *choice]])).logits[0].log_softmax(-1)
            whole = sum(logits[len(prompt) - 1 + at, token].item() for at, token in enumerate(choice))
            assert score == pytest.approx(whole, abs=2e-4)
