"""A talk with a model, or with a whole workload: planned, loaded, answered turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from ullage.workloads.conversation import Conversation
    from ullage.workloads.kind import Talk
    from ullage.workloads.talks import Settings


@contextmanager
def chat(
    model_or_file: str | Path,
    probes: Sequence[str | Path] = (),
    *,
    gpus: str | None = None,
    download: bool = False,
    quiet: bool = True,
    **settings: Unpack[Settings],
) -> Iterator[Conversation]:
    """A talk with a model, or with the only role, or `generator`, of a workload file; `probes` read it too.

        with ullage.chat("ullage:tiny", new_tokens=20) as talk:
            for token in talk.say("Where is the cat?"):
                ...

    `say` gives each token of the reply with its scores as it comes, and the whole reply last. It is planned
    first: for `prompt_tokens` of conversation (default 2048, or as many as the model has room for) and
    replies of `new_tokens` (256), both the file's where it is one. `precision`, `system`, `temperature`,
    `top_p` and `seed` say how it talks. Raises DoesNotFitError for what does not fit, SpecError for probes
    that cannot read the model.
    """
    from ullage.workloads.runs import plan_here
    from ullage.workloads.talks import checked, talk_workload

    checked(settings)
    workload, base = talk_workload(model_or_file, probes, settings)
    plan = plan_here(workload, gpus, base)
    from ullage.runtime.opening import Options
    from ullage.workloads.conversation import open_conversation

    with open_conversation(plan, Options(download, quiet), settings) as talk:
        yield talk


@contextmanager
def talk(
    file: str | Path, *, gpus: str | None = None, download: bool = False, quiet: bool = True
) -> Iterator[Talk | None]:
    """A talk with a workload file whose kind is talked to as a whole, as an assistant; None for any other.

        with ullage.talk("assistant.yaml") as talk:
            print(talk.say("Where is the cat?").lines)

    Raises as `ullage.run` for what cannot be planned or does not fit.
    """
    path = Path(file)
    if not path.is_file() or path.suffix == ".gguf":
        yield None
        return
    from ullage.workloads.loading import folder_of, load
    from ullage.workloads.registry import find_kind
    from ullage.workloads.runs import plan_here

    workload = load(path)
    talker = find_kind(workload.kind).talker
    if not talker:
        yield None
        return
    plan = plan_here(workload, gpus, folder_of(path))
    from ullage.runtime.opening import Options

    with import_module(talker).open_talk(plan, Options(download, quiet)) as opened:
        yield opened
