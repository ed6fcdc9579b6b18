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


def scaled(made: str) -> str:
    """Weak scaling."""
    found = figures("cluster_scaling")
    rows = "\n".join(
        f"| {row['actors']} | {row['records_per_second']:,.1f} | {100 * row['efficiency']:.1f} % "
        f"| {row['seconds_before']:.0f} | {row['seconds']:.0f} |"
        for row in found["rows"]
    )
    local, overhead = found["local"]["records_per_second"], 100 * found["overhead"]
    return f"""## Clusters, scaled

{made}: actors of a Ray cluster on one machine of two cores, each
with {found["work_seconds"]:.0f} s of work by a scripted engine that takes {found["batch_seconds"]:g} s
a batch of {found["batch"]}. Without a cluster {local:,.1f} records/s; one actor is {overhead:+.1f} % slower.

| actors | records/s | efficiency | s until each had kept one | s in all |
|---|---|---|---|---|
{rows}
"""


def planned(made: str) -> str:
    """Plans of clusters beside runs."""
    found = figures("cluster_planned")
    rows = "\n".join(
        f"| {row['setting']} | {row['records']:,} "
        f"| {_range(row['planned_per_second'], 1)} | {row['measured_per_second']:,.1f} "
        f"| {100 * row['error']:+.1f} % | {_range(row['start_planned'], 0)} | {row['start_measured']:.0f} |"
        for row in found["rows"]
    )
    count, size = found["calibrated"], found["calibrated_partition"]
    return f"""## Clusters, planned and run

{made}: the plan knows the times of one local run of {count:,} records
in partitions of {size}, and nothing of the cluster. Ray on one machine of two cores; models compute
with one thread an actor.

| run | records | planned records/s | measured | error | planned start, s | measured |
|---|---|---|---|---|---|---|
{rows}
"""


def _range(ends: list[float], digits: int) -> str:
    low, expected, high = (f"{each:,.{digits}f}" for each in ends)
    return f"{expected} ({low}-{high})"


def killed(made: str) -> str:
    """Random kills."""
    found = figures("cluster_kills")
    kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(found["killed"].items()))
    runs, size = found["runs"], found["partition"]
    again = sum(run["again"] for run in runs)
    wrong = sum(not run["same"] for run in runs)
    return f"""## Clusters, killed

{made}: {len(runs)} runs of {found["records"]:,} records in partitions
of {size} on a living Ray cluster of three nodes, with SIGKILL at random moments: {kinds}.
Runs whose rows are not those of the local run: {wrong}. Partitions begun again: {again}.
"""


def driven(made: str) -> str:
    """What the driver holds."""
    found = figures("cluster_driver")
    count, index, most = found["partitions"], found["index_bytes"] / 1e9, max(found["held_bytes"]) / 2**20
    return f"""## Clusters, the driver

{made}: of {count:,} partitions, whose index has {index:.2f} GB on
disk, the driver holds at most {most:,.0f} MiB while all of them are given out.
"""
