"""The first screen of a plan: one for each example in golden/, and what holds for all of them.

.venv/bin/python tools/pages.py          remakes golden/ and what the README shows
"""

import io
import itertools
import json
from dataclasses import replace

import pages
import pytest
from random_workloads import Case, cases, catalog, write_models
from rich.cells import cell_len

import ullage
from ullage import api
from ullage.errors import UllageError
from ullage.planning.advice.entry import Advice, Nearest, Search
from ullage.reports.console import PlainConsole
from ullage.reports.figures import durations, whole
from ullage.reports.items import at_the_peak
from ullage.reports.model_document import model_document
from ullage.reports.pages.screen import LINES, show
from ullage.reports.plan_details import SMALL, alike, in_detail
from ullage.reports.plan_page import plan_page
from ullage.units import Interval

RANDOM = 60


def screen(plan, width=80, parts=lambda plan: (plan_page(plan),)):
    file = io.StringIO()
    show(parts(plan), PlainConsole(file=file, width=width, color_system=None))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def fits_the_screen(lines):
    return len(lines) <= LINES and max(map(cell_len, lines)) <= 80


@pytest.mark.parametrize("example", pages.EXAMPLES, ids=lambda path: path.stem)
def test_every_example_has_its_screen(example):
    found = pages.screen(example)
    assert found == pages.golden(example).read_text(encoding="utf-8"), "python tools/pages.py remakes it"
    assert fits_the_screen(found.splitlines())


