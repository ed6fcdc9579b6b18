"""An adapter's weights, put beside those of its base by transformers' own integration of peft."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import FormatError, MissingExtraError
from ullage.facts.adapter import CONFIG
from ullage.text import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ullage.spec.role import Role


def check_peft(role: Role) -> None:
    """Raises MissingExtraError where an adapter cannot be loaded."""
    if find_spec("peft") is None:
        raise MissingExtraError("peft", "peft", f"running {role.model}, an adapter")


def check_alone(folder: Path, role: Role) -> None:
    """Raises FormatError for a model with an adapter in its own folder, which transformers would add to it
    where peft is installed."""
    if find_spec("peft") is not None and (folder / CONFIG).is_file():
        raise FormatError(
            f"{role.model}: holds a model and an adapter ({CONFIG}); keep each in a folder of its own, and "
            "name the one that is meant"
        )


def add_adapter(model: PreTrainedModel, folder: Path, role: Role) -> None:
    """Loads the adapter in `folder` into `model`, whose linear layers then add its products to their own.

    Raises FormatError unless every matrix of it found its place.
    """
    try:
        report = model.load_adapter(str(folder), use_safetensors=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise FormatError(f"{role.model}: cannot be loaded: {one_line(str(error))}") from error
    wrong = {*report.missing_keys, *report.unexpected_keys, *(name for name, *_ in report.mismatched_keys)}
    if wrong:
        raise FormatError(
            f"{role.model}: {len(wrong)} of its matrices do not fit its base, as {min(wrong)}; the model "
            "would run with random weights"
        )
    model.eval()
