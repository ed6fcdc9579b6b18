"""A diffusion pipeline brought into memory, network by network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import torch
from torch import nn

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.config import parse_config
from ullage.facts.diffusers_index import read_pipeline
from ullage.facts.dtypes import TORCH_NAMES
from ullage.runtime.libraries import find_diffusers, without_bars
from ullage.runtime.source import INDEX
from ullage.spec.role import Role

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

KNOWN: Final = ("FluxPipeline",)
"""Pipelines whose call is known here: a prompt, a size, steps and a seed make a picture."""
LIBRARIES: Final = ("diffusers", "transformers")
"""Whose classes an index may name: it could name anything that can be imported."""


class Network(Protocol):
    """The class of one network, of diffusers or transformers."""

    def from_pretrained(
        self, folder: Path, **options: object
    ) -> tuple[nn.Module, Mapping[str, Collection[str]]]:
        """A checkpoint's network; names of weights under `missing_keys`."""


class Networks(nn.Module):
    """The networks of a pipeline as one model, under the pipeline's own names for them.

    Invariant: they are the very modules that `pipeline` runs, so whoever moves their tensors moves its.
    """

    def __init__(self, pipeline: DiffusionPipeline, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.pipeline = pipeline
        for name, network in networks.items():
            self.add_module(name, network)
        self.eval()


def load_networks(role: Role, source: Path, compute: str, device: str) -> Networks:
    """The pipeline in `source`, its networks in eval mode on `device`, each there before the next is read.

    Only safetensors are read. Raises UnsupportedError for a pipeline that is not known, FormatError for one
    whose weights are missing or broken.
    """
    index = parse_config(source / INDEX)
    kind = index.get("_class_name")
    if kind not in KNOWN:
        named = kind if isinstance(kind, str) else "pipeline of code of its own"
        raise UnsupportedError(f"{role.model}: is a {named}; those that can be run are: {', '.join(KNOWN)}")
    diffusers = find_diffusers()
    networks = {
        component.name: _network(role, source / component.name, index[component.name], compute).to(device)
        for component in read_pipeline(source).components
    }
    try:
        with without_bars(diffusers):
            pipeline = getattr(diffusers, str(kind)).from_pretrained(
                source, local_files_only=True, **networks
            )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, AttributeError) as error:
        raise _broken(role, "it", error) from error
    pipeline.set_progress_bar_config(disable=True)
    return Networks(pipeline, networks)


def _network(role: Role, folder: Path, named: object, compute: str) -> nn.Module:
    """One of its networks, every tensor of it from its folder."""
    from safetensors import SafetensorError

    from ullage.runtime.batching import is_out_of_memory

    library, name = cast("list[str]", named)
    if library not in LIBRARIES:
        raise UnsupportedError(
            f"{role.model}: {INDEX} takes {folder.name} from {library!r}, and code comes from "
            f"{' and '.join(LIBRARIES)} alone"
        )
    kind: Network = getattr(import_module(library), name)
    try:
        network, report = kind.from_pretrained(
            folder,
            dtype=getattr(torch, TORCH_NAMES[compute]),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise _broken(role, folder.name, error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise FormatError(
            f"{role.model}: {folder.name} lacks {len(missing)} tensors of the network, as {missing[0]}; it "
            "would run with random weights"
        )
    return network.eval()


def _broken(role: Role, what: str, error: BaseException) -> FormatError:
    text = " ".join(str(error).split())
    shown = text if len(text) < 400 else text[:400] + "..."
    return FormatError(f"{role.model}: {what} cannot be loaded: {shown}")
