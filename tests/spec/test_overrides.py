"""`--set path=value`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ullage import api
from ullage.errors import SpecError

WEREWOLF = Path(__file__).parents[2] / "examples" / "werewolf.yaml"


def test_a_value_is_read_as_yaml_and_reaches_any_depth() -> None:
    changes = [
        "batch=8",
        "roles.player.precision=nf4",
        "roles.player.max_memory={0: 40GB}",
        "captures.0.keep=disk",
        "memory.streaming_chunk_size=512",
        "werewolf.players=9",
    ]
    workload = api.load(WEREWOLF, changes)
    player = workload.roles["player"]
    assert (workload.batch, player.precision, player.max_memory) == (8, "nf4", {"0": "40GB"})
    assert workload.captures[0].keep == "disk"
    assert workload.memory.streaming_chunk_size == 512
    assert workload.section is not None
    assert workload.section.model_dump()["players"] == 9


def test_a_later_override_wins() -> None:
    assert api.load(WEREWOLF, ["batch=2", "batch=3"]).batch == 3


def test_a_role_named_by_its_model_alone_can_be_refined() -> None:
    changes = ["roles={player: some/model}", "roles.player.precision=nf4"]
    assert api.load(WEREWOLF, changes).roles["player"].precision == "nf4"


WRONG = {
    "batch": "write path=value, for example batch=8",
    "=3": "write path=value",
    "roles..precision=nf4": "write path=value",
    "batch=": "batch: nothing is not a whole number",
    "batch=-1": "batch: -1 must be at least 1",
    "batch=[": "broken YAML",
    "batch=.inf": ".inf: a number must be finite",
    "batch=&a [*a]": "alias *a contains itself",
    "batch=" + "[" * 100_000: "nested deeper than 32 levels",
    "btach=8": "btach: unknown key; nearest: batch",
    "rolse.player.precision=nf4": "rolse: unknown key; nearest: roles",
    "roles.plyer.precision=nf4": "no role 'plyer'; nearest: player",
    "roles.player.precison=nf4": "roles.player.precison: unknown key; nearest: precision",
    "roles.player.precision=nf5": "roles.player.precision: 'nf5' is not valid; nearest: nf4",
    "roles.player.precision.x=1": "roles.player.precision is a single value; it has no x",
    "captures.1.keep=disk": "captures has no entry 1; entries: 0 to 0",
    "captures.-1.keep=disk": "captures has no entry -1",
    "captures.99999999999999999999.keep=disk": "captures has no entry 9999",
    "budget.gpus=": "",
    "werewolf.playrs=5": "werewolf.playrs: unknown key; nearest: players",
    "section.players=5": "section: unknown key",
}


@pytest.mark.parametrize("override", [key for key in WRONG if WRONG[key]], ids=lambda text: text[:30])
def test_a_wrong_override_is_told_as_the_user_wrote_it(override: str) -> None:
    with pytest.raises(SpecError) as caught:
        api.load(WEREWOLF, [override])
    (line,) = caught.value.mistakes
    assert line.startswith(f"--set {override[:60]}")
    assert WRONG[override] in line


def test_all_wrong_overrides_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        api.load(WEREWOLF, ["batch=-1", "roles.plyer.precision=nf4", "captures.5.keep=disk"])
    assert len(caught.value.mistakes) == 3


def test_what_is_said_of_a_role_on_the_command_line_stands_before_the_memorys_mode() -> None:
    """Advice to take a role's own precision was planned in fp32 once pasted."""
    given = {"kind": "evaluate", "memory": {"precision_mode": "fp32"}}
    given["roles"] = {name: {"model": "gpt2"} for name in ("generator", "judge")}
    asked = api.load(given, ["roles.judge.precision=auto"])
    assert [asked.roles[name].precision for name in ("generator", "judge")] == ["fp32", "auto"]


def test_a_filter_of_states_can_be_changed_as_the_capture_it_stands_for() -> None:
    given = {"kind": "extract", "roles": {"model": "gpt2"}}
    given["memory"] = {"activation_cache_filter": ["blocks.*.hook_resid_post"]}
    (capture,) = api.load(given, ["captures.0.positions=last"]).captures
    assert (capture.sites, capture.positions) == (("blocks.*.hook_resid_post",), "last")
    (capture,) = api.load(given, ["batch=2"]).captures
    assert capture.positions == "all"
