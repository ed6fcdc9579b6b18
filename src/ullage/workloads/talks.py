"""The workload of a talk: one model, a conversation of so many tokens, and the probes that read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict, cast

from ullage.errors import InputError, SpecError, UnsupportedError
from ullage.spec.parse import parse_role
from ullage.spec.probe import OF_A_FIT
from ullage.spec.role import Role
from ullage.spec.rules import mistakes_in
from ullage.spec.workload import ONE_MODEL, Workload
from ullage.workloads.probed import probes_in

ROLE: Final = "model"
SPEAKERS: Final = ("generator",)
"""Whom a file with several roles is talked to."""
PROMPT_TOKENS: Final = 2048
NEW_TOKENS: Final = 256
LAST_SEED: Final = 2**31
"""As of every section that has one."""


class Settings(TypedDict, total=False):
    """What a talk may be told. Its tokens are what is planned for (None: the file's, or PROMPT_TOKENS as far
    as the model has room, and NEW_TOKENS of a reply); `precision` None is the file's, or auto; `system` is a
    message before the talk; replies are drawn at `temperature` (0: the likeliest token) by `seed`."""

    prompt_tokens: int | None
    new_tokens: int | None
    precision: str | None
    system: str | None
    temperature: float
    top_p: float
    seed: int


def checked(settings: Mapping[str, object]) -> None:
    """Raises TypeError for a setting that does not exist, InputError for one that cannot be."""
    for name in settings.keys() - Settings.__optional_keys__:
        raise TypeError(f"chat() got an unexpected keyword argument {name!r}")
    given = cast("Settings", settings)
    if not 0 <= given.get("temperature", 0.0) <= 10 or not 0 < given.get("top_p", 1.0) <= 1:
        raise InputError("temperature: is from 0 to 10, and top_p above 0 and up to 1")
    if not 0 <= given.get("seed", 0) <= LAST_SEED:
        raise InputError(f"seed: {given.get('seed')} is not from 0 to {LAST_SEED:,}")
    check_text("system", given.get("system") or "")
    for name in ("prompt_tokens", "new_tokens"):
        tokens = settings.get(name)
        if isinstance(tokens, int) and tokens < 1:
            raise InputError(f"{name}: {tokens} is not 1 or more")


def check_text(what: str, text: str) -> None:
    """Raises InputError for what was read from bytes that are no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what}: not UTF-8 text") from error


def talk_workload(
    model_or_file: str | Path, probes: Sequence[str | Path], given: Settings
) -> tuple[Workload, Path]:
    """What is planned for a talk with a model, or with the only role, or `generator`, of a workload file, and
    the folder that its paths are relative to; `probes` are read beside the file's own.

    Raises SpecError for probes that cannot read that role, InputError for a file without such a role, and
    for tokens that the model has no room for.
    """
    from ullage.workloads.loading import folder_of

    path = Path(model_or_file)
    if path.is_file() and path.suffix != ".gguf":
        base, found = folder_of(path), _of_file(path, given)
    else:
        base, found = Path(), _of_model(str(model_or_file), given)
    ((name, role),) = found.roles.items()
    read_by = found.probes | probes_in(probes, found.probes)
    new = given.get("new_tokens") or found.new_tokens
    if new < 1:
        raise InputError(f"{model_or_file}: new_tokens is {new}, so that nothing is said; give --new-tokens")
    _check(found.model_copy(update={"probes": read_by}))
    read = _room(role, base, given.get("prompt_tokens") or 0, found.prompt_tokens, new)
    own = {"batch": 1, "prompt_tokens": read, "new_tokens": new}
    made = found.model_copy(
        update={
            **own,
            "name": f"talk with {role.model}",
            "roles": {name: role.model_copy(update=own)},
            "probes": read_by,
        }
    )
    return made, base


def _check(workload: Workload) -> None:
    wrong = [f"{'.'.join(map(str, each.path))}: {each.problem}" for each in mistakes_in(workload)]
    if wrong:
        raise SpecError(wrong)


def _of_model(model: str, given: Settings) -> Workload:
    role = parse_role({"model": model, "precision": given.get("precision") or "auto"})
    return Workload(
        kind=ONE_MODEL, roles={ROLE: role}, prompt_tokens=PROMPT_TOKENS, new_tokens=NEW_TOKENS, examples=1
    )


def _of_file(path: Path, given: Settings) -> Workload:
    """What a file says of the role that is talked to."""
    from ullage.workloads.loading import load

    file = load(path)
    name = _speaker(file, str(path))
    unfitted = [own for own, each in file.probes.items() if each.fit is not None]
    if unfitted:
        raise InputError(
            f"{path}: probes.{unfitted[0]}: is fitted in a run of this file, and a talk takes one that is "
            f"there: give the model, and --probe RUN/{OF_A_FIT}/{unfitted[0]}"
        )
    role = file.roles[name]
    if given.get("precision"):
        role = parse_role({**role.model_dump(exclude_defaults=True), "precision": given["precision"]})
    return Workload(
        kind=ONE_MODEL,
        roles={name: role},
        prompt_tokens=file.prompt_tokens if role.prompt_tokens is None else role.prompt_tokens,
        new_tokens=file.new_tokens if role.new_tokens is None else role.new_tokens,
        examples=1,
        probes={own: each for own, each in file.probes.items() if (each.role or name) == name},
        memory=file.memory,
        budget=file.budget,
        cards=file.cards,
    )


def _speaker(file: Workload, where: str) -> str:
    if len(file.roles) == 1:
        return next(iter(file.roles))
    found = next((name for name in SPEAKERS if name in file.roles), None)
    if found is None:
        raise InputError(
            f"{where}: has roles {', '.join(file.roles)} and none called {' or '.join(SPEAKERS)} to talk to; "
            "name a model instead"
        )
    return found


def _room(role: Role, base: Path, wanted: int, usual: int, new: int) -> int:
    """Tokens of conversation that are planned for: `wanted`, or where that is 0 `usual` and no more than the
    model has room for. Raises InputError where it has none for them."""
    from ullage.facts.architecture import Architecture
    from ullage.workloads.opened import opened_model

    if not role.runs_with.local:
        return wanted or usual
    model = opened_model(role.model, base)
    if not isinstance(model, Architecture):
        raise UnsupportedError(f"{role.model}: a diffusion pipeline does not talk")
    window = model.max_positions
    if window is None or role.rope is not None:
        return wanted or usual
    if max(wanted, 1) + new > window:
        talk = f"{wanted:,} of conversation and a reply of {new:,}" if wanted else f"a reply of {new:,}"
        raise InputError(
            f"{role.model}: has room for {window:,} tokens, and not for {talk}; plan for fewer: "
            "--prompt-tokens, --new-tokens"
        )
    return wanted or min(usual, window - new)
