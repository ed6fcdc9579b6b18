"""Which models read a prompt in chunks as they read it whole."""

from __future__ import annotations

from collections.abc import Iterable

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.memory.weights.tensors import distinct_layers
from ullage.phases.phase import Work
from ullage.spec.role import Role


def check_chunks(name: str, role: Role, architecture: Architecture, works: Iterable[Work]) -> None:
    """Raises UnsupportedError where a Mamba's prompt is read in chunks: transformers 5.19 scans each of them
    from an empty state (`mamba_selective_scan`), so that all but the last would be forgotten."""
    if role.runs_with.memory != "process":
        return
    chunked = any(work.chunk_tokens and work.chunk_tokens < work.prompt_tokens for work in works)
    recurrent = (layer.recurrent for layer, _ in distinct_layers(architecture)) if chunked else ()
    if any(each is not None and each.kind == "mamba1" for each in recurrent):
        raise UnsupportedError(
            f"role {name}: {architecture.name} keeps no Mamba state from chunk to chunk in transformers, so "
            "that its answers would be others; leave memory.streaming_chunk_size out, or use engine vllm"
        )
