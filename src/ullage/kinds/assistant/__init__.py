"""Assistant: a router, swapped specialists and a voice."""

from ullage.workloads.kind import Kind

KIND = Kind(
    "assistant",
    __name__,
    runner="ullage.kinds.assistant.run",
    reporter="ullage.kinds.assistant.report",
    talker="ullage.kinds.assistant.talk",
    server="ullage.kinds.assistant.served",
    demo=(
        "ullage sample artist --out .demo/artist",
        "ullage sample perception --out .demo/perception",
        "ullage plan examples/small/assistant-tiny.yaml",
        "ullage run examples/small/assistant-tiny.yaml --out .demo/assistant",
        "ullage verify .demo/assistant",
        "ullage pool .demo/assistant",
    ),
)
