"""Situations: files without end or sense, models that ask for too much, and what is said of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unusual_runs import Seen, Way
from unusual_stage import PII, PLAN, RUN, Situation, Stage, one_line, says
from unusual_texts import with_chat

LONG = "n" * 100_000
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
ROW = "{% for i in range(99999) %}" + "x" * 600 + "{% endfor %}"
DOUBLES = (
    "{% set n = namespace(x='word ' * 1000) %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
    "{{ n.x }}"
)
TIMES = "{{ 'word ' * 3000000000 }}"
POWER = "{{ 10 ** 10 ** 9 }}"
ZERO = "{{ 1 // 0 }}"
UNFINISHED = "{% for m in messages %}"
UNKNOWN = "{{ messages[0].no.such.thing }}"
NUMBER = "{{ messages[0] + 1 }}"
FRESH = Way(fresh=True)
ON_FILES = ("plan", "run", "check", "gpus", "models", "estimate", "verify", "report", "analyse")


def situations() -> Iterator[Situation]:
    for kind in RUN:
        yield from _templates(kind)
        yield from _tokenizers(kind)
        yield from _generation(kind)
        yield from _endless(kind)
    yield from _planned()
    yield from _long_names()
    yield from _ids()


def _refused(seen: Seen, *words: str) -> str:
    return one_line(seen, *words)


def _templates(kind: str) -> Iterator[Situation]:
    cases = {
        "loops": LOOPS,
        "writes 60 MB": ROW,
        "doubles its text": DOUBLES,
        "multiplies its text": TIMES,
        "raises to a power": POWER,
        "divides by zero": ZERO,
        "does not end": UNFINISHED,
        "asks for what is not there": UNKNOWN,
        "adds a number to a message": NUMBER,
    }
    for name, template in cases.items():

        def attempt(stage: Stage, template: str = template) -> tuple[Seen, str]:
            model = stage.model(lambda folder: (folder / "chat_template.jinja").write_text(template))
            seen = stage.ullage("run", with_chat(stage, kind, model), "--out", "out", "--quiet")
            return seen, _refused(seen, "template")

        yield Situation(f"a chat template {name}", kind, "one line", attempt, (2,))


def _changed(name: str, act: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes one JSON file of a model."""

    def change(folder: Path) -> None:
        place = folder / name
        body = json.loads(place.read_text()) if place.exists() else {}
        act(body)
        place.write_text(json.dumps(body))

    return change


def _replaces(pattern: object, content: str) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _tokenizers(kind: str) -> Iterator[Situation]:
    chain = [_replaces({"String": "e"}, "eeee") for _ in range(16)]
    cases: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
        "whose normalizer grows": (
            _changed(
                "tokenizer.json", lambda body: body.update(normalizer=_replaces({"String": "e"}, "e" * 10**7))
            ),
            ("tokenizer", "normalizer"),
        ),
        "whose normalizers grow by turns": (
            _changed(
                "tokenizer.json",
                lambda body: body.update(normalizer={"type": "Sequence", "normalizers": chain}),
            ),
            ("tokenizer", "normalizer"),
        ),
        "with a broken pattern": (
            _changed(
                "tokenizer.json", lambda body: body.update(normalizer=_replaces({"Regex": "(unclosed"}, " "))
            ),
            ("tokenizer",),
        ),
        "cut short": (lambda folder: _cut(folder / "tokenizer.json"), ("tokenizer",)),
        "that is empty": (lambda folder: _empty(folder / "tokenizer.json"), ("tokenizer",)),
        "that is a list": (lambda folder: _list(folder / "tokenizer.json"), ("tokenizer",)),
        "without end": (lambda folder: _zero(folder / "tokenizer.json"), ("tokenizer.json",)),
        "that needs code": (_needs_code, ("trust_remote_code",)),
        "that is another model's": (_larger, ("tokenizer",)),
        "that is not there": (_without, ("tokenizer",)),
    }
    for name, (change, words) in cases.items():

        def attempt(
            stage: Stage, change: Callable[[Path], None] = change, words: tuple[str, ...] = words
        ) -> tuple[Seen, str]:
            model = stage.model(change)
            field = {"text_field": "question"} if kind == "extract" else {}
            work = stage.workload(kind, model=model, **field)
            seen = stage.ullage("run", work, "--out", "out", "--quiet")
            untrue = "has no tokenizer" in seen.err and change is not _without
            return seen, _refused(seen, *words) or ("says that there is none" if untrue else "")

        yield Situation(f"a tokenizer {name}", kind, "one line, true", attempt, (2,))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_text("")


