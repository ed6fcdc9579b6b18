"""Extract: capture hidden states of texts, or of what a model generates."""

from ullage.workloads.kind import RAN, Command, Kind

KIND = Kind(
    "extract",
    __name__,
    runner="ullage.kinds.extract.run",
    partitioner="ullage.kinds.extract.partitioned",
    commands=(
        Command(
            "extract",
            "Hidden states of texts, without a workload file.",
            "ullage.kinds.extract.commands:extract",
            "ullage extract --model ullage:tiny --input chats.jsonl --sites 'blocks.*.hook_resid_post'",
            RAN,
        ),
        Command(
            "analyse",
            "Dimension, norms, sparsity of every stored site; with --out a picture of each analysis.",
            "ullage.kinds.extract.commands:analyse",
            "ullage analyse states --out pictures",
        ),
        Command(
            "export",
            "Stored states as Parquet files, which datasets.load_dataset reads.",
            "ullage.kinds.extract.commands:export",
            "ullage export states --out parquet",
        ),
    ),
    verbs=dict.fromkeys(("extract", "open_states", "export_states", "survey"), "ullage.kinds.extract.verbs"),
    demo=(
        "ullage sample answer --count 200 --out .demo/answer.jsonl",
        "ullage plan examples/small/extract.yaml",
        "ullage run examples/small/extract.yaml --out .demo/states",
        "ullage verify .demo/states",
        "ullage analyse .demo/states",
    ),
)