def test_no_golden_file_is_of_no_example():
    assert set(pages.GOLDEN.iterdir()) == {pages.golden(path) for path in pages.EXAMPLES}


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Random workloads of every kind, planned; those that are refused are left out."""
    folder = tmp_path_factory.mktemp("random")
    write_models(folder)
    known = catalog([model_document(model) for model in ullage.models()])
    found = []
    for case in itertools.islice(cases(known), RANDOM):
        (folder / f"{case.name}.yaml").write_text(text_of(case))
        try:
            workload = ullage.load(folder / f"{case.name}.yaml")
            found.append(ullage.plan(workload, gpus_of(case), base=folder, advice=False))
        except UllageError:
            continue
    assert len(found) > RANDOM // 3
    assert {"fits", "does not fit"} <= {plan.verdict for plan in found}
    return found


def text_of(case: Case):
    return case.data if isinstance(case.data, str) else json.dumps(case.data)


def gpus_of(case: Case):
    given = case.arguments
    return given[given.index("--gpus") + 1] if "--gpus" in given else None


def crowded(plan):
    """The plan with more of everything than a screen takes."""
    changes = tuple((f"roles.role_{at}.max_memory", "{cpu: 4TiB}") for at in range(30))
    entry = Advice(changes, "8x H200", "fits", 0.03, "why", 1e4, 12.0, 0, Interval(0, 1, 2))
    return replace(
        plan,
        workload=plan.workload.model_copy(update={"name": "a long name " * 40}),
        advice=(entry,) * 9,
        warnings=tuple(f"warning {at} " + "of something that matters " * 6 for at in range(9)),
        notes=("a note",) * 9,
    )


def test_a_screen_is_25_lines_of_80_columns_whatever_is_planned(plans):
    for plan in plans:
        for each in (plan, crowded(plan)):
            lines = screen(each)
            assert fits_the_screen(lines), "\n".join(lines)


def test_a_screen_says_what_whoever_rents_a_card_asks(plans):
    for plan in plans:
        lines = screen(plan)
        assert lines[0] == f"verdict: {plan.verdict}"
        words = {line[:8].strip() for line in lines}
        assert {"disk", "host", "planned", "assumed"} <= words
        assert not plan.times or {"time", "cost"} <= words
        assert "to download" in " ".join(" ".join(lines).split())


def test_a_crowded_screen_still_says_all_of_that(plans):
    for plan in map(crowded, plans):
        lines = screen(plan)
        assert lines[0] == f"verdict: {plan.verdict}"
        last = " ".join(" ".join(lines[-2:]).split())
        assert "9 notes, 9 warnings, 9 advice entries" in last
        assert {"disk", "host", "planned", "assumed"} <= {line[:8].strip() for line in lines}
        assert any("options, all in --details" in line for line in lines)


def test_warnings_are_on_the_screen_where_there_is_room(plans):
    plan = replace(plans[0], warnings=("it trades precision for room",))
    assert "warning: it trades precision for room" in screen(plan)


CHAT = {"kind": "evaluate", "roles": {"generator": {"model": "meta-llama/Llama-3.1-8B-Instruct"}}}


def said(plan, label):
    """What a line of the screen says."""
    return next(line[9:] for line in screen(plan) if line.startswith(label))


def test_time_is_said_as_advice_says_it_too():
    plan = ullage.plan({**CHAT, "examples": 10}, "A100-80GB", advice=False)
    assert "per 1000" in said(plan, "time")
    plan = ullage.plan(CHAT, "A100-80GB", for_="time")
    assert any(line.startswith("faster") for line in screen(plan)), "what was looked for"
    assert any(line.startswith("cheaper") for line in screen(ullage.plan(CHAT, "A100-80GB")))


def test_a_time_that_is_not_known_is_no_roofline():
    plan = ullage.plan(CHAT, "2x GTX 1080 Ti", advice=False)
    assert "a note says why" in said(plan, "time")
    assert "GTX 1080 Ti" in " ".join(plan.notes)
    assert "roofline" not in said(plan, "assumed")


def test_a_rate_below_one_is_not_none_at_all():
    assert "at 0 tokens/s" not in " ".join(screen(ullage.plan(CHAT, "cpu", advice=False)))


def test_a_search_that_finds_nothing_better_says_so():
    plan = ullage.plan(CHAT, "A100-80GB", keep=("budget", "roles", "batch", "memory"))
    assert not plan.advice
    assert said(plan, "to do").startswith("nothing: none of ")


def test_other_cards_stand_first_with_the_order_that_puts_them_there_and_what_ones_own_take():
    plan = ullage.plan(pages.ROOT / "examples/assistant.yaml", advice=False)
    one = Advice((), "1x B200-SXM", "fits", 0.0, "", 90.0, 0.5, 0, Interval(1, 1, 1), own_cards=False)
    own = one._replace(changes=(("batch", "1"),), usd_per_1000_examples=2.0, own_cards=True)
    lossy = own._replace(quality_loss=0.03)
    short = lossy._replace(changes=(("prompt_tokens", "64"),))
    found = {
        (own,): "cheapest first, on these cards $2.00 and 90.0 s per 1000",
        (lossy, own): "cheapest first, on these cards $2.00 and 90.0 s per 1000 with quality loss 0.030",
        (short,): "cheapest first, on these cards $2.00 and 90.0 s per 1000 for less than all of it",
        (): "cheapest first, on these cards nothing found",
    }
    for others, words in found.items():
        advised = replace(plan, advice=(one, *others), search=Search("cost", (), 9, 0))
        assert words in " ".join(line.strip() for line in screen(advised))
    advised = replace(plan, advice=(own, one), search=Search("cost", (), 9, 0))
    assert "first," not in " ".join(screen(advised))


def test_cards_of_one_kind_stand_once_by_their_fullest():
    lines = screen(ullage.plan(pages.EXAMPLES[-3], advice=False))
    assert pages.EXAMPLES[-3].stem == "werewolf"
    (line,) = (line for line in lines if "RTX A6000, fullest" in line)
    assert line == "4x RTX A6000, fullest: gpu:1 in player prefill"
    assert sum("█" in line for line in lines) == 1


def one(model, gpus, advice=False, **own):
    return " ".join(" ".join(screen(api.estimate_model(model, gpus, advice=advice, **own))).split())


def test_cards_on_which_nothing_is_held_are_named():
    roles = {"generator": {"model": "meta-llama/Llama-3.1-8B-Instruct"}}
    plan = ullage.plan({"kind": "evaluate", "roles": roles}, "2x RTX A6000", advice=False)
    assert "2x RTX A6000, fullest: gpu:0 in generator prefill; nothing is held on gpu:1" in screen(plan)[2]


def test_how_many_models_are_in_memory_at_a_time_is_said():
    roles = {
        "generator": {"model": "meta-llama/Llama-3.1-8B-Instruct"},
        "judge": {"model": "Qwen/Qwen2.5-7B-Instruct"},
    }
    for schedule, most in (("sequential", 1), ("simultaneous", 2)):
        plan = ullage.plan({"kind": "evaluate", "roles": roles, "schedule": schedule}, "H200", advice=False)
        assert f"{most} of 2 roles in memory at a time" in " ".join(" ".join(screen(plan)).split())


def test_captured_states_are_on_the_disk_and_at_which_pace_they_come_there():
    said = one("meta-llama/Llama-3.1-8B", "RTX 4090", captures=["blocks.*.hook_resid_post"], new_tokens=0)
    assert "outputs 250.00 GiB and texts" in said  # 1,000 x 1,024 tokens x 32 layers x 4,096 x 2 bytes
    assert "bound by disk" in said
    assert "times (a roofline; states written at 0.5 GB/s)" in said


def test_experts_that_stay_in_16_bits_are_said_where_their_weights_are():
    said = one("mistralai/Mixtral-8x7B-v0.1", "2x RTX 3090", precision="nf4")
    assert "weights of model, derived; its experts stay in bf16" in said
    assert "experts" not in one("mistralai/Mixtral-8x7B-v0.1", "2x RTX 3090", precision="bf16")


def test_where_nothing_is_found_the_screen_says_what_was_not_looked_for_and_why():
    said = one("mistralai/Mixtral-8x7B-v0.1", "2x RTX 3090", advice=True)
    assert "on these cards nothing found" in said
    assert "not searched: checkpoints stored in awq or gptq (precision: awq)" in said
    assert "on these cards none: torch has no code for them" in one("Llama-3.1-8B", "V100", advice=True)


def test_advice_is_typed_as_it_stands(plans):
    """What the screen shows of the best entry, pasted, is the entry."""
    import shlex

    plan = ullage.plan(pages.ROOT / "examples/evaluate.yaml")
    best = plan.advice[0]
    lines = screen(plan)
    typed = [line for line in lines if line.strip().startswith(("--set", "--gpus"))]
    words = shlex.split("\n".join(typed))
    overrides = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    assert overrides == [f"{path}={value}" for path, value in best.changes]
    again = ullage.plan(ullage.load(pages.ROOT / "examples/evaluate.yaml", overrides), best.gpus)
    assert again.verdict == best.verdict


def test_nothing_of_a_search_is_said_where_none_was_asked_for():
    plan = ullage.plan(pages.ROOT / "examples/assistant.yaml", advice=False)
    assert not any(line.startswith("to do") for line in screen(plan))


def test_a_search_that_finds_nothing_says_what_it_tried_and_how_near_it_came():
    plan = ullage.plan(pages.ROOT / "examples/assistant.yaml", advice=False)
    nearest = Nearest((("schedule", "swapped"),), "2x RTX A6000", 3 * 2**30)
    plan = replace(plan, search=Search("cost", (), 1234, 0, nearest))
    lines = screen(plan)
    at = next(at for at, line in enumerate(lines) if line.startswith("to do"))
    assert "none of 1,234 settings that were tried fits" in lines[at]
    assert "3.00 GiB too much" in lines[at + 1]
    assert lines[at + 2].strip() == "--set schedule=swapped"


def test_details_at_80_columns_have_what_they_have_at_200(plans):
    """Intervals, bases and notes vanish nowhere."""
    for plan in plans[:20]:
        for width in (80, 200):
            found = squeezed(screen(plan, width, in_detail))
            for decision in plan.decisions:
                assert all(word in found for word in decision.reason.split())
            for device in (each for each in plan.devices if each.name in alike(plan)):
                for item in at_the_peak(plan, device)[:2]:
                    if item.bytes.high >= SMALL:
                        assert all(
                            word in found for word in (whole(item.bytes).split()[0], *item.note.split())
                        )
            for time in plan.times:
                assert squeezed([durations(time.total_seconds)]) in found
            for note in (*plan.notes, *plan.warnings):
                assert squeezed([note]) in found


def squeezed(lines):
    """All characters but those that width moves."""
    return "".join("".join(line.split()) for line in lines).translate({ord(c): None for c in "█▒·\\"})


@pytest.mark.parametrize("example", pages.EXAMPLES, ids=lambda path: path.stem)
def test_a_command_that_is_not_shown_whole_ends_with_a_whole_option(example):
    for line in pages.screen(example).splitlines():
        if line.endswith(" ... --details"):
            shown = line.removesuffix(" ... --details").split()
            assert "=" in shown[-1] or not shown[-1].startswith("-")
            assert shown[-1] not in ("--set", "--gpus", "\\")


def test_the_command_for_the_cards_that_were_asked_for_is_on_the_screen():
    sites = ["*"]
    plan = ullage.estimate_model(
        CHAT["roles"]["generator"]["model"],
        "RTX 4090",
        prompt_tokens=4096,
        new_tokens=1,
        captures=sites,
        advice=True,
    )
    own = next(entry for entry in plan.advice if entry.own_cards)
    assert not plan.advice[0].own_cards
    said = " ".join(" ".join(screen(plan)).split()).replace("\\ ", "")
    assert "on these cards: " + " ".join(f"--set {path}={value}" for path, value in own.changes) in said
