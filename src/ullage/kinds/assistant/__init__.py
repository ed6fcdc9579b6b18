"""Assistant: a router, swapped specialists and a voice."""

from ullage.workloads.kind import Kind

KIND = Kind(
    "assistant",
    __name__,
    runner="ullage.kinds.assistant.run",
    reporter="ullage.kinds.assistant.report",
    talker="ullage.kinds.assistant.talk",
    server="ullage.kinds.assistant.served",
)
