"""A role's own `device_map`, in accelerate's form: modules by their names, and where each goes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ullage.errors import nearest
from ullage.facts.architecture import Architecture, Model
from ullage.facts.diffusion import Pipeline
from ullage.facts.module_names import CONTAINERS, EMBEDDINGS, FINAL, HEADS, LAYERS, TOWERS, WEIGHTLESS
from ullage.spec.mistake import LONGEST_LIST, shorten

OFF: Final = ("cpu", "disk")
NUMBERED: Final = re.compile(
    rf"(?P<list>(?:.*\.)?(?:{'|'.join(LAYERS)}))\.(?P<first>\d{{1,5}})(?:-(?P<last>\d{{1,5}}))?"
)
INSIDE: Final = re.compile(rf"(?P<block>(?:.*?\.)?(?:{'|'.join(LAYERS)})\.\d{{1,5}})\..+")
TOKENS: Final = "embed_tokens"
NORM: Final = "norm"
"""What an architecture calls the table of token ids and the last norm, whatever a family's code does."""
SHOWN: Final = 60


class Wrong(NamedTuple):
    """What is wrong with one module of a map; `module` is None where it is not one alone."""

    module: str | None
    problem: str

    @property
    def told(self) -> str:
        return self.problem if self.module is None else f"{self.module}: {self.problem}"


def device_of(given: object) -> str | None:
    """`gpu:0` for 0 or "0", `cpu`, `disk`; None for what is no device of accelerate's."""
    if isinstance(given, bool):
        return None
    text = str(given)
    return text if text in OFF else f"gpu:{int(text)}" if re.fullmatch(r"\d{1,4}", text, re.ASCII) else None


def devices_in(device_map: Mapping[str, object]) -> tuple[str, ...]:
    """Each device once."""
    found = (device_of(given) for given in device_map.values())
    return tuple(dict.fromkeys(device for device in found if device is not None))


def offloads(devices: Iterable[str]) -> bool:
    """Whether weights wait off the devices that compute: on disk, or in host memory beside a GPU."""
    among = set(devices)
    return "disk" in among or ("cpu" in among and len(among) > 1)


