"""Serve: roles that answer whoever asks, in the order of asking."""

from ullage.workloads.kind import Kind

KIND = Kind(
    "serve",
    __name__,
    demo=(
        "ullage plan examples/serve-tiny.yaml",
        "ullage serve examples/serve-tiny.yaml --check",
    ),
)
