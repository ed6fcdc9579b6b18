"""Evaluate: generate answers, then judge them."""

from ullage.workloads.kind import RAN, Command, Kind

KIND = Kind(
    "evaluate",
    __name__,
    runner="ullage.kinds.evaluate.run",
    reporter="ullage.kinds.evaluate.results",
    retrier="ullage.kinds.evaluate.retrying",
    partitioner="ullage.kinds.evaluate.partitioned",
    commands=(
        Command(
            "judge",
            "Judge the answers of a finished evaluation again, or by other judges, without generating.",
            "ullage.kinds.evaluate.commands:judge",
            "ullage judge runs/evaluate-1 --role judge_b.model=ullage:tiny",
            RAN,
        ),
        Command(
            "compare",
            "Hold two evaluations of the same questions against each other, question by question.",
            "ullage.kinds.evaluate.commands:compare",
            "ullage compare runs/evaluate-1 runs/evaluate-2",
        ),
        Command(
            "resample",
            "Add samples to the answers of a finished evaluation; what there is stays.",
            "ullage.kinds.evaluate.commands:resample",
            "ullage resample runs/evaluate-1 --samples 8",
            RAN,
        ),
    ),
    verbs={
        "judge": "ullage.kinds.evaluate.verbs",
        "resample": "ullage.kinds.evaluate.verbs",
        "compare": "ullage.kinds.evaluate.verbs",
        "PairedEvaluations": "ullage.kinds.evaluate.paired",
    },
    demo=(
        "ullage sample answer --count 334 --out .demo/questions.jsonl",
        "ullage sample answer-hard --count 166 --out .demo/hard.jsonl",
        "ullage plan examples/evaluate-tiny.yaml",
        "ullage run examples/evaluate-tiny.yaml --out .demo/evaluate",
        "ullage verify .demo/evaluate",
    ),
)
