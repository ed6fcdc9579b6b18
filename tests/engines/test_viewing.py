"""A model that sees: what its processor and `generate` give, inside its bill; and pictures that are none."""

import io
import struct
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ullage
from ullage.engines.engine import Failure, Sampling
from ullage.engines.pictures import MOST_PIXELS, open_picture, picture_size
from ullage.engines.viewer import Question, Viewer, room_of
from ullage.errors import FormatError, InputError, UllageError, UnsupportedError
from ullage.facts.model import open_model
from ullage.runtime.live import LiveTensors
from ullage.runtime.loader import load_model
from ullage.runtime.processor import open_processor

ASKED = "What is the colour of this?"


def png(width, height, colour=(200, 30, 30)):
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def planned(folder, **fields):
    return ullage.estimate_model(str(folder), "cpu", images=1, **fields)


def opened(folder, room=None, **fields):
    plan = planned(folder, **fields)
    (name,) = plan.roles
    loaded = load_model(plan.workload.roles[name], plan.roles[name])
    return loaded, Viewer(loaded, open_processor(plan.workload.roles[name]), "perception", room)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("size", [(60, 40), (30, 90)])
def test_a_reply_is_the_one_of_processor_and_generate(perception_folder, precision, size):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(perception_folder)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModelForImageTextToText.from_pretrained(perception_folder, dtype=dtype)
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ASKED}]}]
    text = processor.apply_chat_template(said, add_generation_prompt=True)
    picture = Image.open(io.BytesIO(png(*size)))
    inputs = processor(images=[picture], text=[text], return_tensors="pt")
    ids = model.generate(**inputs, do_sample=False, max_new_tokens=12)
    (direct,) = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    _, viewer = opened(perception_folder, precision=precision)
    (reply,) = viewer.view([Question(ASKED, png(*size))], Sampling(12), [0])
    assert reply.text == direct
    assert reply.prompt_tokens == inputs["input_ids"].shape[1]


def test_a_file_is_its_bytes_and_another_picture_another_reply(perception_folder, tmp_path):
    _, viewer = opened(perception_folder)
    (tmp_path / "red.png").write_bytes(png(60, 40))
    asked = [Question(ASKED, each) for each in (tmp_path / "red.png", png(60, 40), png(60, 40, (0, 0, 250)))]
    file, same, other = viewer.view(asked, Sampling(12), [0] * 3)
    assert file == same
    assert file.text != other.text


def test_chance_is_a_replys_own(perception_folder):
    _, viewer = opened(perception_folder)
    asked = [Question(ASKED, png(60, 40))] * 3
    one, same, other = viewer.view(asked, Sampling(8, temperature=2.0), [1, 1, 2])
    assert one == same != other


def test_a_question_cannot_make_a_place_for_a_picture(perception_folder):
    _, viewer = opened(perception_folder)
    marks = viewer.inputs(Question(f"{ASKED} <image>", png(60, 40)))["input_ids"]
    plain = viewer.inputs(Question(ASKED, png(60, 40)))["input_ids"]
    image = open_processor(planned(perception_folder).workload.roles["model"]).image_token_id
    assert (marks == image).sum() == (plain == image).sum()


@settings(max_examples=25)
@given(st.tuples(st.integers(1, 400), st.integers(1, 400)))
def test_tokens_are_counted_for_the_pictures_real_size(perception_folder, size):
    model = open_model(str(perception_folder))
    try:
        picture = model.vision.lay(size)
    except UnsupportedError:
        return
    processor = VIEWERS.setdefault("one", opened(perception_folder)[1])
    inputs = processor.inputs(Question("", png(*size)))
    ids = inputs["input_ids"][0].tolist()
    assert ids.count(model_image(perception_folder)) == picture.tokens
    assert inputs["pixel_values"].numel() == picture.pixels


VIEWERS = {}


def model_image(folder):
    import json

    return json.loads((folder / "config.json").read_text())["image_token_index"]


