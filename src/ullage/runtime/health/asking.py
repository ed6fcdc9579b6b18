"""Has libraries tried out side by side, each in a process of its own with a limit of time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

from ullage.errors import FormatError
from ullage.facts.health.extras import version_of
from ullage.facts.health.tried import Tried, read_tried
from ullage.fields import Fields

PACKAGES: Final = {
    "torch": "torch",
    "torchvision": "torchvision",
    "bitsandbytes": "bitsandbytes",
    "flash_attn": "flash-attn",
}
"""What is tried, by the name it is imported by, and the package that brings it."""
LONGEST: Final = 120.0
"""Seconds; importing bitsandbytes takes ten on two slow cores, and four cards some more to be begun."""
QUIET: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
"""bitsandbytes asks a hub for kernels where it may."""


def installed(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def versions() -> dict[str, Tried]:
    """What of PACKAGES is installed, by its metadata alone: nothing is tried."""
    return {name: _untried(name) for name in PACKAGES if installed(name)}


def try_libraries(longest: float = LONGEST) -> Mapping[str, Tried]:
    """What came of each of PACKAGES that is installed, side by side. Raises nothing: what crashes, hangs or
    answers nonsense has a problem that says so."""
    begun = time.monotonic()
    running = {name: _begin(name) for name in PACKAGES if installed(name)}
    return {name: _end(name, each, begun, longest) for name, each in running.items()}


def _begin(name: str) -> subprocess.Popen[bytes]:
    # The same packages as here, and nothing that merely lies where the program was started.
    path = os.pathsep.join(each for each in sys.path if each)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "ullage.runtime.health.trial", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **QUIET, "PYTHONPATH": path},
    )


def _end(name: str, process: subprocess.Popen[bytes], begun: float, longest: float) -> Tried:
    left = max(longest - (time.monotonic() - begun), 0.1)
    try:
        answer, _ = process.communicate(timeout=left)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return _untried(name, longest, f"did not end within {longest:g} seconds")
    except BaseException:
        process.kill()
        raise
    seconds = time.monotonic() - begun
    if process.returncode:
        code = process.returncode
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return _untried(name, seconds, f"the process that imported it {how}")
    with suppress(ValueError, FormatError):
        found: object = json.loads(answer)
        if isinstance(found, dict):
            return read_tried(Fields(found, name), version_of(PACKAGES[name]) or "")
    return _untried(name, seconds, "the process that imported it told nothing")


def _untried(name: str, seconds: float = 0.0, problem: str = "") -> Tried:
    return Tried(name, version_of(PACKAGES[name]) or "", seconds, problem)
