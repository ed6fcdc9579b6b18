"""LoRA adapters as PEFT saves them: what they add to which layers of their base, by config and header."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ullage.errors import FormatError, UnsupportedError

if TYPE_CHECKING:
    from ullage.facts.architecture import Architecture
    from ullage.facts.checkpoint import StoredTensor

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
MATRIX: Final = re.compile(
    r"base_model\.model\.(?:[a-z_]+\.)*?(?:layers|h|blocks)\.(\d{1,5})\.([\w.]+)\.lora_([AB])\.weight"
)
OTHER_WEIGHTS: Final = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
)
"""Fields with which an adapter has other weights than two matrices a linear layer, or computes otherwise."""


class LowRank(NamedTuple):
    """What is added to a linear weight of (`outside`, `inside`) in a block: (`rank`, inside) and (outside,
    rank)."""

    block: int
    rank: int
    inside: int
    outside: int

    @property
    def elements(self) -> int:
        return self.rank * (self.inside + self.outside)


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """What an adapter adds to the model `base` names. Blocks are numbered from 1, as a role's are."""

    base: str
    parts: tuple[LowRank, ...]

    @property
    def elements(self) -> int:
        return sum(part.elements for part in self.parts)


def is_adapter(files: Iterable[str]) -> bool:
    """Whether a folder with these files holds an adapter and no weights of a model."""
    names = set(files)
    weights = {name for name in names if name.endswith((".safetensors", ".bin", ".gguf"))}
    return CONFIG in names and not any(not name.startswith("adapter_model.") for name in weights)


def base_of(config: Mapping[str, object], where: str) -> str:
    """The model that an adapter belongs to, at its revision where that is named.

    Raises FormatError where none is, UnsupportedError for what is no plain LoRA.
    """
    kind = config.get("peft_type")
    if kind != "LORA":
        raise UnsupportedError(
            f"{where}: is an adapter of kind {str(kind)[:40]}; those of kind LORA are planned and run"
        )
    other = [name for name in OTHER_WEIGHTS if config.get(name)]
    if config.get("bias") not in (None, "none"):
        other.append("bias")
    if other:
        raise UnsupportedError(
            f"{where}: is a LoRA adapter with {', '.join(other)}, which is not counted; merge it into its "
            "base (peft's merge_and_unload) and name the result"
        )
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base.strip():
        raise FormatError(
            f"{where}: {CONFIG} does not name the model it belongs to; set base_model_name_or_path"
        )
    return f"{base}@{revision}" if isinstance(revision, str) and revision and "@" not in base else base


def read_adapter(folder: Path, base: Architecture, named: str) -> Adapter:
    """The adapter in `folder` of the model `base`, which is opened as `named`.

    Raises FormatError for weights that are pickles, broken, or another model's.
    """
    from ullage.facts.safetensors_header import read_checkpoint

    weights = folder / WEIGHTS
    if not weights.is_file():
        raise FormatError(f"{folder.name}: {no_weights([path.name for path in folder.iterdir()])}")
    pairs: dict[tuple[int, str], dict[str, StoredTensor]] = {}
    for tensor in read_checkpoint(weights).tensors:
        found = MATRIX.fullmatch(tensor.name)
        if found is None or "vision" in tensor.name or "visual" in tensor.name or len(tensor.shape) != 2:
            raise FormatError(
                f"{weights}: tensor {tensor.name[:120]!r} is no LoRA matrix of the language model's layers"
            )
        pairs.setdefault((int(found[1]), found[2]), {})[found[3]] = tensor
    if not pairs:
        raise FormatError(f"{weights}: holds no LoRA matrices")
    return Adapter(named, tuple(_part(folder.name, *place, pair, base) for place, pair in pairs.items()))


def no_weights(files: Collection[str]) -> str:
    """Why an adapter without safetensors is not read."""
    if "adapter_model.bin" in files:
        return f"its weights are pickles, which can run code; convert adapter_model.bin to {WEIGHTS}"
    return f"is an adapter without {WEIGHTS}"


def _part(
    where: str, layer: int, module: str, pair: Mapping[str, StoredTensor], base: Architecture
) -> LowRank:
    """The two matrices of one weight, against that weight. Raises FormatError."""
    place = f"{module} of layer {layer}"
    if len(pair) < 2 or pair["A"].shape[0] != pair["B"].shape[1]:
        raise FormatError(f"{where}: the two LoRA matrices of {place} do not belong together")
    rank, inside = pair["A"].shape
    outside = pair["B"].shape[0]
    shape = _shape_of(base, layer, module)
    belongs = f"{where}: belongs to another model than {base.name}"
    if shape is None:
        raise FormatError(f"{belongs}, which has no linear weight {place}")
    if (outside, inside) != shape and (base.model_type != "gpt2" or (inside, outside) != shape):
        raise FormatError(f"{belongs}, where {place} is {shape}; the adapter's is ({outside}, {inside})")
    return LowRank(layer + 1, rank, inside, outside)


def _shape_of(base: Architecture, layer: int, module: str) -> tuple[int, ...] | None:
    """A linear weight's shape, as the base's files have it or as its config does; None where it has none."""
    if base.checkpoint is not None:
        ending = f".{layer}.{module}.weight"
        shapes = [each.shape for each in base.checkpoint.tensors if each.name.endswith(ending)]
        if len(shapes) == 1:
            return shapes[0]
    if layer >= len(base.layers):
        return None
    weights = {weight.name: weight for weight in base.layers[layer].weights if weight.role == "linear"}
    found = weights.get(f"{module}.weight")
    return None if found is None else found.shape
