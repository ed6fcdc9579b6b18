"""Recite: a model goes on with every line of a file. A kind that Ullage knows nothing of, for the tests."""

from ullage.workloads.kind import Command, Kind

KIND = Kind(
    "recite",
    __name__,
    runner="ullage_recite.run",
    reporter="ullage_recite.report",
    commands=(
        Command(
            "recite",
            "Go on with every line of a text, without a workload file.",
            "ullage_recite.commands:recite",
        ),
    ),
    verbs={"recite": "ullage_recite.verbs"},
)
