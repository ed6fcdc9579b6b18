"""`ullage chat FILE` with pictures, as a user meets it at a terminal and in a pipe."""

import json
import os
import pty
import select
import struct
import subprocess
import sys
import time
import zlib

import pytest
from PIL import Image

WORK = """
kind: assistant
roles:
  router: {{model: router.jsonl, engine: scripted}}
  voice: {{model: voice.jsonl, engine: scripted}}
  near: {{model: near.jsonl, engine: scripted}}
  artist: {{model: {artist}, engine: diffusers, image_size: 32x32, steps: 1}}
  seer: {{model: {perception}, images: 1, image_size: 64x48}}
budget: {{gpus: cpu}}
prompt_tokens: 64
new_tokens: 4
"""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def bomb():
    """A picture of 900 million pixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    made = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


@pytest.fixture
def folder(tmp_path, artist_folder, perception_folder):
    """Pictures of every kind, and a file that has its name already."""
    words = {"near": -5.0, "artist": -5.0}
    draws = {"contains": "draw", "scores": words | {"artist": -0.1}}
    write_lines(tmp_path / "router.jsonl", [draws, {"scores": words | {"near": -0.1}}])
    write_lines(tmp_path / "near.jsonl", [{"text": "I am near."}])
    write_lines(
        tmp_path / "voice.jsonl", [{"contains": "near", "text": "I say near."}, {"text": "I say a picture."}]
    )
    Image.new("RGB", (60, 40), (200, 30, 30)).save(tmp_path / "a boat.png")
    for name in ("cut.png", "cut.jpg"):
        Image.effect_noise((60, 40), 90).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.png").write_text("<html>404</html>")
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "picture-1.png").write_text("mine")
    (tmp_path / "picture-2.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "work.yaml").write_text(WORK.format(artist=artist_folder, perception=perception_folder))
    return tmp_path


SAID = [
    "/image",
    "/image nowhere.png",
    "/image page.png",
    "/image bomb.png",
    "/image .",
    "/image a boat.png",
    "What is this?",
    "Hello?",
    "/image cut.png",
    "/image cut.jpg",
    "And this?",
    "draw a boat",
    "draw it again",
    "Still there?",
]


@pytest.mark.long
def test_a_pipe_gives_pictures_and_gets_them(folder, forks):
    said = "".join(f"{line}\n" for line in SAID).encode()
    done = forks.run("chat", "work.yaml", "--json", "--quiet", folder=folder, given=said)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = dict(zip(SAID, map(json.loads, done.stdout.splitlines()), strict=True))
    for said, why in (
        ("/image", "name a picture's file"),
        ("/image nowhere.png", "cannot be read"),
        ("/image page.png", "is no picture that is read here"),
        ("/image bomb.png", "at most 50,000,000 are decoded"),
        ("/image .", "."),
        ("/image cut.png", "the picture is broken"),
    ):
        assert rows[said]["image"] is None
        assert why in rows[said]["failed"]
    assert rows["/image a boat.png"] == {"image": "a boat.png", "size": [60, 40], "failed": None}
    assert (rows["What is this?"]["specialist"], rows["What is this?"]["image"]) == ("seer", "a boat.png")
    assert rows["What is this?"]["failed"] is None
    assert (rows["Hello?"]["specialist"], rows["Hello?"]["image"]) == ("near", None)
    assert rows["/image cut.jpg"]["size"] == [60, 40]
    assert "the picture is broken" in rows["And this?"]["failed"]
    for said, name in (("draw a boat", "picture-3.png"), ("draw it again", "picture-4.png")):
        assert rows[said]["picture"]["file"] == str(folder / name)
        with Image.open(folder / name) as picture:
            assert picture.size == (32, 32)
        assert (folder / name).stat().st_mode & 0o077 == 0
    assert rows["Still there?"]["voice"] == "I say near."
    assert (folder / "picture-1.png").read_text() == "mine"
    assert not (folder / "elsewhere.png").exists()


@pytest.mark.long
def test_a_terminal_says_in_a_line_what_became_of_a_picture(folder):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ullage", "chat", "work.yaml", "--quiet"]
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "400"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    )
    os.close(theirs)
    shown = b""

    def until(text, seconds=240):
        nonlocal shown
        begun, end = len(shown), time.monotonic() + seconds
        while text not in shown[begun:]:
            if time.monotonic() > end:
                pytest.fail(shown.decode(errors="replace"))
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65536)

    until(b"> ")
    for line in ("/image page.png", "/image 'a boat.png'", "What is this?", "draw a boat"):
        os.write(ours, line.encode() + b"\n")
        until(b"\n> ")
    os.write(ours, b"/exit\n")
    assert process.wait(timeout=60) == 0
    os.close(ours)
    told = shown.decode()
    assert "/image PATH gives the next turn a picture, painted ones are written to picture-N.png here" in told
    assert (
        "no picture was taken: page.png: is no picture that is read here (PNG, JPEG, WEBP, GIF, BMP)" in told
    )
    assert "a boat.png, 60 x 40 pixels, comes with what you say next, to seer" in told
    assert "-> seer (picture" in told
    assert f"painted: {folder / 'picture-3.png'}" in told
    assert "Traceback" not in told
