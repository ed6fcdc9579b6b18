"""What a model's generation_config.json asks for, beside the ids that end a text.

Runs write in one way: the likeliest token, or a draw as the workload says. What else a model's authors ask
for is done by no kind of workload, and named where the plan is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.files import read_text

NAME: Final = "generation_config.json"
LARGEST_FILE: Final = 2**20
NEUTRAL: Final[Mapping[str, object]] = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "diversity_penalty": 0.0,
    "length_penalty": 1.0,
    "penalty_alpha": None,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": None,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "sequence_bias": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": None,
    "constraints": None,
    "force_words_ids": None,
    "watermarking_config": None,
    "stop_strings": None,
    "dola_layers": None,
}
"""Fields that change what is written, with the values that change nothing (transformers' own defaults)."""


def asked_for(folder: Path) -> tuple[str, ...]:
    """What the generation config in a model's folder asks for, as `name: value`; nothing where there is none.

    Raises FormatError for a file that is none.
    """
    path = folder / NAME
    try:
        found: object = json.loads(read_text(path, LARGEST_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path}: holds {type(found).__name__}, not an object")
    return tuple(
        f"{name}: {_shown(found[name])}"
        for name, neutral in NEUTRAL.items()
        if found.get(name, neutral) not in (neutral, None, [], {}, 0)
    )


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
