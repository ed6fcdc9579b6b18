"""A trace replayed through the allocator, and the forms in which it is shown."""

import json
import pickle
import re
from dataclasses import replace

import jsonschema
import pytest
from browser import TITLED, framed, needs_browser, seen

import ullage
from ullage.cli.main import main
from ullage.errors import InputError, UnsupportedError
from ullage.memory.allocator.settings import Settings
from ullage.reports.snapshot import snapshot, write_snapshot
from ullage.reports.trace_document import trace_document
from ullage.reports.trace_page import write_trace_page
from ullage.tracing.storages import Event, Made
from ullage.tracing.timelines import replayed
from ullage.tracing.trace import Trace
from ullage.units import MIB

WIDTHS = (400, 1280)
WORK = {
    "kind": "extract",
    "roles": {"model": {"model": "ullage:tiny", "precision": "bf16"}},
    "batch": 2,
    "prompt_tokens": 64,
    "new_tokens": 3,
    "examples": 4,
    "captures": [{"sites": ["blocks.*.hook_resid_post"], "keep": "device"}],
    "extract": {"input": "texts.jsonl", "generate": True},
}
CARD = "(24GiB, 936GB/s, sm86)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("work")
    (found / "texts.jsonl").write_text('{"text": "Where is the cat?"}\n')
    (found / "work.json").write_text(json.dumps(WORK))
    return found


@pytest.fixture(scope="module")
def on_card(folder):
    return ullage.trace(folder / "work.json", phase="prefill", gpus=CARD)


def hand_made(*events, results=()):
    """A pass with a weight of 4 MiB in which storages come (above 0) and go, all in module `a.b`."""
    made = {number: Made("a.b", "aten.mm", (number,), "bfloat16") for number, size in events if size > 0}
    told = tuple(Event(number, size * MIB, "prefill") for number, size in events)
    loaded = (Made("a.weight", "load", (2, 2), "bfloat16", "weights"),)
    return Trace(told, made, ("prefill",), dict.fromkeys(results, 0), (4 * MIB,), 4, loaded)


def test_what_is_alive_is_told_with_its_module_and_shape(on_card):
    top = on_card.moments[on_card.fullest]
    alive = on_card.alive(on_card.fullest)
    assert top.live == sum(each.bytes for each in alive) == sum(on_card.components(on_card.fullest).values())
    assert top.live == max(each.live for each in on_card.moments)
    assert {"weights", "activations", "kv_cache"} <= on_card.components(on_card.fullest).keys()
    one = next(each for each in alive if each.module.endswith("q_proj.weight"))
    assert (one.operation, one.shape, one.dtype) == ("load", (256, 192), "bfloat16")
    assert all(each.live <= each.allocated <= each.reserved for each in on_card.moments)
    assert on_card.settings == "torch's defaults"


def test_on_a_processor_nothing_is_reserved_beside_what_is_alive(folder):
    found = ullage.trace(folder / "work.json", phase="decode", gpus="cpu")
    assert all(each.live == each.allocated == each.reserved for each in found.moments)
    assert (found.stuck, found.acts, found.settings) == (0, (), "malloc")
    assert found.phase == "model decode"


def test_the_fullest_moments_are_those_of_the_phase(folder):
    found = ullage.trace(folder / "work.json", phase="decode", gpus=CARD)
    top = found.peaks(5)
    assert top[0] == found.fullest
    assert {found.moments[at].stage for at in top} <= {*found.stages}
    assert max(each.live for each in found.moments) > found.moments[top[0]].live


def test_a_pass_reserves_what_its_tensors_make_the_allocator_ask_for():
    events = [(1, 16), (2, 24), (1, -16), (3, 20), (2, -24)]
    found = replayed(hand_made(*events), Settings(), None, 0)
    assert [each.live // MIB for each in found.moments] == [4, 20, 44, 28, 48, 24]
    assert [each.reserved // MIB for each in found.moments] == [20, 20, 44, 44, 64, 64]
    gone = {each.shape[0]: (each.born, each.gone) for each in found.tensors if each.component != "weights"}
    assert gone == {1: (1, 3), 2: (2, 5), 3: (4, None)}
    expandable = replayed(hand_made(*events), Settings(expandable=True), None, 0)
    assert max(each.reserved for each in expandable.moments) == 80 * MIB


def test_what_is_captured_is_told_apart():
    found = replayed(hand_made((1, 16), (2, 24), results=(2,)), Settings(), None, 0)
    assert [each.component for each in found.tensors] == ["weights", "activations", "captures"]


def test_of_a_pass_that_does_not_fit_the_tensor_and_the_moment_are_named():
    found = replayed(hand_made((1, 16), (2, 24), (3, 8)), Settings(), 60 * MIB, 0)
    assert found.shortage.tensor.shape == (3,)
    assert found.shortage.tensor.module == "a.b"
    assert found.shortage.words.startswith("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0")
    assert len(found.moments) == 3
    weights = replayed(hand_made((1, 16)), Settings(), 2 * MIB, 0)
    assert weights.shortage.tensor.module == "a.weight"


def test_a_card_that_is_too_small_is_said_by_the_command(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(folder / "work.json"), "--phase", "prefill", "--gpus", "(800MiB, 936GB/s, sm86)"])
    assert ended.value.code == 3
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"does not fit: no room for [\d.]+ MiB of .*: \d+ x .* bfloat16, in ", out)
    assert "CUDA out of memory" in out


