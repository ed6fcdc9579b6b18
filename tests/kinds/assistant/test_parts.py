"""The parts of an assistant in one run's session: brought as planned, parked, and inside the bill."""

import io

import pytest
from PIL import Image

import ullage
from ullage.engines.engine import Sampling
from ullage.engines.opening import open_engine, open_painter
from ullage.engines.painter import Canvas
from ullage.engines.viewer import Question, open_viewer
from ullage.errors import UnsupportedError
from ullage.records.folder import RunFolder
from ullage.runtime.opening import Options, open_session
from ullage.workloads.execution import check_able

TINY = {"model": "ullage:tiny"}


@pytest.fixture
def plan(artist_folder, perception_folder):
    artist = {"model": str(artist_folder), "engine": "diffusers", "image_size": "32x32", "steps": 2}
    perception = {"model": str(perception_folder), "images": 1, "image_size": "60x40"}
    roles = {"artist": artist, "perception": perception}
    roles |= dict.fromkeys(("router", "pragmatist", "voice"), TINY)
    sizes = {"prompt_tokens": 64, "new_tokens": 8, "budget": {"gpus": "cpu"}}
    return ullage.plan(ullage.load({"kind": "assistant", "roles": roles, **sizes}))


def png():
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def first(plan, name):
    return next(each for each in plan.phases if each.running == name and each.activity != "load")


def does(session, name):
    if name == "artist":
        return open_painter(session, name).paint(["a red boat"], Canvas((32, 32), 2), [3])
    if name == "perception":
        return open_viewer(session, name).view([Question("What is this?", png())], Sampling(8), [0])
    return open_engine(session, name).generate(["Hello."], Sampling(8), [0])


def test_specialists_take_turns_and_say_the_same_each_time_inside_the_bill(plan, tmp_path):
    said = {}
    with open_session(plan, RunFolder(tmp_path), Options(quiet=True)) as session:
        for name in ("artist", "perception", "pragmatist", "artist", "perception", "pragmatist"):
            session.monitor.enter(None)
            phase = first(plan, name)
            session.bring(phase, session.load)
            session.monitor.enter(phase)
            said.setdefault(name, []).append(does(session, name))
            assert set(session.loaded) == {"router", "voice", name}
        session.monitor.enter(None)
        for one in session.monitor.measured:
            assert one.live <= plan.bill.totals[one.device][one.phase].live.high, one.phase
        measured = {one.phase for one in session.monitor.measured}
    assert all(one == other for one, other in said.values())
    assert {"artist denoise", "perception prefill", "perception decode", "pragmatist prefill"} <= measured


def test_who_writes_does_not_paint_nor_who_paints_write(plan, tmp_path):
    with open_session(plan, RunFolder(tmp_path), Options(quiet=True)) as session:
        with pytest.raises(UnsupportedError, match=r"roles\.artist: engine diffusers paints"):
            open_engine(session, "artist")
        with pytest.raises(UnsupportedError, match=r"roles\.voice: engine transformers paints no"):
            open_painter(session, "voice")


def test_pictures_are_for_kinds_that_show_them(plan, perception_folder):
    check_able(plan)
    with pytest.raises(UnsupportedError, match="text alone"):
        check_able(ullage.estimate_model(str(perception_folder), "cpu", images=1))
