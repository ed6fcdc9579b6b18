"""Situations: texts that would write on the terminal, and secrets that would be written down."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from unusual_runs import RAW, Seen, Way, on_a_terminal
from unusual_stage import BODIES, PLAN, RUN, SYSTEM, Situation, Stage, one_line

ENDED = (0, 1, 2)
"""Done, done with more failed than the file allows, or refused; each of them is told."""
EVIL = "a\x1b[2J\x1b]0;owned\x07\r\nullage: error: all is well\u202e\u2028\x9b1mb"
"""Clears a screen, names a window, forges a line, turns round what is read."""
FORGED = "ullage: error: all is well"
ADDRESS = "http://127.0.0.1:{port}/v1"
SECRET = "correct-horse-battery-staple"
KEY = "sk-0123456789abcdefghijklmnop"
HASH_KEY = "a-hash-key-of-many-bytes-0123456"


def situations() -> Iterator[Situation]:
    yield from _names()
    for kind in RUN:
        yield from _data(kind)
        yield from _templates(kind)
    yield from _pages()
    yield from _servers()
    yield from _secrets()


def _forged(seen: Seen) -> str:
    lines = [line for line in seen.said.splitlines() if line.strip().startswith(FORGED)]
    return "a line of ours is forged" if lines or RAW.search(seen.said) else ""


def _plain(name: str, kind: str, act: Callable[[Stage], Seen], codes: tuple[int, ...] = (2,)) -> Situation:
    def attempt(stage: Stage) -> tuple[Seen, str]:
        seen = act(stage)
        return seen, _forged(seen)

    return Situation(name, kind, "shown escaped", attempt, codes)


def _planned(stage: Stage, *arguments: str, command: str = "plan", **changes: Any) -> Seen:
    work = stage.workload("extract", **changes)
    return stage.ullage(command, work, *arguments, way=Way(fresh=True))


def _names() -> Iterator[Situation]:
    fresh = Way(fresh=True)

    def asked(*arguments: str) -> Callable[[Stage], Seen]:
        return lambda stage: stage.ullage(*arguments, way=fresh)

    yield _plain("a workload's name", PLAN, lambda stage: _planned(stage, name=EVIL), (0, 2))
    yield _plain("a model's name", PLAN, lambda stage: _planned(stage, roles={"model": {"model": EVIL}}))
    yield _plain(
        "a role's name", PLAN, lambda stage: _planned(stage, roles={EVIL: {"model": "ullage:tiny"}}), (0, 2)
    )
    yield _plain("a key of the file", PLAN, lambda stage: _planned(stage, memory={EVIL: 1}))
    yield _plain("--set", PLAN, lambda stage: _planned(stage, "--set", f"roles.{EVIL}=1"))
    yield _plain(
        "--set, a value", PLAN, lambda stage: _planned(stage, "--set", f"name={json.dumps(EVIL)}"), (0, 2)
    )
    yield _plain("a sweep", PLAN, lambda stage: _planned(stage, "--sweep", f"name={EVIL},b"), (0, 2))
    yield _plain("GPUs", PLAN, lambda stage: _planned(stage, "--gpus", EVIL))
    yield _plain("an option", PLAN, asked("plan", f"--{EVIL}"))
    yield _plain("a command", PLAN, asked(EVIL))
    yield _plain("a model that is asked for", PLAN, asked("models", EVIL))
    yield _plain("a file that is not there", PLAN, asked("plan", EVIL))
    yield _plain("a run that is not there", PLAN, asked("verify", EVIL))

    def named(stage: Stage) -> Seen:
        stage.workload("extract")
        (stage.folder / EVIL.replace("/", "")).mkdir()
        (stage.folder / "work.json").rename(stage.folder / EVIL.replace("/", "") / "w.json")
        (stage.folder / "data.jsonl").rename(stage.folder / EVIL.replace("/", "") / "data.jsonl")
        return stage.ullage("run", f"{EVIL.replace('/', '')}/w.json", "--out", f"out{EVIL}".replace("/", ""))

    yield _plain("folders of a run", "extract", named, (0,))

    def terminal(stage: Stage) -> tuple[Seen, str]:
        work = stage.workload("extract", name=EVIL, roles={"model": {"model": "./" + _evil_folder(stage)}})
        seen = on_a_terminal(stage.folder, "plan", work)
        raw = [code for code in ("\x1b[2J", "\x1b]0", "\x07", "\u202e", "\u2028", "\x9b") if code in seen.out]
        plain = seen.out.replace("\r", "\n")
        forged = any(line.strip().startswith(FORGED) for line in plain.splitlines())
        return Seen(seen.code, "", ""), f"reaches the screen: {raw}" if raw else "forged" if forged else ""

    yield Situation("a plan on a terminal, in colour", PLAN, "shown escaped", terminal)

    def bytes_name(stage: Stage) -> Seen:
        name = os.fsdecode(b"w\xff\xfe.json")
        stage.workload("extract")
        (stage.folder / "work.json").rename(stage.folder / name)
        return stage.ullage("run", name, "--out", os.fsdecode(b"out\xff"), "--quiet")

    yield _plain("file names that are not UTF-8", "extract", bytes_name, (0,))

    def mistaken(stage: Stage) -> Seen:
        (stage.folder / os.fsdecode(b"w\xff.json")).write_text('{"kind": "extrac"}')
        return stage.ullage("plan", os.fsdecode(b"w\xff.json"), way=fresh)

    yield _plain("a mistake in a file whose name is not UTF-8", PLAN, mistaken)


def _evil_folder(stage: Stage) -> str:
    stage.model(lambda folder: None)
    name = EVIL.replace("/", "")
    (stage.folder / "model").rename(stage.folder / name)
    return name


def _rewritten(stage: Stage, kind: str, change: Callable[[dict[str, Any]], None], **changes: Any) -> str:
    work = stage.workload(kind, **changes)
    data = stage.folder / "data.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    for row in rows[1:2]:
        change(row)
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return work


def _data(kind: str) -> Iterator[Situation]:
    def told(act: Callable[[dict[str, Any]], None], **changes: Any) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            work = _rewritten(stage, kind, act, **changes)
            seen = stage.ullage("run", work, "--out", "out")
            wrong = _forged(seen) or (
                "" if seen.code else stage.lost(kind) or _raw_pages(stage.folder / "out")
            )
            return seen, wrong

        return attempt

    def change(**fields: Any) -> Callable[[dict[str, Any]], None]:
        return lambda row: row.update(fields)

    text = "text" if kind == "pii" else "question"
    field = {"text_field": "question"} if kind == "extract" else {}
    yield Situation("an id", kind, "escaped", told(change(id=EVIL), **field), ENDED)
    yield Situation(
        "an id in an error", kind, "escaped", told(change(id=EVIL, **{text: ["x"]}), **field), ENDED
    )
    yield Situation(
        "an id that is too long for its error", kind, "escaped",
        told(change(id=EVIL + "i" * 100_000, **{text: "word " * 3000}), **field), ENDED,
    )  # fmt: skip
    yield Situation(
        "half a character in an id", kind, "done, or one line", told(change(id="\ud800"), **field), ENDED
    )
    yield Situation(
        "half a character in a text", kind, "done, or one line",
        told(change(**{text: "half \ud800 of it", "candidates": []}), **field), ENDED,
    )  # fmt: skip
    yield Situation(
        "a field's name", kind, "escaped", told(lambda row: (row.pop(text), row.update({EVIL: 1}))), ENDED
    )


def _raw_pages(folder: Path) -> str:
    """Whether a page shows characters that turn round or hide what is read."""
    for page in folder.glob("*.html"):
        if RAW.search(page.read_text()):
            return f"{page.name} has control characters"
    return ""


def _templates(kind: str) -> Iterator[Situation]:
    chat = {"text_field": "text"}

    def refused(stage: Stage) -> Seen:
        template = "{{ raise_exception(" + json.dumps(EVIL) + ") }}"
        model = stage.model(lambda folder: (folder / "chat_template.jinja").write_text(template))
        return stage.ullage("run", with_chat(stage, kind, model, **chat), "--out", "out")

    yield _plain("what a chat template says", kind, refused)


def with_chat(stage: Stage, kind: str, model: str, **_: Any) -> str:
    """A workload of `kind` whose prompts are chats, with `model`."""
    work = stage.workload(kind, model=model)
    body = json.loads((stage.folder / work).read_text())
    if kind == "extract":
        rows = [{"id": str(i), "messages": [{"role": "user", "content": f"number {i}"}]} for i in range(4)]
        (stage.folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "evaluate":
        body["evaluate"]["chat"] = True
    (stage.folder / work).write_text(json.dumps(body))
    return work


def _pages() -> Iterator[Situation]:
    def labels(stage: Stage) -> Seen:
        types = {"x": {"phone": {"label": EVIL, "is": "a phone", "sensitivity": "personal"}}}
        (stage.folder / "types.yaml").write_text(json.dumps(types))
        work = _rewritten(stage, "pii", lambda row: None, types="types.yaml", system=SYSTEM)
        return stage.ullage("run", work, "--out", "out")

    yield _plain("a type's label", "pii", labels, ENDED)

    def changed(stage: Stage) -> Seen:
        stage.run("evaluate")
        record = stage.folder / "out" / "record.json"
        body = json.loads(record.read_text())
        for one in body["measured"]:
            one["phase"] += EVIL
        record.write_text(json.dumps(body))
        return stage.ullage("verify", "out", way=Way(fresh=True))

    yield _plain("phases of a record that was changed", "evaluate", changed, (0, 2, 3))


class _Answers(BaseHTTPRequestHandler):
    """A server whose words are hostile, and which repeats the key it was given."""

    status = 400

    def do_POST(self) -> None:
        said = f"{EVIL} {self.headers.get('Authorization')}"
        body = json.dumps({"error": {"message": said, "type": said}}).encode()
        if self.status == 200:
            choice = {"message": {"role": said, "content": said}, "finish_reason": said}
            whole = {"choices": [choice], "object": said, "id": said, "model": said, "created": 1}
            body = json.dumps(whole).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


def _served(stage: Stage, kind: str, status: int, address: str = ADDRESS, **more: Any) -> Seen:
    handler = type("Handler", (_Answers,), {"status": status})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base_url = address.format(port=server.server_port)
    settings = {"base_url": base_url, "key_env": "SERVERS_KEY", "retries": 0, **more}
    remote = {"model": "m", "engine": "openai", "openai": settings}
    roles = dict.fromkeys(BODIES[kind]("x")["roles"], remote)
    work = stage.workload(kind, roles=roles)
    body = json.loads((stage.folder / work).read_text())
    body["evaluate"]["judge_by"] = "text"
    (stage.folder / work).write_text(json.dumps(body))
    try:
        return stage.ullage("run", work, "--out", "out", way=Way({"SERVERS_KEY": KEY}))
    finally:
        server.shutdown()


def _kept(folder: Path, *secrets: str) -> str:
    """The file that holds one of the secrets."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("work.json",):
            text = path.read_bytes()
            if any(secret.encode() in text for secret in secrets):
                return f"a secret is written into {path.relative_to(folder)}"
    return ""