def test_a_trace_is_a_document_that_follows_its_schema(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(folder / "work.json"), "--json", "--gpus", CARD, "--phase", "prefill"])
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, ullage.document_schema("trace"))
    assert document["live"] == document["moments"][document["fullest"]]["live"]
    assert document["shortage"] is None


def test_what_is_not_traced_says_so_by_name(folder):
    with pytest.raises(InputError, match="role modle: the workload has none; it has model"):
        ullage.trace(folder / "work.json", "modle", gpus=CARD)
    with pytest.raises(InputError, match="phase train: there is none; there are model load, model prefill"):
        ullage.trace(folder / "work.json", phase="train", gpus=CARD)
    with pytest.raises(UnsupportedError, match="model load: loading is no pass"):
        ullage.trace(folder / "work.json", phase="load", gpus=CARD)
    served = {**WORK, "kind": "evaluate", "roles": {"generator": {"model": "ullage:tiny", "engine": "vllm"}}}
    del served["extract"], served["captures"]
    served["evaluate"] = {"input": "texts.jsonl"}
    hosted = {**served, "roles": {"generator": {"model": "gpt-x", "engine": "openai"}}}
    with pytest.raises(UnsupportedError, match="the engine's own process is not traced"):
        ullage.trace(served, gpus=CARD, base=folder)
    with pytest.raises(UnsupportedError, match="role generator: runs with engine openai"):
        ullage.trace(hosted, "generator", gpus=CARD, base=folder)


def test_the_allocators_environment_is_replayed(folder, monkeypatch):
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    found = ullage.trace(folder / "work.json", phase="prefill", gpus=CARD)
    assert found.settings == "expandable True"
    assert {act.action for act, _ in found.acts} >= {"segment_map", "alloc"}
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable:True")
    with pytest.raises(InputError, match="'expandable' is no option of torch's allocator"):
        ullage.trace(folder / "work.json", phase="prefill", gpus=CARD)


@pytest.mark.parametrize("settings", [Settings(), Settings(expandable=True)])
def test_pytorchs_own_viewer_reads_the_snapshot(on_card, folder, settings):
    from torch.cuda import _memory_viz

    events = [(1, 16), (2, 24), (1, -16), (3, 20), (2, -24)]
    again = replayed(hand_made(*events), settings, None, 0)
    small = replace(on_card, tensors=again.tensors, moments=again.moments, acts=again.acts)
    for timeline in (small, on_card):
        path = folder / "made.pickle"
        write_snapshot(timeline, path)
        held = pickle.loads(path.read_bytes())
        assert held == snapshot(timeline)
        last = timeline.moments[-1]
        assert sum(each["total_size"] for each in held["segments"]) == last.reserved
        assert sum(each["requested_size"] for each in held["segments"]) == last.live
        assert all(
            sum(block["size"] for block in each["blocks"]) == each["total_size"] for each in held["segments"]
        )
        assert "_memory_viz" not in held
        _memory_viz.segsum(held)
        lines = _memory_viz.memory(held, format_flamegraph=lambda text: text)
        assert "module:0:a.b;tensor:0:aten.mm 3 bfloat16" in lines or timeline is on_card
        assert _memory_viz.trace_plot(held)
        assert _memory_viz.segment_plot(held)
        if not settings.expandable:
            assert "cudaMalloc" in _memory_viz.trace(held)


