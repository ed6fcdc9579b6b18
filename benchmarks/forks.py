"""Commands of Ullage in forks of one process that has torch, which to import for each takes far longer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_SECONDS = 300.0
"""A command that takes longer is killed."""
WORKER = """
import json, os, signal, sys
import torch, transformers, pyarrow.parquet, ullage.api
import ullage.kinds.extract.run, ullage.kinds.evaluate.run, ullage.kinds.pii.run
from ullage.facts.bundled import tiny_path
transformers.AutoTokenizer.from_pretrained(tiny_path())
transformers.AutoModelForCausalLM._model_mapping[type(transformers.AutoConfig.from_pretrained(tiny_path()))]
from ullage.cli.main import program
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(asked["in"], os.O_RDONLY), 0)
        sys.stdin = open(0, closefd=False)
        # What runs in the background may ignore them, and who is begun by it then does too.
        for name in ("SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = ["ullage", *asked["arguments"]]
        exec(asked["first"])
        program()
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said, and its exit code: -9 for one that was killed."""

    returncode: int
    stdout: str
    stderr: str


class Forks:
    """Runs commands one after another, in forks of a process that the command `who` begins (none: this one's
    user does) with `more` in the environment.

    Invariant: the process has one child at most, and says its id, then its exit code.
    """

    def __init__(self, more: Mapping[str, str] | None = None, who: Sequence[str] = ()) -> None:
        self._more = dict(more or {})
        self._process = subprocess.Popen(
            [*who, sys.executable, "-c", WORKER],
            env=os.environ | self._more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def run(
        self,
        *arguments: str | Path,
        folder: Path | None = None,
        given: bytes = b"",
        first: str = "",
        number: int = signal.SIGKILL,
        when: Callable[[str], bool] | None = None,
    ) -> Done:
        """One command in `folder`, after the statements `first`, with `given` on standard input; once `when`
        holds of what it has said on standard output it is sent the signal `number`."""
        with tempfile.TemporaryDirectory() as said:
            os.chmod(said, 0o777)
            read, out, err = (Path(said) / name for name in ("in", "out", "err"))
            read.write_bytes(given)
            asked = {
                "arguments": [*map(str, arguments)],
                "folder": str(folder or Path.cwd()),
                "environment": os.environ | self._more,
                "first": first,
                "in": str(read),
                "out": str(out),
                "err": str(err),
            }
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            child = self._number()
            try:
                while when is not None and not self._told(0.002):
                    if when(out.read_text() if out.exists() else ""):
                        _send(child, number)
                        break
                ended = self._told(LONGEST_SECONDS)
            except BaseException:
                _send(child, signal.SIGKILL)
                self._number()
                raise
            if not ended:
                _send(child, signal.SIGKILL)
            # One that is killed at once may not have opened them yet.
            said = [path.read_text() if path.exists() else "" for path in (out, err)]
            return Done(self._number(), *said)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _told(self, seconds: float) -> bool:
        """Whether the command has ended, or does within so many seconds."""
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def _send(child: int, number: int) -> None:
    """A signal to a process that may have ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)
