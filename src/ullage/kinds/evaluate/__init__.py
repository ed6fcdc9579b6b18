"""Evaluate: generate answers, then judge them."""

from ullage.workloads.kind import Command, Kind

KIND = Kind(
    "evaluate",
    __name__,
    runner="ullage.kinds.evaluate.run",
    reporter="ullage.kinds.evaluate.results",
    retrier="ullage.kinds.evaluate.retrying",
    commands=(
        Command(
            "judge",
            "Judge the answers of a finished evaluation again, or by other judges, without generating.",
            "ullage.kinds.evaluate.commands:judge",
        ),
        Command(
            "compare",
            "Hold two evaluations of the same questions against each other, question by question.",
            "ullage.kinds.evaluate.commands:compare",
        ),
        Command(
            "resample",
            "Add samples to the answers of a finished evaluation; what there is stays.",
            "ullage.kinds.evaluate.commands:resample",
        ),
    ),
    verbs={
        "judge": "ullage.kinds.evaluate.verbs",
        "resample": "ullage.kinds.evaluate.verbs",
        "compare": "ullage.kinds.evaluate.verbs",
        "PairedEvaluations": "ullage.kinds.evaluate.paired",
    },
)
