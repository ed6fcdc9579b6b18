"""Where a model's modules hold their tensors, and what stands there while they are away."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, MutableSequence
from dataclasses import dataclass, field
from typing import Final

from torch import Tensor, empty_like, nn

_OWN: Final = frozenset(vars(nn.Module())) - {"_parameters", "_buffers"}
"""What torch keeps in every module beside its tensors."""
_TABLES: Final = ("_parameters", "_buffers")
_WITH_STATE: Final = ("bitsandbytes",)
"""Packages whose weights keep tensors in objects of their own: quantization states."""

Holder = MutableMapping[str, object] | MutableSequence[object]


@dataclass(slots=True)
class Slot:
    """One tensor, and every place that holds it: tied weights are one slot. `names` as in a state dict."""

    tensor: Tensor
    away: Tensor
    names: list[str] = field(default_factory=list)
    places: list[tuple[Holder, str | int]] = field(default_factory=list)

    def put(self, tensor: Tensor) -> None:
        """Has `tensor` in every place."""
        for holder, key in self.places:
            holder[key] = tensor  # type: ignore[index]


class Slots:
    """Every tensor that a model's modules hold: parameters, buffers (also those that no state dict has),
    plain attributes, and in `inner` what hangs on a tensor itself, as a quantization state does.

    Invariant: between `vacate` and `fill` every place holds a tensor of the same shape and dtype on `meta`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._slots: dict[int, Slot] = {}
        self.inner: list[Tensor] = []
        self._seen: set[int] = set()
        for prefix, module in model.named_modules():
            held: dict[str, object] = vars(module)
            for table in _TABLES:
                entries = held[table]
                assert isinstance(entries, dict)
                for name, value in entries.items():
                    if isinstance(value, Tensor):
                        self._slot(value, entries, name).names.append(f"{prefix}.{name}".lstrip("."))
            for name, value in held.items():
                if name not in _OWN and name not in _TABLES:
                    self._look(value, held, name)
        for slot in self:
            self._hang_on(slot.tensor)
        self.inner = [each for each in self.inner if id(each) not in self._slots]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    @property
    def tensors(self) -> list[Tensor]:
        """All of them, once each."""
        return [*(slot.tensor for slot in self), *self.inner]

    def vacate(self) -> None:
        """Every place holds a tensor on `meta`: a pass fails at once, and says so."""
        for slot in self:
            slot.put(slot.away)

    def fill(self) -> None:
        """Every place holds its own tensor again."""
        for slot in self:
            slot.put(slot.tensor)

    def _slot(self, tensor: Tensor, holder: Holder, key: str | int) -> Slot:
        slot = self._slots.get(id(tensor))
        if slot is None:
            slot = self._slots[id(tensor)] = Slot(tensor, _away(tensor))
        slot.places.append((holder, key))
        return slot

    def _look(self, value: object, holder: Holder, key: str | int) -> None:
        if isinstance(value, Tensor):
            self._slot(value, holder, key)
        elif isinstance(value, nn.Module) or id(value) in self._seen:
            return
        elif isinstance(value, dict | list):
            self._seen.add(id(value))
            for name, each in value.items() if isinstance(value, dict) else enumerate(value):
                self._look(each, value, name)
        elif type(value).__module__.startswith(_WITH_STATE):
            self._seen.add(id(value))
            own = vars(value)
            for name, each in own.items():
                self._look(each, own, name)

    def _hang_on(self, value: object) -> None:
        """Tensors that are attributes of a tensor, or of a state that is one."""
        for each in list(getattr(value, "__dict__", {}).values()):
            if isinstance(each, nn.Module) or id(each) in self._seen:
                continue
            if isinstance(each, Tensor):
                self._seen.add(id(each))
                self.inner.append(each)
            elif type(each).__module__.startswith(_WITH_STATE):
                self._seen.add(id(each))
                self._hang_on(each)


def _away(tensor: Tensor) -> Tensor:
    away = empty_like(tensor.detach(), device="meta")
    return nn.Parameter(away, requires_grad=False) if isinstance(tensor, nn.Parameter) else away
