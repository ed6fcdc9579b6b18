"""A page in a browser without a window: what a script in it found, which it tells as JSON in the title."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

BROWSER: Final = shutil.which("chromium") or shutil.which("google-chrome")
TITLED: Final = "<!doctype html><meta charset=utf-8><title></title>"
"""What a page of frames begins with, for its script to tell in."""
SIDEWAYS: Final = """<script>addEventListener("load", () => {
  const root = document.querySelector("iframe").contentDocument.documentElement
  document.title = JSON.stringify([root.clientWidth, root.scrollWidth])
})</script>"""
"""How wide the first frame is, and how far it scrolls."""
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no browser is installed")


def framed(page: str, width: int, height: int | None = None) -> str:
    """A page within another, as wide as a telephone or a desk, in CSS pixels."""
    tall = "" if height is None else f";height:{height}px"
    return f'<iframe style="border:0;width:{width}px{tall}" srcdoc="{html.escape(page)}"></iframe>'


def seen(page: str, folder: Path, script: str = "", width: int = 1280) -> Any:
    """What `script` at the end of `page` found, in a window of that width; files go into `folder`. A page
    that writes to the console fails."""
    assert BROWSER is not None
    path = folder / f"shown{width}.html"
    path.write_text(page.replace("</html>", "") + script, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--window-size={width},900"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None
    return json.loads(html.unescape(title[1]))