@pytest.mark.parametrize(
    ("precision", "size"), [("fp32", (60, 40)), ("bf16", (300, 300)), ("fp32", (30, 200))]
)
def test_seeing_stays_inside_its_bill(perception_folder, precision, size):
    loaded, viewer = opened(perception_folder, precision=precision)
    question = Question(ASKED, png(*size))
    (reply,) = viewer.view([question], Sampling(8), [0])
    picture = open_model(str(perception_folder)).vision.lay(size)
    fields = {"prompt_tokens": reply.prompt_tokens - picture.tokens, "new_tokens": 8, "batch": 1}
    plan = planned(perception_folder, precision=precision, image_size=size, **fields)
    peaks = {}
    with LiveTensors() as live:
        live.track_model(loaded.model)
        live.reset_peak()

        def begun():
            peaks["prefill"] = live.peak
            live.reset_peak()

        processor = open_processor(plan.workload.roles["model"])
        viewer = Viewer(loaded, processor, "perception", on_prefilled=begun)
        viewer.view([question], Sampling(8), [0])
        peaks["decode"] = live.peak
    for activity, found in peaks.items():
        items = [i for i in plan.bill.items if i.phase.endswith(activity) and i.level == "live"]
        assert found <= sum(item.bytes.high for item in items), activity


def test_what_takes_more_than_was_planned_is_not_seen(perception_folder):
    plan = planned(perception_folder, image_size=(30, 90), prompt_tokens=16)
    model = open_model(str(perception_folder))
    room = room_of(plan.phases[-1].work, model)
    _, viewer = opened(perception_folder, room)
    fits, picture, text = viewer.view(
        [Question(ASKED, png(30, 90)), Question(ASKED, png(200, 200)), Question("boat " * 60, png(30, 90))],
        Sampling(4),
        [0] * 3,
    )
    assert not isinstance(fits, Failure)
    for each in (picture, text):
        assert isinstance(each, Failure)
        assert "image_size" in each.reason


def bomb():
    """A PNG of a few hundred bytes that says it has 40,000 x 40,000 pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "is no picture"),
    "text": (b"hello", "is no picture"),
    "broken header": (png(60, 40)[:20], "is no picture|broken"),
    "truncated": (png(60, 40)[:-30], "broken.*truncated"),
    "bomb": (bomb(), f"at most {MOST_PIXELS:,} are decoded"),
    "just too large": (png(MOST_PIXELS // 1000 + 1, 1000), "50,001 x 1,000 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_picture_that_is_none_is_one_clear_line_and_the_others_are_answered(perception_folder, name):
    data, said = BAD[name]
    with pytest.raises(FormatError, match=said) as caught:
        open_picture(data)
    assert "\n" not in str(caught.value)
    _, viewer = opened(perception_folder)
    bad, good = viewer.view([Question(ASKED, data), Question(ASKED, png(9, 9))], Sampling(2), [0, 0])
    assert bad == Failure(str(caught.value))
    assert not isinstance(good, Failure)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(monkeypatch):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    for look in (open_picture, picture_size):
        with pytest.raises(FormatError, match="none of these were"):
            look(bomb())


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        open_picture(tmp_path / "none.png")
    with pytest.raises(FormatError, match="no ordinary file"):
        open_picture(tmp_path)
    with pytest.raises(InputError, match="no file has such a name"):
        open_picture(tmp_path / "a\0b.png")


@given(st.data())
def test_no_spoiled_file_does_anything_but_open_or_be_refused(data):
    whole = bytearray(png(40, 30))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert open_picture(bytes(whole)).mode == "RGB"
    except UllageError as error:
        assert "picture" in str(error)


def test_a_turned_photo_has_the_size_it_is_seen_in():
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(file, "JPEG", exif=exif)
    assert picture_size(file.getvalue()) == open_picture(file.getvalue()).size == (40, 60)


def test_a_model_of_text_alone_takes_no_pictures(model_folder):
    role = ullage.estimate_model(str(model_folder), "cpu").workload.roles["model"]
    with pytest.raises(UnsupportedError, match="takes no pictures"):
        open_processor(role)
