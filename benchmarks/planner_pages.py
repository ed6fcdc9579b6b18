"""The page of a file, in the test's own process or behind a socket."""

import contextlib
import threading
from pathlib import Path

from starlette.testclient import TestClient

from ullage.ui.answers import answer
from ullage.ui.server import Listening, application, listen
from ullage.ui.source import read_source

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


class Here:
    """Answers as a worker does, without its process."""

    def __init__(self, source):
        self.source = source

    async def answer(self, asked):
        return answer(self.source, asked)

    async def advice(self, asked, gone):
        return answer(self.source, asked)


def page_of(file, **listening):
    """A client of the page of a file."""
    app = application(Here(read_source(None if file is None else str(file))), Listening(**listening))
    return TestClient(app, base_url="http://127.0.0.1:8322", follow_redirects=False)


@contextlib.contextmanager
def serving(file, **listening):
    """The address of a page that is served until the block ends."""
    begun, held, problems = threading.Event(), [], []

    def ready(address, stop):
        held.extend((address, stop))
        begun.set()

    def work():
        try:
            listen(None if file is None else str(file), Listening(port=0, **listening), ready)
        except BaseException as error:
            problems.append(error)
        finally:
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        if held:
            yield held[0]
    finally:
        if held:
            held[1]()
        thread.join()
    if problems:
        raise problems[0]