def test_a_processors_trace_has_no_snapshot(folder, capsys):
    places = ["--snapshot", str(folder / "no.pickle"), "--html", str(folder / "no.html")]
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(folder / "work.json"), "--gpus", "cpu", *places])
    assert ended.value.code == 2
    assert "a processor has no allocator" in capsys.readouterr().err
    assert not list(folder.glob("no.*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--html", "."], ".: is a folder"),
        (["--snapshot", ""], ".: is a folder"),
        (["--html", "none/page.html"], "none/page.html: cannot be written: there is no folder none"),
        (["--html", "one", "--snapshot", "./one"], "one: is to be both the page and the snapshot"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_told_before_the_trace(
    folder, tmp_path, monkeypatch, capsys, options, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ullage.api.trace", lambda *_, **__: pytest.fail("it was traced"))
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(folder / "work.json"), "--gpus", CARD, *options])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_of_training_the_pass_is_traced_and_the_step_refused(tmp_path):
    work = {"kind": "extract", "roles": {"m": {"model": "ullage:tiny"}}, "prompt_tokens": 16, "new_tokens": 0}
    work |= {"training": {"optimizer": "adamw", "lora": {"r": 4}}}
    found = ullage.trace(work, gpus=CARD)
    assert found.phase == "m train"
    with pytest.raises(UnsupportedError, match="phase m update: the optimizer's step runs no model"):
        ullage.trace(work, phase="update", gpus=CARD)


CLICKED = """<script>addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map(one => {
    const inside = one.contentDocument, root = inside.documentElement
    const chart = inside.getElementById("chart"), box = chart.getBoundingClientRect()
    const {KeyboardEvent, MouseEvent} = one.contentWindow, said = () =>
      [inside.getElementById("moment").textContent, inside.getElementById("alive").rows.length]
    const first = said(), left_most = {clientX: box.left + 1, clientY: box.top + 5}
    const press = key => chart.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}))
    chart.dispatchEvent(new MouseEvent("click", left_most))
    const clicked = said()
    press("End")
    const end = said()
    press("ArrowLeft")
    const left = said()
    press("p")
    const names = [...inside.querySelectorAll("#alive td:nth-child(2)")].map(each => each.textContent)
    const ends = [...root.querySelectorAll("table, svg, p, h1")].map(e => e.getBoundingClientRect().right)
    return {first, clicked, end, left, last: said(), names, width: one.clientWidth,
            wide: Math.max(root.scrollWidth, Math.ceil(Math.max(...ends))),
            keys: inside.querySelectorAll("#keys li").length, hurt: one.contentWindow.hurt === true}
  })
  document.title = JSON.stringify(seen)
})</script>"""


def opened(folder, page):
    """What the page shows at each width, as it is opened, clicked and steered by keys."""
    return seen(TITLED + "".join(framed(page, width) for width in WIDTHS), folder, CLICKED)


@needs_browser
def test_a_click_or_a_key_names_the_tensors_alive_at_that_moment(on_card, tmp_path):
    path = tmp_path / "trace.html"
    write_trace_page(on_card, path)
    page = path.read_text(encoding="utf-8")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    last, alive = len(on_card.moments) - 1, on_card.alive(on_card.fullest)
    for shown in opened(tmp_path, page):
        assert shown["first"] == shown["last"]
        assert shown["first"][0].startswith(f"Moment {on_card.fullest} of {last}, prefill: ")
        assert shown["first"][1] == len(alive)
        assert shown["clicked"][0].startswith(f"Moment 0 of {last}, loaded: ")
        assert shown["end"][0].startswith(f"Moment {last} of {last}, ")
        assert shown["left"][0].startswith(f"Moment {last - 1} of {last}, ")
        assert shown["names"][0] == f"{alive[0].module or 'the pass'} ({alive[0].operation})"
        assert shown["keys"] == len({each.component for each in on_card.tensors})
        assert shown["wide"] <= shown["width"]


@needs_browser
def test_names_of_modules_are_text_on_the_page(on_card, tmp_path):
    evil = "</script><script>window.hurt = true</script><img src=x onerror='window.hurt=true'>" + "x" * 200
    tensors = tuple(each._replace(module=evil) for each in on_card.tensors)
    path = tmp_path / "trace.html"
    write_trace_page(replace(on_card, tensors=tensors, model=evil, notes=(evil,)), path)
    for shown in opened(tmp_path, path.read_text(encoding="utf-8")):
        assert not shown["hurt"]
        assert shown["names"][0].startswith("</script>")
        assert shown["wide"] <= shown["width"]


def test_a_document_has_every_tensor_and_moment(on_card):
    document = trace_document(on_card)
    assert len(document["tensors"]) == len(on_card.tensors)
    assert len(document["moments"]) == len(on_card.moments)
    assert json.loads(json.dumps(document)) == document


def test_a_model_that_looks_at_pictures_is_refused_by_its_kind(tmp_path):
    ullage.sample_model("perception", tmp_path / "eyes")
    role = {"model": "./eyes", "images": 1, "image_size": [32, 32]}
    body = {"kind": "extract", "budget": {"gpus": "A100-40GB"}, "roles": {"model": role}}
    body |= {"prompt_tokens": 24, "new_tokens": 8, "extract": {"generate": True}}
    (tmp_path / "work.json").write_text(json.dumps(body))
    with pytest.raises(UnsupportedError, match="llava_next is no causal language model"):
        ullage.trace(tmp_path / "work.json")
