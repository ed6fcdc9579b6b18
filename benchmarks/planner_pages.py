"""The page of a file, in the test's own process or behind a socket."""

from pathlib import Path

from starlette.testclient import TestClient
from threaded import threaded

from ullage.ui.answers import answer
from ullage.ui.server import Listening, application, listen
from ullage.ui.source import read_source

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


class Here:
    """Answers as a worker does, without its process."""

    def __init__(self, source):
        self.source = source

    async def answer(self, asked, gone):
        return answer(self.source, asked)


def page_of(file, **listening):
    """A client of the page of a file."""
    app = application(Here(read_source(None if file is None else str(file))), Listening(**listening))
    return TestClient(app, base_url="http://127.0.0.1:8322", follow_redirects=False)


def serving(file, **listening):
    """The address of a page that is served until the block ends."""
    at = Listening(port=0, **listening)
    return threaded(lambda ready: listen(None if file is None else str(file), at, ready))


def made_run(folder, title=""):
    """A finished run of one model, with its memory over time."""
    import ullage
    from ullage.planning.document import plan_document
    from ullage.records.folder import RunFolder
    from ullage.records.manifest import Manifest
    from ullage.records.notes import Notes
    from ullage.records.record import Environment, Measured, Record

    file = {
        "kind": "extract",
        "name": title,
        "budget": {"gpus": "A100-80GB"},
        "roles": {"model": {"model": "Qwen/Qwen2.5-7B-Instruct"}},
    }
    plan = ullage.plan(file, advice=False)
    where = Environment("A100", "590", "2.11", "5.17", "3.11", "0.1.0")
    measured = (Measured("model prefill", "gpu:0", 10**10, 2 * 10**10, None, None, 1.0, {"weights": 10**10}),)
    folder.mkdir(parents=True)
    notes = Notes(folder / "timeline.jsonl", print)
    for at in range(50):
        row = {"seconds": at / 4, "phase": "model prefill", "device": "gpu:0", "live": 10**9 * (10 + at % 7)}
        notes.add(row)
    held = RunFolder(folder)
    held.write_manifest(Manifest(".", (), where, plan_document(plan)))
    held.write_record(Record(where, measured, 10, 1, 12.5, 0))
    return held