def modules_in(device_map: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Every module with its key: `model.layers.0-39`, as people write it, is forty of them."""
    for key in device_map:
        found = NUMBERED.fullmatch(key)
        if found is None or found["last"] is None:
            yield key, key
        else:
            for number in range(int(found["first"]), int(found["last"]) + 1):
                yield f"{found['list']}.{number}", key


def wrong_alone(device_map: Mapping[str, object]) -> Iterator[Wrong]:
    """What is wrong with a map whatever the model."""
    if not device_map:
        yield Wrong(None, 'names no module; {"": 0} puts the whole model on the first GPU')
    for key, given in device_map.items():
        if device_of(given) is None:
            shown = shorten(repr(given), SHOWN)
            yield Wrong(key, f"{shown} is no device; give the number of a GPU, cpu or disk")
        *holders, _ = key.split(".")
        tower = next((name for name in holders if name in TOWERS), None)
        inside = INSIDE.fullmatch(key)
        if tower is not None:
            yield Wrong(key, f"tears {tower} apart; place it as a whole")
        elif inside is not None:
            yield Wrong(key, f"tears a layer apart; place {shorten(inside['block'], SHOWN)} as a whole")
        numbered = NUMBERED.fullmatch(key)
        if numbered is not None and int(numbered["last"] or numbered["first"]) < int(numbered["first"]):
            yield Wrong(key, "ends before it begins")


def block_devices(device_map: Mapping[str, object], model: Model) -> tuple[tuple[str, ...], list[Wrong]]:
    """Where each of the model's blocks goes (embeddings, layers, norm and head), and what is wrong with that.

    The key with most parts decides, as in accelerate. The devices count where nothing is wrong.
    """
    wrong = [*wrong_alone(device_map)]
    if wrong:
        return (), wrong
    if isinstance(model, Pipeline):
        return _of_pipeline(device_map, model)
    asked = _Asked(device_map, model)
    blocks = [asked.together("embeddings", asked.first)]
    blocks += [asked.layer(number) for number in range(len(model.layers))]
    blocks.append(asked.together("norm and head", asked.last))
    return tuple(blocks), asked.wrong


def _of_pipeline(device_map: Mapping[str, object], model: Pipeline) -> tuple[tuple[str, ...], list[Wrong]]:
    names = [component.name for component in model.components]
    wrong = [
        Wrong(key, f'is no network of {model.name}; valid: {", ".join(names)}, or "" for all')
        for key in device_map
        if key and key not in names
    ]
    found = {name: device_of(device_map.get(name, device_map.get(""))) or "" for name in names}
    lacking = [name for name, device in found.items() if not device]
    if lacking:
        wrong.append(Wrong(None, f"does not say where {', '.join(lacking)} goes"))
    elif len(set(found.values())) > 1:
        wrong.append(Wrong(None, "splits a pipeline, whose networks go on one device"))
    return tuple(found.values()), wrong


class _Asked:
    """A map against a model. `wrong` grows as its blocks are asked for."""

    def __init__(self, device_map: Mapping[str, object], model: Architecture) -> None:
        self.wrong: list[Wrong] = []
        self._layers = len(model.layers)
        self._told: set[str] = set()
        self._found: dict[str, tuple[int, str, str]] = {}
        """By part of the model: how many parts its key has, the key, the device."""
        tokens = [_module(weight.name) for weight in model.embeddings]
        self.first = (*dict.fromkeys(tokens), *(("vision_tower",) if model.vision is not None else ()))
        final = tuple(dict.fromkeys(_module(weight.name) for weight in model.final))
        self.last = (*final, *(("lm_head",) if model.head or not model.encodes else ()))
        self._tied = not model.head
        self._known = _known_names(model)
        for module, key in modules_in(device_map):
            self._take(module, key, device_of(device_map[key]) or "", model)

    def _take(self, module: str, key: str, device: str, model: Architecture) -> None:
        parts = self._parts(module)
        if parts is None or not self._stored(module):
            if key not in self._told:
                self._told.add(key)
                shown = shorten(repr(module), SHOWN)
                self.wrong.append(Wrong(key, f"{shown} is no module of {model.name}{self._hint(module)}"))
            return
        length = len(module.split(".")) if module else 0
        for part in parts:
            held = self._found.get(part)
            if held is not None and held[0] == length and held[1] != key:
                self.wrong.append(Wrong(key, f"{part} is placed by {held[1]!r} too"))
            elif held is None or held[0] < length:
                self._found[part] = length, key, device

    def _hint(self, module: str) -> str:
        """What it may have meant; nothing once more is wrong than is told."""
        if len(self.wrong) >= LONGEST_LIST:
            return ""
        close = nearest(module, self._known) if self._known else []
        valid = ", ".join((*self.first, "layers.0", *self.last))
        return f"; nearest: {', '.join(close)}" if close else f"; it has {valid}"

    def _parts(self, module: str) -> tuple[str, ...] | None:
        """What of the model a module holds; None of one it does not have."""
        layers = tuple(f"layers.{number}" for number in range(self._layers))
        numbered = NUMBERED.fullmatch(module)
        name = module.rpartition(".")[2]
        if numbered is not None:
            number = int(numbered["first"])
            return (f"layers.{number}",) if number < self._layers else None
        if not module:
            return (*self.first, *layers, *self.last)
        if name == "embeddings":
            return self.first
        if name in CONTAINERS:
            return (*self.first, *layers, *(part for part in self.last if part != "lm_head"))
        if name in LAYERS:
            return layers
        if name in TOWERS and "vision_tower" in self.first:
            return ("vision_tower",)
        if name in HEADS and "lm_head" in self.last:
            return ("lm_head",)
        if name in (*self.first, *self.last) and name not in ("vision_tower", "lm_head"):
            return (name,)
        if name in EMBEDDINGS and TOKENS in self.first:
            return (TOKENS,)
        if name in FINAL:
            return (NORM,) if NORM in self.last else ()  # some norms have no weights
        return () if set(WEIGHTLESS).intersection(module.split(".")) else None

    def _stored(self, module: str) -> bool:
        """Whether the weights' own names, where they are known, have it: with or without what holds all."""
        name = module.rpartition(".")[2]
        if not self._known or not module or name in (*WEIGHTLESS, *CONTAINERS, *HEADS):
            return True
        return any(
            module == known or module.endswith("." + known) or known.endswith("." + module)
            for known in self._known
        )

    def layer(self, number: int) -> str:
        """Where a layer goes; "" and a mistake where nothing says."""
        return self.together(f"layers.{number}", (f"layers.{number}",))

    def together(self, block: str, parts: tuple[str, ...]) -> str:
        """Where a block goes whose parts go together."""
        found = {part: self._found[part] for part in parts if part in self._found}
        lacking = [part for part in parts if part not in found and not (part == "lm_head" and self._tied)]
        if lacking:
            self.wrong.append(Wrong(None, f"does not say where {' and '.join(lacking)} of the model goes"))
            return ""
        devices = dict.fromkeys(device for _, _, device in found.values())
        if len(devices) > 1:
            apart = " and ".join(f"{part} on {found[part][2]}" for part in found)
            key = next(reversed(found.values()))[1]
            self.wrong.append(Wrong(key, f"tears {block} apart: {apart}; they go together"))
        return next(iter(devices), "")


def _module(weight: str) -> str:
    """The module of a weight that stands outside the layers, by its own name."""
    return weight.rpartition(".")[0].rpartition(".")[2] or weight


def _known_names(model: Architecture) -> tuple[str, ...]:
    """Modules as the weights' files name them; none where that is not known, or another model's code has them
    otherwise."""
    checkpoint = model.checkpoint
    if checkpoint is None or checkpoint.format != "safetensors" or model.vision or model.adapter:
        return ()
    found: dict[str, None] = {}
    for tensor in checkpoint.tensors:
        inside = INSIDE.fullmatch(tensor.name)
        name = inside["block"] if inside else tensor.name.rpartition(".")[0]
        while name:
            found[name] = None
            name = name.rpartition(".")[0]
    return tuple(found)
