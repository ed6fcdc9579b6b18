"""The guide's JSON experiment file, read as a workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from ullage.errors import nearest
from ullage.fields import Fields
from ullage.kinds.werewolf.identities import EVERYBODY, SEER, VILLAGER, WEREWOLF
from ullage.kinds.werewolf.rules import FEWEST, MOST, PRESETS, Rules, Thoughts
from ullage.kinds.werewolf.section import PLAYER
from ullage.spec.document import Document
from ullage.spec.mistake import Mistake, Path, shorten

MODEL: Final = "meta-llama/Llama-3.3-70B-Instruct"
"""What the guide's probes are read from, where a file does not name a model."""
PROMPT_TOKENS, NEW_TOKENS = 6144, 256
"""What a prompt may grow to, and the longest text: the guide's files do not say."""
BACKENDS: Final = {"probe": "transformers", "local": "openai", "openai": "openai", "scripted": "scripted"}
"""The engine of each `backend_type`: `local` is a server that speaks OpenAI's protocol."""
_MEANINGLESS: Final = {
    "probe_url": "probes listen in the process that plays",
    "modal_app_name": "models run where the run is",
    "cot_explanation": "what players are told of thoughts follows from public_cot",
    "cot_visibility_warning": "players are always told whether their thoughts are heard",
    "public_night_actions": "what is done at night is told to nobody",
}
"""Keys of the guide's files that have no meaning here, and why."""

DETECTOR: Final = "detector"
"""What the probe of `detector_path` is called."""

Sort = tuple[Callable[[object], bool], str]


