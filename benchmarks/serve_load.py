"""A server under load: a hundred clients at once, a short queue, and what is left of a server that is killed.

    python benchmarks/serve_load.py             # prints, and writes results/serve_load.json
    python benchmarks/serve_load.py --kills 0   # without the kills

The bundled model, made never to end a reply by itself, so that each has its 64 tokens; in fp32 on the
processor with one thread. Clients are coroutines of one process, with a connection each, and ask one after
another what they are given. What they are answered is compared with the answers to the same requests one at a
time, and the rate with that of the engine in its own batches, in a process without a server, on the same plan
and prompts.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import result_file

CLIENTS, NEW, PROMPTS, BATCH = 100, 64, 50, 50
SETTLED_SECONDS = 10.0
"""After which memory is to be flat: its peak in each span of so many."""
FLAT = 0.02
SHORT_QUEUE = 10
FIRSTS = 20
OWN = """
import json, statistics, sys, tempfile, threading, time
from pathlib import Path
from ullage.engines.engine import Sampling
from ullage.engines.turns import Turns
from ullage.records.folder import RunFolder
from ullage.runtime.opening import Options, open_session
from ullage.serving.made import plans_of

def work():  # in a thread of its own, as a server's models work: nobody counts tensors there
    begun, tokens = None, 0
    while begun is None or time.perf_counter() < begun + seconds:
        for at in range(0, len(chats), size):
            some = chats[at : at + size]
            found = engine.generate(some, Sampling(new), [0] * len(some))
            tokens += sum(len(each.tokens) for each in found) if begun else 0
        begun = begun or time.perf_counter()
    took = time.perf_counter() - begun
    firsts = []
    for chat in chats[:FIRSTS]:
        engine.forget()
        begun = time.perf_counter()
        coming = engine.stream(chat, Sampling(2), 0)
        next(coming)
        firsts.append(time.perf_counter() - begun)
        coming.close()
    print(json.dumps({"tokens": tokens, "seconds": took, "first": statistics.median(firsts)}))

size, new, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
FIRSTS = 20
chats = [({"role": "user", "content": text},) for text in json.loads(Path(sys.argv[2]).read_text())]
plan = plans_of(sys.argv[1], "cpu").roles
folder = tempfile.TemporaryDirectory()
with folder as name, open_session(plan, RunFolder(Path(name)), Options(quiet=True)) as session:
    engine = Turns(session).engine("model")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""


