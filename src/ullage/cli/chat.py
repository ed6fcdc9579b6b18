"""`ullage chat`: talk with a model, token by token, as probes read it."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ullage.errors import InputError, OutOfMemoryError
from ullage.reports.options import takes
from ullage.reports.terminal import Download, Offline, Quiet, Seed, Where

if TYPE_CHECKING:
    from ullage.cli.replies import Screen
    from ullage.workloads.kind import Talk
    from ullage.workloads.said import Talking

ASKING: Final = "> "
RESET, EXIT = "/reset", "/exit"
HELP: Final = f"{RESET} forgets what was said, {EXIT} or Ctrl-D ends, Ctrl-C stops a reply"
COMMAND: Final = re.compile(r"/[a-z]+")
"""What a turn begins with that is meant for the talk and not for the model; /usr/bin is not."""

Probes = Annotated[
    list[str] | None, typer.Option("--probe", metavar="FOLDER", help="Reads every token; may be repeated.")
]


def _said(
    system: Annotated[str | None, typer.Option(help="What stands before the talk.")] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(help="Of conversation that are planned for; default 2048, or the file's.")
    ] = None,
    new_tokens: Annotated[
        int | None, typer.Option(help="Of a reply, at most; default 256, or the file's.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Of the likeliest tokens that come to it one is drawn.")] = 1.0,
    seed: Seed = 0,
    precision: Annotated[str | None, typer.Option(help="Default auto, or the file's.")] = None,
) -> dict[str, Any]:
    return dict(locals())


@takes("said", _said)
def chat(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_FILE", help="A folder, hub name, ullage:tiny, .gguf; or a workload file."
        ),
    ],
    probe: Probes = None,
    *,
    said: dict[str, Any],
    numbers: Annotated[bool, typer.Option("--numbers", help="Write each token's scores after it.")] = False,
    gpus: Where = None,
    download: Download = False,
    offline: Offline = False,
    quiet: Quiet = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each reply.")] = False,
) -> None:
    """Talk with a model; with probes each token is coloured by its score. Lines of a pipe are turns too."""
    from ullage import api
    from ullage.cli.replies import screen_for

    settings = ("system", "prompt_tokens", "new_tokens", "temperature", "precision")
    given = {"--probe": probe} | {f"--{name.replace('_', '-')}": said[name] for name in settings}
    with api.talk(model, gpus=gpus, download=download, quiet=quiet) as whole:
        if whole is not None:
            _with_a_whole(whole, [name for name, value in given.items() if value], json)
            return
    with (
        api.chat(model, probe or (), gpus=gpus, download=download, quiet=quiet, **said) as talk,
        _interrupts_are_stops(),
    ):
        converse(talk, screen_for(talk.cards, json, numbers), sys.stdin.isatty() and not json)


def converse(talk: Talking, screen: Screen, at_terminal: bool) -> None:
    """Reads turns and shows replies until there are no more. At a terminal a turn that cannot be answered is
    said and the talk goes on; elsewhere it raises InputError or OutOfMemoryError."""
    if at_terminal:
        screen.begin(HELP)
    for text in _turns(talk.reset, at_terminal, HELP):
        try:
            _answer(talk, screen, text)
        except (InputError, OutOfMemoryError) as error:
            if not at_terminal:
                raise
            screen.refused(str(error))


def _with_a_whole(talk: Talk, given: list[str], json: bool) -> None:
    if given:
        raise InputError(f"{', '.join(given)}: the file says it for each of its roles; change it there")
    with _interrupts_are_stops():
        take_turns(talk, json, sys.stdin.isatty() and not json)


def take_turns(talk: Talk, json: bool, at_terminal: bool) -> None:
    """As `converse`, with a whole workload: each turn's lines, or a line of JSON."""
    from json import dumps

    from ullage.text import visible

    help = f"{HELP}; {talk.help}"
    if at_terminal:
        print(f"({help})", file=sys.stderr)
    for text in _turns(talk.reset, at_terminal, help):
        try:
            turn = talk.say(text)
        except StoppedError:
            continue
        except (InputError, OutOfMemoryError) as error:
            if not at_terminal:
                raise
            print(error, file=sys.stderr)
            continue
        shown = [dumps(turn.row, ensure_ascii=False)] if json else [*map(visible, turn.lines)]
        print("\n".join(shown), flush=True)


def _turns(reset: Callable[[], None], at_terminal: bool, help: str) -> Iterator[str]:
    """What is to be answered, until there is no more or EXIT; RESET is done on the way. A command that `help`
    does not tell of is told what there is."""
    if at_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives `input` a line that can be edited
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a line that is no text is told, and ends nothing
    known = COMMAND.findall(help)
    for text in _typed() if at_terminal else _piped():
        said = text.strip()
        command = said.partition(" ")[0]
        if said == EXIT:
            return
        if said == RESET:
            reset()
        elif COMMAND.fullmatch(command) and command not in known:
            print(f"{command} is no command here: {help}", file=sys.stderr)
        elif said:
            yield text


def _answer(talk: Talking, screen: Screen, text: str) -> None:
    try:
        with contextlib.closing(talk.say(text)) as coming:
            for each in coming:
                screen.show(each)
    except StoppedError:
        pass
    if talk.last is not None:
        screen.end(talk.last)


class StoppedError(KeyboardInterrupt):
    """Ctrl-C while somebody talks: it ends a reply and not the talk."""


@contextlib.contextmanager
def _interrupts_are_stops() -> Iterator[None]:
    """Inside, Ctrl-C raises StoppedError; other signals end the program as everywhere."""

    def stop(_: int, __: FrameType | None) -> None:
        raise StoppedError

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread, where there is none to be handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _typed() -> Iterator[str]:
    while True:
        try:
            yield input(ASKING)
        except StoppedError:
            print(f"\n({HELP})", file=sys.stderr)
        except EOFError:
            print(file=sys.stderr)
            return


def _piped() -> Iterator[str]:
    """Lines of a pipe. Raises InputError in the end where some are not UTF-8, which are told and left out."""
    wrong = 0
    for at, line in enumerate(sys.stdin, 1):
        try:
            line.encode()
        except UnicodeEncodeError:
            wrong += 1
            print(f"line {at}: not UTF-8 text; it is not answered", file=sys.stderr)
            continue
        yield line.rstrip("\r\n")
    if wrong:
        lines = "1 line is" if wrong == 1 else f"{wrong} lines are"
        raise InputError(f"standard input: {lines} not UTF-8 text; all others were answered")
