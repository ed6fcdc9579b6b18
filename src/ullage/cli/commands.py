"""The commands there are. Only the one that is called is built; the others are names and lines of help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from ullage.errors import InputError
from ullage.reports.terminal import DOES_NOT_FIT, FAILED, epilog
from ullage.spec.entry_point import import_part
from ullage.workloads.kind import RAN, Command

if TYPE_CHECKING:
    import typer._click as click

FITS: Final = {0: "it fits", DOES_NOT_FIT: "it does not fit"}
OWN: Final = (
    Command(
        "demo",
        "Plan, run and verify a small example with the bundled model, by the commands one would type.",
        "ullage.cli.demo:demo",
        "ullage demo evaluate",
        {FAILED: "a command of it failed", DOES_NOT_FIT: "one did not fit"},
    ),
    Command(
        "plan",
        "Bytes on every GPU in every phase, whether they fit, and what would.",
        "ullage.cli.plans:plan",
        "ullage plan examples/werewolf.yaml --gpus 4xH100 --set roles.player.precision=int8",
        FITS,
    ),
    Command(
        "cluster",
        "The file that starts the cluster of a plan: for KubeRay, or for Ray's launcher of virtual machines.",
        "ullage.cli.clusters:cluster",
        "ullage cluster examples/pii.yaml --nodes '4x(8xL4)' --for kuberay --image IMAGE --out cluster.yaml",
        FITS,
    ),
    Command(
        "trace",
        "What is alive and reserved from moment to moment in one pass, by the model's own code.",
        "ullage.cli.tracing:trace",
        "ullage trace examples/extract.yaml --html pass.html",
        FITS,
    ),
    Command(
        "estimate",
        "The one-model question, without a file.",
        "ullage.cli.plans:estimate",
        "ullage estimate meta-llama/Llama-3.1-8B-Instruct --prompt-tokens 6144 --gpus 'RTX 4090'",
        FITS,
    ),
    Command(
        "run",
        "Do what a workload file plans, inside its plan; --resume goes on with a run that was cut short.",
        "ullage.cli.runs:run",
        "ullage run examples/small/extract.yaml --out states",
        RAN,
    ),
    Command(
        "check",
        "Load every model, run one smallest batch, say where things are; of a RUN: whether it is whole.",
        "ullage.cli.runs:check",
        "ullage check examples/small/extract.yaml",
        {DOES_NOT_FIT: "it does not fit, or a RUN is damaged"},
    ),
    Command(
        "verify",
        "Predicted against measured memory of a run, by phase, device and component.",
        "ullage.cli.runs:verify",
        "ullage verify states",
        {DOES_NOT_FIT: "more was measured than was planned at most"},
    ),
    Command(
        "status",
        "How far a run is: done and left, rate, cost so far, partitions, and who does them.",
        "ullage.cli.runs:status",
        "ullage status runs/pii-1 --watch",
    ),
    Command(
        "pool",
        "Which role's weights are where in a run, and what is taken of every budget.",
        "ullage.cli.runs:pool",
        "ullage pool runs/assistant-1 --watch",
    ),
    Command(
        "report",
        "Write a finished run's tables and its page of HTML anew.",
        "ullage.cli.runs:report",
        "ullage report runs/evaluate-1",
    ),
    Command(
        "evidence",
        "What past runs measured here, and what plans take from it.",
        "ullage.cli.evidence:evidence",
        "ullage evidence",
    ),
    Command(
        "doctor",
        "What this machine has, what is wrong, and whether a workload file can be run on it.",
        "ullage.cli.doctor:doctor",
        "ullage doctor examples/small/extract.yaml",
        {FAILED: "the file cannot be run here", DOES_NOT_FIT: "it does not fit"},
    ),
    Command(
        "gpus",
        "Every GPU set that holds a workload, cheapest first; without a file, the cards it knows.",
        "ullage.cli.listings:gpus",
        "ullage gpus examples/werewolf.yaml",
        {DOES_NOT_FIT: "no set holds it"},
    ),
    Command(
        "audit",
        "Claims of a document about what workloads need, held against what is computed.",
        "ullage.cli.documents:audit",
        "ullage audit examples/claims/generate-judge.yaml",
        {FAILED: "a claim cannot be decided", DOES_NOT_FIT: "a claim is wrong"},
    ),
    Command(
        "guide",
        "A GPU requirements guide of workload files, in Markdown or HTML; --check holds one against them.",
        "ullage.cli.documents:guide",
        "ullage guide examples/werewolf.yaml --out GPU_REQUIREMENTS.md",
        {FAILED: "a guide is no longer true"},
    ),
    Command(
        "models",
        "Parameters of a model by component; without a name, the catalog.",
        "ullage.cli.listings:models",
        "ullage models mistralai/Mixtral-8x7B-Instruct-v0.1",
    ),
    Command(
        "sample",
        "Labelled examples for the bundled model ullage:tiny, made from its small world; or small models.",
        "ullage.cli.listings:sample",
        "ullage sample answer --count 200 --out chats.jsonl",
    ),
    Command(
        "chat",
        "Talk with a model, planned first; with probes each token is coloured by its score.",
        "ullage.cli.chat:chat",
        "ullage chat ullage:tiny",
        FITS,
    ),
    Command(
        "serve",
        "Answer OpenAI's protocol by the roles of a workload file, inside their plan.",
        "ullage.cli.serving:serve",
        "ullage serve examples/serve-tiny.yaml --gpus cpu",
    ),
    Command(
        "ui",
        "A page on this machine to play with a workload file's numbers, and to look at runs.",
        "ullage.cli.planner:ui",
        "ullage ui examples/werewolf.yaml",
    ),
    Command(
        "probe",
        "Directions in a model's states: fitted to labelled dialogues, evaluated, applied, exchanged.",
        "ullage.cli.probes:probe",
        "ullage probe fit pairs.jsonl --model ullage:tiny --out truth",
    ),
    Command(
        "schema",
        "JSON Schema of the workload file, for editors.",
        "ullage.cli.listings:schema",
        "ullage schema > workload.schema.json",
    ),
)


class Commands(TyperGroup):
    """Ullage's commands; behind them those of installed kinds, which are looked for where a name is not
    Ullage's own or all are listed. A kind cannot take the name of a command that is there already."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._kinds_are_known = False
        self._refused: list[str] = []
        for command in OWN:
            self.add_command(_Unbuilt(command))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            self._add_those_of_kinds()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_those_of_kinds()
        return super().list_commands(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from ullage.workloads.registry import broken_kinds

        super().format_epilog(ctx, formatter)
        for said in (*broken_kinds(), *self._refused):
            formatter.write_paragraph()
            formatter.write_text(said)

    def _add_those_of_kinds(self) -> None:
        if self._kinds_are_known:
            return
        from ullage.workloads.registry import kind_commands

        self._kinds_are_known = True
        for command in kind_commands():
            if command.name in self.commands:
                self._refused.append(f"{command.place}: there is a command {command.name} already")
            else:
                self.add_command(_Unbuilt(command))


class _Unbuilt(TyperCommand):
    """Stands for a command until it is called."""

    def __init__(self, command: Command) -> None:
        super().__init__(command.name, help=command.help)
        self._command = command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command itself, which is what is parsed, helped with and invoked."""
        return _built(self._command).make_context(info_name, args, parent, **extra)


def _built(command: Command) -> click.Command:
    module, _, name = command.place.partition(":")
    found = getattr(import_part(module, f"command {command.name}"), name, None)
    if found is None:
        raise InputError(f"command {command.name}: there is no {command.place}; mend its package")
    ending = epilog(command.example, command.codes)
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.callback()(lambda: None)  # with it typer makes a group, whatever the number of its commands
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=command.name, help=command.help, epilog=ending)
    else:
        app.command(command.name, help=found.__doc__ or command.help, epilog=ending)(found)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group.commands[command.name]