@dataclass
class Seen:
    """What clients were answered."""

    statuses: dict[int, int] = field(default_factory=dict)
    texts: dict[int, set[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    tokens: int = 0
    lost: int = 0
    without_retry: int = 0


class Server:
    """`ullage serve` in a process of its own."""

    def __init__(self, file: Path, *more: str) -> None:
        command = [
            sys.executable,
            "-m",
            "ullage",
            "serve",
            str(file),
            "--port",
            "0",
            "--gpus",
            "cpu",
            "--quiet",
            *more,
        ]
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert "serves at" in line, line
        self.port = int(line.rsplit(":", 1)[1])
        self.started = time.monotonic() - begun

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait()


async def ask(
    port: int, path: str, body: dict[str, Any] | None, kept: list[Any]
) -> tuple[int, dict[str, str], bytes]:
    """One request over the connection in `kept`, which is opened where there is none."""
    if not kept:
        kept += await asyncio.open_connection("127.0.0.1", port)
    reader, writer = kept
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    head += [f"Content-Length: {len(data)}", "", ""]
    writer.write("\r\n".join(head).encode() + data)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    found = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(lines[0].split()[1]), headers, found


def request(text: str) -> dict[str, Any]:
    return {"model": "model", "messages": [{"role": "user", "content": text}], "max_tokens": NEW}


async def client(
    port: int, prompts: list[str], turns: itertools.count[int], until: float, seen: Seen, patient: bool
) -> None:
    kept: list[Any] = []
    while time.monotonic() < until:
        number = next(turns) % len(prompts)
        begun = time.monotonic()
        try:
            status, headers, found = await ask(port, "/v1/chat/completions", request(prompts[number]), kept)
        except (OSError, asyncio.IncompleteReadError):
            seen.lost += 1
            kept.clear()
            continue
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
        if status == 200:
            answer = json.loads(found)
            seen.seconds.append(time.monotonic() - begun)
            seen.tokens += answer["usage"]["completion_tokens"]
            seen.texts.setdefault(number, set()).add(answer["choices"][0]["message"]["content"])
        elif status == 429:
            seen.without_retry += "retry-after" not in headers
            await asyncio.sleep(0.2 if patient else 0)
    if kept:
        kept[1].close()


async def watched(port: int, until: float) -> list[tuple[float, float]]:
    """The server's bytes, once a second."""
    kept: list[Any] = []
    begun, found = time.monotonic(), []
    while time.monotonic() < until:
        _, _, text = await ask(port, "/metrics", None, kept)
        line = next(line for line in text.decode().splitlines() if line.startswith("ullage_process_bytes"))
        found.append((time.monotonic() - begun, float(line.split()[1])))
        await asyncio.sleep(1)
    return found


async def loaded(
    port: int, prompts: list[str], seconds: float, patient: bool
) -> tuple[Seen, list[tuple[float, float]], float]:
    """All clients at once for so many seconds; those that are under way then are waited for."""
    seen, turns, begun = Seen(), itertools.count(), time.monotonic()
    until = begun + seconds
    _, memory = await asyncio.gather(
        asyncio.gather(*(client(port, prompts, turns, until, seen, patient) for _ in range(CLIENTS))),
        watched(port, until),
    )
    return seen, memory, time.monotonic() - begun


async def alone(port: int, prompts: list[str]) -> list[str]:
    """The same requests one at a time."""
    kept: list[Any] = []
    found = []
    for text in prompts:
        status, _, body = await ask(port, "/v1/chat/completions", request(text), kept)
        assert status == 200, body
        found.append(json.loads(body)["choices"][0]["message"]["content"])
    return found


async def streamed(port: int, text: str, new: int) -> tuple[float, list[Any]]:
    """Seconds to the first token of a stream, and its connection."""
    kept: list[Any] = [*await asyncio.open_connection("127.0.0.1", port)]
    reader, writer = kept
    data = json.dumps(request(text) | {"stream": True, "max_tokens": new}).encode()
    head = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    begun = time.perf_counter()
    writer.write("\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode() + data)
    seen = 0
    while seen < 2:  # the first has the speaker alone
        seen += b'"content":"' in await reader.readline()
    return time.perf_counter() - begun, kept


async def firsts(port: int, prompts: list[str]) -> float:
    """The median of seconds to a first token, of a server that does nothing else."""
    found = []
    for text in prompts[:FIRSTS]:
        seconds, kept = await streamed(port, text, 2)
        found.append(seconds)
        kept[1].close()
        await asyncio.sleep(0.05)
    return statistics.median(found)


async def hung_up(port: int, text: str) -> float:
    """Seconds from a hang-up in mid-stream until the role is lent to nobody."""
    _, kept = await streamed(port, text, NEW)
    kept[1].transport.abort()
    begun, other = time.perf_counter(), []
    while True:
        _, _, text_ = await ask(port, "/metrics", None, other)
        if b'ullage_role_leases{role="model"} 0.0' in text_:
            return time.perf_counter() - begun


def endless(folder: Path) -> Path:
    """The bundled model without a token that ends its replies."""
    from ullage.facts.bundled import tiny_path

    made = folder / "tiny"
    shutil.copytree(tiny_path(), made)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        held = json.loads((made / name).read_text())
        held.pop("eos_token_id", None)
        if "eos_token" in held:
            held["eos_token"] = "<|system|>"  # templates want one; this it never writes
        (made / name).write_text(json.dumps(held))
    return made


def own_rate(file: Path, folder: Path, prompts: list[str], seconds: float) -> tuple[float, float]:
    """Tokens a second by the engine in its own batches, and seconds to the first token of its own streams."""
    (folder / "prompts.json").write_text(json.dumps(prompts))
    told = [str(file), str(folder / "prompts.json"), str(BATCH), str(NEW), str(seconds)]
    done = subprocess.run([sys.executable, "-c", OWN, *told], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return found["tokens"] / found["seconds"], found["first"]


async def under_way(server: Server, prompts: list[str], seconds: float) -> None:
    """Clients ask until the server is killed."""
    seen, turns, until = Seen(), itertools.count(), time.monotonic() + 60
    some = [asyncio.ensure_future(client(server.port, prompts, turns, until, seen, True)) for _ in range(8)]
    await asyncio.sleep(seconds)
    server.end(signal.SIGKILL)
    for each in some:
        each.cancel()
    await asyncio.gather(*some, return_exceptions=True)


def killed(file: Path, prompts: list[str], count: int) -> int:
    """After how many of so many kills at random moments the next start served."""
    chance, served = random.Random(0), 0
    server = Server(file)
    for _ in range(count):
        asyncio.run(under_way(server, prompts, chance.uniform(0, 3)))
        server = Server(file)
        served += len(asyncio.run(alone(server.port, prompts[:1])))
    server.end()
    return served


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    made = result_file.start("serve_load")
    os.environ["OMP_NUM_THREADS"] = "1"
    prompts = [
        f"Where is the cat number {number}, and who has {'very ' * (number % 5)}old boats?"
        for number in range(PROMPTS)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "served.json"
        roles = {"model": {"model": str(endless(folder))}}
        file.write_text(
            json.dumps(
                {"kind": "serve", "roles": roles, "batch": BATCH, "prompt_tokens": 64, "new_tokens": NEW}
            )
        )
        own, own_first = own_rate(file, folder, prompts, given.seconds / 4)
        server = Server(file, "--queue", str(2 * CLIENTS))
        by_itself = asyncio.run(alone(server.port, prompts))
        seen, memory, seconds = asyncio.run(loaded(server.port, prompts, given.seconds, True))
        first, freed = (
            asyncio.run(firsts(server.port, prompts)),
            asyncio.run(hung_up(server.port, prompts[0])),
        )
        own_after, _ = own_rate(file, folder, prompts, given.seconds / 4)
        ended = server.end()
        server = Server(file, "--queue", str(SHORT_QUEUE))
        short, _, _ = asyncio.run(loaded(server.port, prompts, given.seconds / 3, True))
        server.end()
        kills = killed(file, prompts, given.kills)
    rate, least = seen.tokens / seconds, (own + own_after) / 2
    peaks: dict[int, float] = {}
    for at, size in memory:  # a batch takes more and more until it ends: its peaks are compared
        span = int(at // SETTLED_SECONDS)
        peaks[span] = max(peaks.get(span, 0.0), size)
    settled = [size for span, size in peaks.items() if 0 < span < given.seconds // SETTLED_SECONDS]
    answered = sum(seen.statuses.values())
    figures = {
        "load": os.getloadavg()[0],
        "clients": CLIENTS,
        "batch": BATCH,
        "new_tokens": NEW,
        "seconds": seconds,
        "statuses": seen.statuses,
        "lost": seen.lost,
        "tokens_per_second": rate,
        "own_tokens_per_second": [own, own_after],
        "of_own": rate / least,
        "first_token_seconds": {"http": first, "own": own_first},
        "freed_after_a_hang_up_seconds": freed,
        "wait_seconds": {
            "median": statistics.median(seen.seconds),
            "p99": statistics.quantiles(seen.seconds, n=100)[98],
        },
        "memory_peaks_bytes": settled,
        "prompts": PROMPTS,
        "answered_otherwise": sum(seen.texts.get(at, {text}) != {text} for at, text in enumerate(by_itself)),
        "ended_with": ended,
        "short_queue": {
            "statuses": short.statuses,
            "lost": short.lost,
            "without_retry_after": short.without_retry,
            "answered_otherwise": sum(
                short.texts.get(at, {text}) != {text} for at, text in enumerate(by_itself)
            ),
        },
        "kills": given.kills,
        "served_after_a_kill": kills,
        "seconds_to_start": server.started,
    }
    made.write(
        figures,
        {
            "99 % are answered 200, and none with 5xx": seen.statuses.get(200, 0) >= 0.99 * answered
            and not any(status >= 500 for status in seen.statuses)
            and not seen.lost,
            "0.8 x the tokens a second of the engine's own batches": rate >= 0.8 * least,
            "memory is flat": max(settled) <= (1 + FLAT) * statistics.median(settled)
            and min(settled) >= (1 - FLAT) * statistics.median(settled),
            "answers are those to the same requests one at a time": not figures["answered_otherwise"]
            and not figures["short_queue"]["answered_otherwise"],
            "a short queue gives 429 with Retry-After, and loses nothing": set(short.statuses) == {200, 429}
            and not short.lost
            and not short.without_retry,
            "the next start serves after every kill": kills == given.kills,
        },
    )


if __name__ == "__main__":
    main()