def _servers() -> Iterator[Situation]:
    for status in (400, 401, 500, 200):

        def words(stage: Stage, status: int = status) -> tuple[Seen, str]:
            seen = _served(stage, "evaluate", status)
            return seen, _forged(seen) or ("" if status == 200 else _kept(stage.folder, KEY))

        yield Situation(
            f"a server's words, status {status}", "evaluate", "escaped, the key kept secret", words, ENDED
        )


def _secrets() -> Iterator[Situation]:
    address = f"http://me:{SECRET}@127.0.0.1:{{port}}/v1"

    def kept(act: Callable[[Stage], Seen], *secrets: str) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            seen = act(stage)
            shown = any(secret in seen.said for secret in secrets)
            return seen, "a secret is shown" if shown else _kept(stage.folder, *secrets)

        return attempt

    def plan(stage: Stage, *more: str) -> Seen:
        role = {"model": "m", "engine": "openai", "openai": {"base_url": address.format(port=1)}}
        roles = {"generator": role, "judge": role}
        return stage.ullage("plan", stage.workload("evaluate", roles=roles), *more, way=Way(fresh=True))

    expected = "refused or kept secret"
    yield Situation("a password in a URL", PLAN, expected, kept(plan, SECRET), (0, 2))
    yield Situation(
        "a password in a URL, --json", PLAN, expected, kept(lambda s: plan(s, "--json"), SECRET), (0, 2)
    )
    yield Situation(
        "a password in a URL", "evaluate", expected,
        kept(lambda stage: _served(stage, "evaluate", 401, address), SECRET), ENDED,
    )  # fmt: skip
    yield Situation(
        "a token in a URL", "evaluate", expected,
        kept(lambda stage: _served(stage, "evaluate", 500, f"{ADDRESS}?api_key={SECRET}"), SECRET),
        (0, 2),
    )  # fmt: skip

    def as_model(kind: str) -> Callable[[Stage], Seen]:
        return lambda stage: stage.run(kind, model=f"https://me:{SECRET}@hub.example/m")

    def as_input(kind: str) -> Callable[[Stage], Seen]:
        return lambda stage: stage.run(kind, input=f"https://me:{SECRET}@files.example/data.jsonl")

    for kind in RUN:
        yield Situation(
            "a URL with a password for a model", kind, expected, kept(as_model(kind), SECRET), (2,)
        )
        yield Situation(
            "a URL with a password for an input", kind, expected, kept(as_input(kind), SECRET), (2,)
        )

    def hashed(key: str) -> Callable[[Stage], Seen]:
        return lambda stage: stage.run("pii", Way({"ULLAGE_HASH_KEY": key}), redact="hash")

    yield Situation("a hash key", "pii", "kept secret", kept(hashed(HASH_KEY), HASH_KEY))

    def short(stage: Stage) -> tuple[Seen, str]:
        seen = hashed("fifteen-bytes--")(stage)
        return seen, one_line(seen, "ULLAGE_HASH_KEY", "16") or ("shown" if "fifteen" in seen.said else "")

    yield Situation("a hash key of 15 bytes", "pii", "refused", short, (2,))

    def hub(stage: Stage) -> Seen:
        way = Way(
            {
                "HF_TOKEN": "hf_" + SECRET,
                "HF_HUB_OFFLINE": "0",
                "HF_ENDPOINT": f"http://me:{SECRET}@127.0.0.1:9",
            }
        )
        return stage.ullage(
            "extract",
            "--model",
            "nobody/nothing",
            "--input",
            "data.jsonl",
            "--sites",
            "ln_final",
            "--download",
            way=way,
        )

    def with_data(stage: Stage) -> Seen:
        stage.workload("extract")
        return hub(stage)

    yield Situation("a token for the hub", "extract", "kept secret", kept(with_data, SECRET), (2,))
