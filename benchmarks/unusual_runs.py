"""Commands of Ullage under unusual circumstances, and what is seen of them from outside."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_SECONDS = 120
MOST_BYTES = 2 * 2**30
"""Resident; torch and transformers alone take half a GiB."""
READS_ALL = "+dac_read_search"
"""What another user is let do: read where Python lies, which may be in a home folder. It writes nothing."""
PROGRAM = [sys.executable, "-c", "from ullage.cli.main import program; program()"]
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What no screen is to be given, a bar's own sequences apart."""

# Importing torch for every situation would be most of the time: one process has it and forks.
WORKER = """
import json, os, resource, signal, sys, time
import torch, transformers, pyarrow.parquet, ullage.api
import ullage.kinds.extract.run, ullage.kinds.evaluate.run, ullage.kinds.pii.run
torch.set_num_threads(1)
from ullage.facts.bundled import tiny_path
transformers.AutoTokenizer.from_pretrained(tiny_path())
transformers.AutoModelForCausalLM._model_mapping[type(transformers.AutoConfig.from_pretrained(tiny_path()))]
from ullage.cli.main import program
for line in sys.stdin:
    asked = json.loads(line)
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # What runs in the background may ignore them, and who is begun by it then does too.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        for name, value in asked["environment"].items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        os.chdir(asked["folder"])
        for name, most in asked["limits"].items():
            resource.setrlimit(getattr(resource, name), (most, most))
        sys.argv = ["ullage", *asked["arguments"]]
        program()
    print(child, flush=True)
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - begun
    print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss, seconds]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a command did. `bytes` is the most it had resident."""

    code: int
    out: str
    err: str
    seconds: float = 0.0
    bytes: int = 0

    @property
    def said(self) -> str:
        return f"{self.out}\n{self.err}"

    def wrong(self, codes: Sequence[int]) -> str:
        """What no command may do, in words; "" where it did none of it."""
        if "internal error" in self.said or "Traceback" in self.said or "Exception ignored" in self.said:
            return next(
                line for line in self.said.splitlines() if re.search("internal error|Traceback|ignored", line)
            )
        if self.code not in codes:
            return f"exit code {self.code}: {last_line(self.err)}"
        if RAW.search(self.said):
            return "control characters reach the terminal"
        if self.seconds > LONGEST_SECONDS:
            return f"took {self.seconds:.0f} s"
        if self.bytes > MOST_BYTES:
            return f"took {self.bytes / 2**30:.1f} GiB"
        longest = max(map(len, self.err.splitlines()), default=0)
        return f"a line of {longest:,} characters" if longest > 4096 else ""


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


@dataclass(frozen=True, slots=True)
class Way:
    """How a command is run: as which `user` (a uid), under what `limits` by name, its streams to which files
    ("" closes one); `meddle` is done to its process once `after` is true of its folder."""

    environment: Mapping[str, str | None] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    user: int | None = None
    out: str | None = None
    err: str | None = None
    meddle: Callable[[int], None] | None = None
    after: Callable[[Path], bool] = lambda folder: True
    fresh: bool = False
    ignored: int | None = None


PLAINLY = Way()


class Runner:
    """Runs commands of Ullage; those that load models in forks of one process that has torch."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[str] | None = None

    def run(self, folder: Path, *arguments: str, way: Way = PLAINLY) -> Seen:
        """One command in `folder`, until it ends or has taken far too long."""
        if way.fresh or way.user is not None or (way.out, way.err, way.ignored) != (None, None, None):
            return _fresh(folder, arguments, way)
        return self._forked(folder, arguments, way)

    def _forked(self, folder: Path, arguments: Sequence[str], way: Way) -> Seen:
        worker = self._started()
        out, err = folder / "said.out", folder / "said.err"
        asked = {
            "arguments": arguments,
            "folder": str(folder),
            "out": str(out),
            "err": str(err),
            "environment": dict(way.environment),
            "limits": dict(way.limits),
        }
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(asked) + "\n")
        worker.stdin.flush()
        child = int(worker.stdout.readline())
        watch(child, folder, way)
        code, resident, seconds = json.loads(worker.stdout.readline())
        return Seen(code, _text(out), _text(err), seconds, resident * 1024)

    def _started(self) -> subprocess.Popen[str]:
        if self._worker is None:
            self._worker = subprocess.Popen(
                [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            assert self._worker.stdin is not None
            self._worker.stdin.close()
            self._worker.wait()


def watch(child: int, folder: Path, way: Way) -> None:
    """Sends the signal of `way` in a thread, and ends what takes far too long."""
    import threading

    def look() -> None:
        begun, pressed = time.monotonic(), False
        while _alive(child):
            time.sleep(0.02)
            if way.meddle is not None and not pressed and way.after(folder):
                pressed = True
                with contextlib.suppress(ProcessLookupError):
                    way.meddle(child)
            if time.monotonic() - begun > LONGEST_SECONDS + 5 or _resident(child) > 2 * MOST_BYTES:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                return

    threading.Thread(target=look, daemon=True).start()


def _resident(child: int) -> int:
    try:
        return int(Path(f"/proc/{child}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _alive(child: int) -> bool:
    try:
        return Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _fresh(folder: Path, arguments: Sequence[str], way: Way) -> Seen:
    """In a process of its own, whose environment, user and limits are set before Python begins."""
    environment = {**os.environ, **{k: v for k, v in way.environment.items() if v is not None}}
    for name in [name for name, value in way.environment.items() if value is None]:
        environment.pop(name, None)
    command = [*PROGRAM, *arguments]
    if way.user is not None:
        user = ["--reuid", str(way.user), "--regid", str(way.user), "--clear-groups"]
        command = ["setpriv", *user, "--inh-caps", READS_ALL, "--ambient-caps", READS_ALL, *command]

    streams = [way.out or str(folder / "said.out"), way.err or str(folder / "said.err")]

    def limit() -> None:
        for name, most in way.limits.items():
            resource.setrlimit(getattr(resource, name), (most, most))
        if way.ignored is not None:
            signal.signal(way.ignored, signal.SIG_IGN)
        for number, stream in ((1, way.out), (2, way.err)):
            if stream == "":
                os.close(number)

    begun = time.monotonic()
    with open(streams[0], "wb") as out, open(streams[1], "wb") as err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=limit,
        )
        watch(process.pid, folder, way)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    said = _text(folder / "said.out"), _text(folder / "said.err")
    return Seen(process.returncode, *said, time.monotonic() - begun, used.ru_maxrss * 1024)


def on_a_terminal(folder: Path, *arguments: str) -> Seen:
    """The command on a terminal of its own: what reaches the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = bytearray()
    with contextlib.suppress(OSError):  # how a terminal ends that nobody writes to any more
        while data := os.read(ours, 4096):
            shown.extend(data)
    os.close(ours)
    return Seen(process.wait(), shown.decode(errors="replace"), "")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