def _whole(low: int, high: int) -> Sort:
    def fits(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return fits, f"a whole number from {low} to {high}"


_FLAG: Final[Sort] = (lambda value: isinstance(value, bool), "true or false")
_TEXT: Final[Sort] = (lambda value: isinstance(value, str) and bool(value), "a text")
_TEXT_OR_NOT: Final[Sort] = (lambda value: value is None or isinstance(value, str), "a text")
_OF_ROLE: Final[Mapping[str, Sort]] = {
    "backend_type": (lambda value: value in BACKENDS, f"one of: {', '.join(BACKENDS)}"),
    "model": _TEXT,
    "model_url": _TEXT_OR_NOT,
    "use_quantized": _FLAG,
    "quantization_bits": (lambda value: value in (4, 8) and not isinstance(value, bool), "4 or 8"),
}
_OF_GAME: Final[Mapping[str, Sort]] = {
    "num_players": _whole(FEWEST, MOST),
    "num_werewolves": _whole(1, MOST),
    "no_seer": _FLAG,
    "num_discussion_rounds": _whole(1, 100),
    "allow_player_callouts": _FLAG,
    "max_turns": _whole(1, 100),
    "request_reasoning": _FLAG,
    "villager_cot_only": _FLAG,
    "public_cot": _FLAG,
    "provide_probe_scores": _FLAG,
    "probe_explanation": _TEXT_OR_NOT,
    "score_without_role_context": _FLAG,
    "additional_instructions": _TEXT_OR_NOT,
    "werewolf_instructions": _TEXT_OR_NOT,
    "villager_instructions": _TEXT_OR_NOT,
    "detector_path": _TEXT_OR_NOT,
    "output_dir": _TEXT_OR_NOT,
}
_CONFIGS: Final = {f"{identity}_config": identity for identity in (WEREWOLF, VILLAGER, SEER)}
"""Backends by identity."""
_DEFAULTS: Final[Mapping[str, object]] = {
    "num_players": 12,
    "num_werewolves": 3,
    "no_seer": False,
    "num_discussion_rounds": 1,
    "allow_player_callouts": False,
    "max_turns": 5,
    "request_reasoning": True,
    "villager_cot_only": False,
    "public_cot": False,
    "provide_probe_scores": False,
}
"""What the guide's system takes a missing key for."""
_KEY_OF: Final = {"players": "num_players", "werewolves": "num_werewolves", "first_kill": "num_players"}


def recognises(data: Mapping[str, object]) -> bool:
    """Whether a mapping is one of the guide's files rather than a workload's."""
    return "kind" not in data and any(key in data for key in ("backend_type", "num_werewolves", *_CONFIGS))


def workload_in(document: Document) -> dict[str, object]:
    """What a guide's file says, laid out as a workload's file is. Raises SpecError with every mistake, each
    with the file and its key."""
    mistakes = list(_mistakes(document.data))
    if mistakes:
        raise document.tell(mistakes)
    data = {**_DEFAULTS, **document.data}
    fields = Fields(data, document.filename)
    rules = _rules(fields)
    wrong = [Mistake((_KEY_OF.get(rule, rule),), problem) for rule, problem in rules.mistakes()]
    if wrong:
        raise document.tell(wrong)
    usual = PRESETS["guide"].written()
    section = {name: value for name, value in rules.written().items() if value != usual[name]}
    detector = data.get("detector_path")
    return {
        "kind": "werewolf",
        "roles": dict(_roles(data)),
        "probes": {DETECTOR: {"path": detector, "role": next(_heard(data))}} if detector else {},
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": NEW_TOKENS,
        "werewolf": {**section, **_experiment(data, fields.flag("provide_probe_scores"))},
    }


def _mistakes(data: Mapping[str, object]) -> Iterator[Mistake]:
    known = {**_OF_ROLE, **_OF_GAME}
    yield from _of_keys(data, known, _CONFIGS, ())
    for key in _CONFIGS:
        inner = data.get(key)
        if isinstance(inner, dict):
            yield from _of_keys(inner, _OF_ROLE, (), (key,))
            yield from _unnamed(inner, (key,))
        elif inner is not None:
            yield Mistake((key,), "is not an object of backend_type, model, ...")
    if not all(data.get(f"{each}_config") for each in _identities(data.get("no_seer"))):
        yield from _unnamed(data, ())
    if data.get("detector_path") and "probe" not in _backends(data):
        yield Mistake(
            ("detector_path",), "no backend is a probe, and nothing else can be listened to; remove it"
        )
    if data.get("villager_cot_only") is True and data.get("request_reasoning") is False:
        yield Mistake(("villager_cot_only",), "has no effect with request_reasoning: false; remove one")
    if data.get("public_cot") is True and data.get("request_reasoning") is False:
        yield Mistake(("public_cot",), "has no effect with request_reasoning: false; remove one")


def _backends(data: Mapping[str, object]) -> Iterator[object]:
    """Every `backend_type` of a file."""
    yield data.get("backend_type")
    for key in _CONFIGS:
        inner = data.get(key)
        if isinstance(inner, dict):
            yield inner.get("backend_type")


def _of_keys(
    data: Mapping[str, object], known: Mapping[str, Sort], others: Mapping[str, str] | tuple[()], path: Path
) -> Iterator[Mistake]:
    for key, value in data.items():
        if key in _MEANINGLESS:
            yield Mistake((*path, key), f"has no meaning here: {_MEANINGLESS[key]}; remove it", at_key=True)
        elif key in known and not known[key][0](value):
            yield Mistake((*path, key), f"{shorten(repr(value), 60)} is not {known[key][1]}")
        elif key not in known and key not in others:
            close = nearest(key, [*known, *others])
            hint = f"; nearest: {', '.join(close)}" if close else ""
            yield Mistake((*path, key), f"unknown key{hint}", at_key=True)


def _unnamed(data: Mapping[str, object], path: Path) -> Iterator[Mistake]:
    backend = data.get("backend_type")
    if backend in BACKENDS and backend != "probe" and "model" not in data:
        yield Mistake((*path, "backend_type"), f"{backend} needs a model: its name, or the script's file")
    elif backend is None:
        yield Mistake((*path, "backend_type"), f"is missing; one of: {', '.join(BACKENDS)}")


def _rules(data: Fields) -> Rules:
    private: Thoughts = "private" if data.flag("request_reasoning") else "none"
    return replace(
        PRESETS["guide"],
        players=data.whole("num_players"),
        werewolves=data.whole("num_werewolves"),
        seer=not data.flag("no_seer"),
        rounds=data.whole("num_discussion_rounds"),
        callouts=data.flag("allow_player_callouts"),
        days=data.whole("max_turns"),
        thoughts="public" if data.flag("public_cot") else private,
        thinkers="villagers" if data.flag("villager_cot_only") else "all",
    )


def _heard(data: Mapping[str, object]) -> Iterator[str]:
    """The roles that play in this process, whom a detector can read."""
    yield from (name for name, role in _roles(data) if role["engine"] == BACKENDS["probe"])


def _identities(no_seer: object) -> tuple[str, ...]:
    return (WEREWOLF, VILLAGER) if no_seer is True else (WEREWOLF, VILLAGER, SEER)


def _roles(data: Mapping[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """The role of each identity that has a backend of its own, and `player` where one has none."""
    own = {each: data.get(f"{each}_config") for each in _identities(data.get("no_seer"))}
    if not all(own.values()):
        yield PLAYER, _role(data)
    for identity, inner in own.items():
        if isinstance(inner, dict):
            yield identity, _role(inner)


def _role(data: Mapping[str, object]) -> dict[str, object]:
    engine = BACKENDS[str(data["backend_type"])]
    found: dict[str, object] = {"model": data.get("model", MODEL), "engine": engine}
    if engine == "openai" and data.get("model_url"):
        found["openai"] = {"base_url": data["model_url"]}
    return found | {key: data[key] for key in ("use_quantized", "quantization_bits") if key in data}


def _experiment(data: Mapping[str, object], shown: bool) -> dict[str, object]:
    told = {
        EVERYBODY: data.get("additional_instructions"),
        WEREWOLF: data.get("werewolf_instructions"),
        VILLAGER: data.get("villager_instructions"),
    }
    found: dict[str, object] = {
        "conditions": ["treatment" if shown else "control"],
        "score_without_role_context": data.get("score_without_role_context", False),
        "instructions": {whose: text for whose, text in told.items() if text},
        "seats": {identity: identity for identity, _ in _roles(data) if identity != PLAYER},
    }
    for key in ("probe_explanation", "output_dir"):
        if data.get(key):
            found[key] = data[key]
    return found
