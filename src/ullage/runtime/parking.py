"""A role's model brought to its devices, parked in host memory, dropped, and brought back as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from traceback import clear_frames

import torch

from ullage.facts.architecture import Model
from ullage.facts.diffusion import Pipeline
from ullage.memory.pipeline import pipeline_parking
from ullage.memory.weights.parking import Parking, parking
from ullage.planning.role_plan import RolePlan
from ullage.runtime.batching import is_out_of_memory, release
from ullage.runtime.dropped import Dropped, drop_tensors
from ullage.runtime.host_copy import HostCopy, copied
from ullage.runtime.loader import Loaded, load_model
from ullage.runtime.role_weights import Cancelled, RoleWeights
from ullage.runtime.slots import Slots
from ullage.runtime.source import is_adapter, source_of
from ullage.runtime.weight_files import WeightFiles, touch, weight_files
from ullage.spec.role import Role


class ModelWeights(RoleWeights):
    """A model whose modules are built once; its weights come and go.

    `load` is the one loader. What it made lies in the modules' own places; parked or dropped, tensors on
    `meta` stand there. Where device and host are one memory, a parked model's tensors stay where they are and
    nothing is ever copied; else they are copied to host memory once, and from there in one piece a device.
    From disk the modules are filled out of the mapped checkpoint, once every tensor was found in it bit for
    bit; a model of which one was not (quantized while it loads, experts merged, an adapter's) goes through
    `load` again.

    Invariant: the tensors are in the modules' places exactly while the model is ready; a call that raises
    leaves everything as it was, but for a parked model whose file was written into, which is gone.
    """

    def __init__(
        self,
        load: Callable[[], Loaded],
        parking: Parking,
        folder: Path | None = None,
        one_memory: bool | None = None,
    ) -> None:
        """`folder` is the checkpoint's; None: it always comes through `load`. `one_memory`: whether its
        device is host memory; None: as it is found."""
        self._load, self._parking, self._folder, self._one_memory = load, parking, folder, one_memory
        self._files: WeightFiles | None = None
        self._loaded: Loaded | None = None
        self._slots: Slots | None = None
        self._copies: list[HostCopy] = []
        self._dropped: Dropped | None = None

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by device while it is ready."""
        return self._parking.sizes

    @property
    def load_peaks(self) -> Mapping[str, int]:
        """Most bytes by device, and of host memory, while it comes from disk."""
        return self._parking.load_peaks

    @property
    def parked_bytes(self) -> int:
        """Bytes of host memory while it is parked; 0 where it goes to disk."""
        return self._parking.parked

    @property
    def copied_bytes(self) -> int:
        """Bytes of host memory that copies of its tensors take now."""
        return sum(each.bytes for each in self._copies)

    def bring(self, cancelled: Callable[[], bool]) -> Loaded:
        """The model, ready. Raises Cancelled, MemoryError, and what else loading raises."""
        try:
            return self._brought(cancelled)
        except BaseException as error:
            # What failed would keep half a model alive for as long as anybody keeps the error.
            for each in (error, error.__cause__, error.__context__):
                if each is not None:
                    clear_frames(each.__traceback__)
            if is_out_of_memory(error) and not isinstance(error, MemoryError):
                raise MemoryError(str(error)) from error
            raise

    def _brought(self, cancelled: Callable[[], bool]) -> Loaded:
        if cancelled():
            raise Cancelled
        if self._slots is not None and self._lost():
            self._forget()
        if self._loaded is None:
            self._loaded = self._first(cancelled)
        elif self._slots is not None:
            if self._dropped is not None:
                self._dropped.restore(cancelled, self._shares(self._loaded))
                self._dropped = None
            elif self._copies:
                sent = [each.sent(cancelled) for each in self._copies]
                for each, arena in zip(self._copies, sent, strict=True):
                    each.wake(arena)
            self._slots.fill()
            self._slots = None
        return self._loaded

    def park(self) -> None:
        """To host memory; to disk where it cannot be parked."""
        if self._loaded is None or self._slots is not None:
            return
        if not self.parked_bytes or self._loaded.offloaded:
            self.drop()
            return
        slots = Slots(self._loaded.model)
        if not self._shares(self._loaded):
            if any(each.stale for each in self._copies):
                self._copies = []
            held = {id(tensor) for each in self._copies for tensor in each.tensors}
            self._copies += copied([each for each in slots.tensors if id(each) not in held])
            for each in self._copies:
                each.rest()
        slots.vacate()
        self._slots = slots
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def drop(self) -> None:
        """To disk; where every tensor is the checkpoint's own the modules stay, and are filled again."""
        if self._loaded is None or self._dropped is not None:
            return
        slots = self._slots or Slots(self._loaded.model)
        devices = {id(tensor): each.device for each in self._copies for tensor in each.tensors}
        dropped = None if self._loaded.offloaded else drop_tensors(slots, self._files, devices)
        if dropped is None:
            self._forget()
            return
        slots.vacate()
        self._slots, self._dropped, self._copies = slots, dropped, []
        release()

    def _first(self, cancelled: Callable[[], bool]) -> Loaded:
        """Out of the loader, every page of it in memory."""
        self._files = None if self._folder is None else weight_files(self._folder)
        loaded = self._load()
        try:
            touch((each for each in Slots(loaded.model).tensors if each.device.type == "cpu"), cancelled)
        except Cancelled:
            del loaded
            release()
            raise
        return loaded

    def _lost(self) -> bool:
        """Whether files no longer hold what is to come from them, or what is mapped from them and parked."""
        if self._files is None or self._copies:
            return False
        return self._files.changed() if self._dropped is not None else self._files.overwritten()

    def _forget(self) -> None:
        self._loaded, self._slots, self._dropped, self._copies = None, None, None, []
        release()

    def _shares(self, loaded: Loaded) -> bool:
        """Whether its device is host memory."""
        return loaded.device == "cpu" if self._one_memory is None else self._one_memory


def model_weights(
    role: Role,
    planned: RolePlan,
    model: Model,
    *,
    base: Path | None = None,
    download: bool = False,
    one_memory: bool | None = None,
) -> ModelWeights:
    """The weights of `role.model`, which `model` describes, as planned, to be brought, parked and dropped;
    `one_memory` as above.

    Raises what opening and loading a model raise.
    """
    source = source_of(role.model, base, download)
    plain = source.is_dir() and not is_adapter(source)
    return ModelWeights(
        lambda: load_model(role, planned, base=base, download=download),
        _parking(model, planned),
        source if plain else None,
        one_memory,
    )


def _parking(model: Model, planned: RolePlan) -> Parking:
    blocks = list(planned.placement.device_map.values())
    if isinstance(model, Pipeline):
        return pipeline_parking(model, planned.precision, blocks[0])
    part = planned.part
    layers = model.layers[: part.layers]
    shape = replace(model, layers=layers, head=model.head if part.head else ())
    return parking(shape, planned.precision, blocks)
