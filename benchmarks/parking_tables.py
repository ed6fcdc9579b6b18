"""What parked models take, as a section of docs/measured.md."""

from __future__ import annotations

from result_file import figures


def parked(switch: str, families: str) -> str:
    """A switch beside loading anew, and the families it was held for; `switch` and `families` say how made."""
    found, held = figures("pool_switch"), figures("parked_families")
    rows = "\n".join(
        f"| {cache} | {row['switch_ms']:.2f} | {row['ready_ms']:.0f} | {row['parked_ms']:.0f} | {row['disk_ms']:.0f} "
        f"| {row['pretrained_ms']:.0f} | {row['beside_pretrained']:.2f} x | {row['disk_there_ms']:.0f} "
        f"| {row['read_ms']:.0f} | {row['disk_beside_read']:.2f} x |"
        for cache, row in ((cache, found[cache]) for cache in ("warm", "cold"))
    )
    least, most = found["load"]
    return f"""## Models parked, dropped and brought back

{switch}: a Llama of {found["tensors"]} tensors, {found["bytes"] / 2**20:.0f} MiB in bf16, on the processor, with one thread, and a load average of
{least:.1f} to {most:.1f} beside it. Milliseconds, medians of {found["warm"]["rounds"]} rounds, until a first pass over 16 tokens was done and every page of the
weights looked at; ratios within a round. No card was there: what a switch takes on one is not measured.

| page cache | the switch alone | pass of a ready model | parked, with its pass | from disk, with its pass | from_pretrained, with its pass | parked beside from_pretrained | from disk, alone | reading the file | speed beside reading |
|---|---|---|---|---|---|---|---|---|---|
{rows}

{families}: a small model of every family, {held["families"]} with variants, parked, dropped and parked again: logits and greedy text are bit for
bit those of a fresh `from_pretrained` in {held["shared"]}, and in {held["copied"]} where tensors are copied to a host arena and back. After a drop
{held["kept"]} were filled again out of the mapped checkpoint; the others, whose experts are merged while they load, went through the loader.
"""
