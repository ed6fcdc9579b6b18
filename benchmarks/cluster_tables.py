"""The tables of docs/measured.md about clusters."""

from __future__ import annotations

from result_file import figures


def simulated(made: str) -> str:
    """Wall times by formula beside events one by one."""
    found = figures("cluster_simulation")
    worst = sorted(found["rows"], key=lambda row: -abs(row["error"]))[:5]
    largest = max(found["rows"], key=lambda row: row["partitions"])
    table = "\n".join(
        f"| {row['setting']} | {row['partitions']:,} | {row['simulated_seconds']:,.1f} "
        f"| {row['predicted_seconds']:,.1f} | {100 * row['error']:+.1f} % |"
        for row in {row["setting"]: row for row in (*worst, largest)}.values()
    )
    return f"""## Clusters, simulated

{made} simulates {found["settings"]} clusters event by event and compares the time until the last
partition is whole with the [formulas](cluster-plans.md): median error {100 * found["median_error"]:.2f} %,
largest {100 * found["largest_error"]:.1f} %. The five largest errors, and the setting of most partitions
(nodes x replicas, losses of a node, seconds of a partition, partitions a replica):

| setting | partitions | simulated, s | by formula, s | error |
|---|---|---|---|---|
{table}
"""
