"""A process that runs within limits of time, memory and output, and leaves no other behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

from ullage.kinds.assistant.tools.tool import ToolError

MARK: Final = "ULLAGE_TOOL_CALL"
"""The variable by which processes of a call are known, whatever group they went to."""
WATCHED: Final = 0.05
"""Seconds between looks at whether the process has ended, where it closed no file."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Of one call: `seconds` it may take, `output_bytes` it may give back, and may print besides, and
    `memory_bytes` of addresses that each of its processes may have."""

    seconds: float = 10.0
    output_bytes: int = 65_536
    memory_bytes: int = 2 * 2**30


def result_of(command: Sequence[str], given: bytes, folder: Path, limits: CallLimits) -> bytes:
    """What `command`, run in `folder` with `given` as its input, writes as its result.

    Its last argument is the number of the file that takes the result; what it prints is counted. How much
    memory it has is its own to limit. Raises ToolError where it passes a limit, or ends without a result.
    """
    read, write = os.pipe()
    mark = token_hex(16)
    try:
        process = subprocess.Popen(
            [*command, str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | {MARK: mark},
            start_new_session=True,
            pass_fds=(write,),
        )
    except OSError as error:
        os.close(read)
        raise ToolError(f"its process cannot be started: {error.strerror or error}") from error
    finally:
        os.close(write)
    try:
        return _watched(process, read, given, limits)
    finally:
        _end(process, mark)
        os.close(read)


def _watched(process: subprocess.Popen[bytes], read: int, given: bytes, limits: CallLimits) -> bytes:
    """The result, once the process has ended; what it printed is counted and dropped."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(given)
        process.stdin.close()
    end = time.monotonic() + limits.seconds
    told, printed = bytearray(), 0
    out = process.stdout.fileno()
    with selectors.DefaultSelector() as waiting:
        waiting.register(read, selectors.EVENT_READ)
        waiting.register(out, selectors.EVENT_READ)
        ended = False
        while waiting.get_map():
            ready = waiting.select(0 if ended else max(0.0, min(WATCHED, end - time.monotonic())))
            for key, _ in ready:
                some = os.read(key.fd, 2**16)
                if not some:
                    waiting.unregister(key.fd)
                elif key.fd == read:
                    told += some
                else:
                    printed += len(some)
            _check(len(told), printed, limits)
            if ended and not ready:
                break  # what it started may hold the pipes open
            ended = ended or process.poll() is not None
            if not ended and time.monotonic() >= end:
                raise ToolError(f"took longer than {limits.seconds:g} s, and was ended")
    code = process.wait()
    if code < 0:
        raise ToolError(f"its process was ended by {_signal(-code)}")
    if not told:
        raise ToolError("its process ended without a result" + (f" (exit code {code})" if code else ""))
    return bytes(told)


def _check(told: int, printed: int, limits: CallLimits) -> None:
    for size, did in ((told, "gave back"), (printed, "printed")):
        if size > limits.output_bytes:
            raise ToolError(f"{did} more than {limits.output_bytes:,} bytes, and was ended")


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name} (it used up its processor time)" if name == "SIGXCPU" else name


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Ends the process, its group, and what it started that left the group (as far as /proc shows it)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    while left := _marked(mark):
        for number in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def _marked(mark: str) -> list[int]:
    """Living processes whose environment began with `mark`."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found
