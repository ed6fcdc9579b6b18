"""PII: verify personal-data candidates with a small model."""

from ullage.workloads.kind import RAN, Command, Kind

KIND = Kind(
    "pii",
    __name__,
    runner="ullage.kinds.pii.run",
    reporter="ullage.kinds.pii.results",
    retrier="ullage.kinds.pii.retrying",
    partitioner="ullage.kinds.pii.partitioned",
    commands=(
        Command(
            "pii",
            "Verify personal-data candidates with a small model.",
            "ullage.kinds.pii.commands:app",
            "ullage pii --model-path ullage:tiny --input found.jsonl --output verified.jsonl",
            RAN,
        ),
    ),
    verbs={
        "Calibration": "ullage.kinds.pii.calibration",
        "verify_pii": "ullage.kinds.pii.verbs",
        "verify_with_each": "ullage.kinds.pii.verbs",
        "calibrate_pii": "ullage.kinds.pii.finished",
        "compare_pii": "ullage.kinds.pii.finished",
    },
    demo=(
        "ullage sample verify --count 500 --out .demo/verify.jsonl",
        "ullage plan examples/pii-tiny.yaml",
        "ullage run examples/pii-tiny.yaml --out .demo/pii",
        "ullage verify .demo/pii",
    ),
)