def _list(path: Path) -> None:
    path.write_text("[]")


def _zero(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def _without(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def _needs_code(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    config = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('code of a stranger was run')\n")


def _larger(folder: Path) -> None:
    """Every word has an id that the model has no row for."""

    def act(body: dict[str, Any]) -> None:
        vocabulary = body["model"]["vocab"]
        body["model"]["vocab"] = {word: number + 10**6 for word, number in vocabulary.items()}
        body["added_tokens"] = []
        body["post_processor"] = None

    _changed("tokenizer.json", act)(folder)


def _generation(kind: str) -> Iterator[Situation]:
    """What a model's generation_config asks for is done by no kind, and said."""
    cases: dict[str, dict[str, Any]] = {
        "beams": {"num_beams": 4},
        "several sequences": {"num_return_sequences": 3, "do_sample": True},
        "a repetition penalty": {"repetition_penalty": 1.7},
        "suppressed tokens": {"suppress_tokens": list(range(3, 40))},
        "a minimum length": {"min_new_tokens": 40},
        "sampling": {"do_sample": True, "temperature": 2.0, "top_k": 3},
    }
    for name, asked in cases.items():

        def attempt(stage: Stage, asked: dict[str, Any] = asked) -> tuple[Seen, str]:
            plain = stage.run(kind)
            whole = stage.results(kind)
            model = stage.model(_changed("generation_config.json", lambda body: body.update(asked)))
            work = stage.workload(kind, model=model)
            seen = stage.ullage("run", work, "--out", "again", "--quiet")
            wrong = plain.wrong((0,)) or seen.wrong((0,)) or stage.lost(kind, "again")
            if not wrong and _texts(kind, whole) != _texts(kind, stage.results(kind, "again")):
                wrong = "obeyed in silence"
            told = stage.ullage("plan", work, way=FRESH)
            said = " ".join(told.out.split())
            missing = kind != "pii" and next((key for key in asked if key not in said), "")
            return seen, wrong or (f"the plan does not say {missing}" if missing else "")

        yield Situation(f"generation_config asks for {name}", kind, "not done, and the plan says so", attempt)

    def broken(text: str) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            model = stage.model(lambda folder: (folder / "generation_config.json").write_text(text))
            seen = stage.run(kind, model=model)
            return seen, one_line(seen, "generation_config") if seen.code else stage.lost(kind)

        return attempt

    yield Situation("generation_config is no JSON", kind, "one line", broken('{"eos'), (2,))
    yield Situation("generation_config is a list", kind, "one line", broken("[1]"), (2,))

    def endless(stage: Stage) -> tuple[Seen, str]:
        model = stage.model(lambda folder: _zero(folder / "generation_config.json"))
        seen = stage.run(kind, model=model)
        return seen, one_line(seen, "generation_config")

    yield Situation("generation_config has no end", kind, "one line", endless, (2,))


def _texts(kind: str, results: dict[str, bytes]) -> object:
    """Results without the model's name, which differs."""
    if kind == "extract":
        return {name: data for name, data in results.items() if name.endswith(".safetensors")}
    return [data.replace(b"ullage:tiny", b"").replace(b"./model", b"") for data in results.values()]


def _endless(kind: str) -> Iterator[Situation]:
    def at(prepare: Callable[[Stage], None], **changes: Any) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            prepare(stage)
            seen = stage.run(kind, **changes)
            return seen, one_line(seen)

        return attempt

    for name in ("config.json", "model.safetensors"):

        def linked(stage: Stage, name: str = name) -> tuple[Seen, str]:
            model = stage.model(lambda folder: _zero(folder / name))
            seen = stage.run(kind, model=model)
            return seen, one_line(seen, name)

        yield Situation(f"{name} is /dev/zero", kind, "one line", linked, (2,))

    endings = {
        "extract": ("jsonl", "txt"),
        "evaluate": ("jsonl", "json", "csv", "parquet"),
        "pii": ("jsonl", "gz"),
    }
    for ending in endings[kind]:

        def link(stage: Stage, ending: str = ending) -> None:
            (stage.folder / f"endless.{ending}").symlink_to("/dev/zero")

        yield Situation(
            f"an input, .{ending}, is /dev/zero", kind, "one line", at(link, input=f"endless.{ending}"), (2,)
        )

    def manifest(stage: Stage) -> tuple[Seen, str]:
        stage.run(kind)
        _zero(stage.folder / "out" / "manifest.json")
        seen = stage.ullage("verify", "out", way=FRESH)
        return seen, one_line(seen, "manifest.json")

    yield Situation("a run's manifest is /dev/zero", kind, "one line", manifest, (2,))

    def journal(stage: Stage) -> tuple[Seen, str]:
        stage.run(kind)
        (stage.folder / "out" / "record.json").unlink()
        _zero(stage.folder / "out" / "journal.jsonl")
        seen = stage.ullage("run", "--resume", "out", "--quiet")
        return seen, one_line(seen, "journal.jsonl")

    yield Situation("a run's journal is /dev/zero", kind, "one line", journal, (2,))


def _planned() -> Iterator[Situation]:
    def plan(*arguments: str) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            stage.workload("extract")
            seen = stage.ullage(*arguments, way=FRESH)
            return seen, one_line(seen)

        return attempt

    for command in (*ON_FILES, "run --resume", "run work.json --out", "pii calibrate --out c", "pii compare"):
        arguments = (*command.split(), "/dev/zero")
        yield Situation(" ".join(arguments), PLAN, "one line", plan(*arguments), (2,))

    def pii(option: str) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            stage.workload("pii")
            given = ("--model-path", "ullage:tiny", "--input", "data.jsonl", "--output", "out.jsonl", *PII)
            seen = stage.ullage("pii", *given, option, "/dev/zero", "--quiet")
            return seen, one_line(seen)

        return attempt

    for option in ("--calibration", "--types-file", "--output", "--input"):
        yield Situation(f"ullage pii {option} /dev/zero", "pii", "one line", pii(option), (2,))

    def script(stage: Stage) -> tuple[Seen, str]:
        (stage.folder / "script.jsonl").symlink_to("/dev/zero")
        roles = {"verifier": {"model": "script.jsonl", "engine": "scripted"}}
        seen = stage.run("pii", roles=roles)
        return seen, one_line(seen, "script")

    yield Situation("a script of answers is /dev/zero", "pii", "one line", script, (2,))

    def roles(count: int) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            many = {f"r{number}": {"model": "ullage:tiny"} for number in range(count)}
            body = {"kind": "assistant", "roles": many, "budget": {"gpus": "cpu"}}
            (stage.folder / "many.json").write_text(json.dumps(body))
            seen = stage.ullage("plan", "many.json", way=FRESH)
            lines = seen.err.splitlines()
            return seen, "" if len(lines) <= 60 else f"{len(lines)} lines"

        return attempt

    yield Situation("5,000 roles", PLAN, "at most a page of lines", roles(5000), (0, 2, 3))

    def gguf(count: int, texts: bool = False) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            (stage.folder / "m.gguf").write_bytes(_nested(count, texts))
            seen = stage.ullage("estimate", "./m.gguf", "--gpus", "cpu", way=FRESH)
            return seen, one_line(seen, "m.gguf")

        return attempt

    yield Situation("GGUF with 10^7 nested arrays", PLAN, "one line", gguf(10**7), (2,), large=True)
    yield Situation("GGUF with 10^7 texts", PLAN, "one line", gguf(10**7, texts=True), (2,), large=True)


def _nested(count: int, texts: bool = False) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9)
    if texts:
        return head + struct.pack("<IQ", 8, count) + struct.pack("<Q", 0) * count
    return head + struct.pack("<IQ", 9, count) + struct.pack("<IQ", 4, 0) * count


def _long_names() -> Iterator[Situation]:
    def plan(*more: str, **changes: Any) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            seen = stage.ullage("plan", stage.workload("extract", **changes), *more, way=FRESH)
            return seen, one_line(seen) if seen.code == 2 else ""

        return attempt

    names = {
        "a workload": plan(name=LONG),
        "a model": plan(roles={"model": {"model": LONG}}),
        "a role": plan(roles={LONG: {"model": "ullage:tiny"}}),
        "a key": plan(memory={LONG: 1}),
        "GPUs": plan("--gpus", LONG),
        "--set": plan("--set", f"{LONG}=1"),
        "a site": plan(captures=[{"sites": [LONG]}]),
    }
    for name, attempt in names.items():
        yield Situation(f"100,000 characters: {name}", PLAN, "one line, or done", attempt, (0, 2))
    for kind in RUN:
        yield from _long_names_of(kind)


def _long_names_of(kind: str) -> Iterator[Situation]:
    for name, changes in {"an input": {"input": LONG}, "a field": _field(kind)}.items():
        # Where no line of pii's input is understood, one tells of the file and one of its first line.
        mistakes = 2 if kind == "pii" and name == "a field" else 1

        def run(
            stage: Stage, changes: dict[str, Any] = changes, mistakes: int = mistakes
        ) -> tuple[Seen, str]:
            seen = stage.run(kind, **changes)
            return seen, one_line(seen, mistakes=mistakes) if seen.code else ""

        yield Situation(f"100,000 characters: {name}", kind, "one line, or done", run, (0, 2))

    def out(stage: Stage) -> tuple[Seen, str]:
        seen = stage.ullage("run", stage.workload(kind), "--out", LONG)
        return seen, one_line(seen)

    yield Situation("100,000 characters: a run's folder", kind, "one line", out, (2,))

    def ids(stage: Stage) -> tuple[Seen, str]:
        work = stage.workload(kind)
        rows = [json.loads(line) for line in (stage.folder / "data.jsonl").read_text().splitlines()]
        rows[0]["id"] = LONG
        (stage.folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        seen = stage.ullage("run", work, "--out", "out")
        return seen, stage.lost(kind) if seen.code == 0 else ""

    yield Situation("100,000 characters: an id", kind, "done, or one line", ids, (0, 2))


def _field(kind: str) -> dict[str, Any]:
    return {
        "extract": {"text_field": LONG},
        "evaluate": {"fields": {"references": LONG}},
        "pii": {"fields": {"text": LONG}},
    }[kind]


def _ids() -> Iterator[Situation]:
    for name, tokens in {
        "beyond the embedding": [1, 10**6],
        "below zero": [-1],
        "of 4,000 digits": [10**4000],
    }.items():

        def attempt(stage: Stage, tokens: list[int] = tokens) -> tuple[Seen, str]:
            work = stage.workload("extract")
            (stage.folder / "data.jsonl").write_text(json.dumps({"id": "a", "tokens": tokens}) + "\n")
            seen = stage.ullage("run", work, "--out", "out", "--quiet")
            return seen, says(seen, "tokens") or one_line(seen)

        yield Situation(f"token ids {name}", "extract", "one line", attempt, (2,))
