"""The section on probes of docs/measured.md."""

from __future__ import annotations

from result_file import figures


def probes(made: str, of_fits: str) -> str:
    """`made` and `of_fits` say how the two results were made."""
    real, fits = figures("probe_real"), figures("probe_fits")
    large, both = fits["large"], real["both"]
    rows = "\n".join(
        f"| {name} | " + " | ".join(_number(row[other]) for other in row) + " |"
        for name, row in both["transfer"].items()
    )
    exact = "\n".join(
        f"| {row['lambda']:g} | {row['way']} | {row['passes']} | {row['apart']:.1e} | {row['bound']:.1e} | {row['auroc_apart']:.0e} |"
        for row in fits["exact_rows"]
    )
    seeds = real["capitals_auroc_by_seed"]
    shuffled = real["shuffled_mean_by_seed"]
    methods = ", ".join(f"{name} {value:.3f}" for name, value in real["methods_on_both"].items())
    return f"""## Probes

{made}: {real["model"]} on `examples/true-false.jsonl`, the last token of each statement, parted by country. The whole command, with
states of every layer, took {real["command"]["core_seconds"]:.0f} s of a core ({real["command"]["seconds"]:.0f} s by the clock, on two cores with much else to do). Capitals alone: AUROC on countries held out {min(seeds):.3f} to {max(seeds):.3f} over five ways of
parting; shuffled labels {min(shuffled):.2f} to {max(shuffled):.2f} in the mean of twenty; a bag of words {real["capitals"]["words"]:.2f}. Fitted to capitals and their negations, at
{both["chosen"]} (seed 0); AUROC on countries held out:

| fitted to | {" | ".join(next(iter(both["transfer"].values())))} |
|---|{"---|" * len(next(iter(both["transfer"].values())))}
{rows}

Over the five partings a probe of capitals alone has {min(real["turned_by_seed"]):.2f} to {max(real["turned_by_seed"]):.2f} on negations. Methods on both sets: {methods}.

{of_fits}: streamed logistic fits beside scikit-learn's on the same 20,000 x 256 rows; `apart` is the distance of the weights as a
share of their length, `bound` what was proven of it.

| lambda | way | passes | apart | bound | AUROC apart |
|---|---|---|---|---|---|
{exact}

{large["rows"]:,} x {large["hidden"]:,} states in bf16 ({large["bytes_of_states"] / 2**30:.2f} GiB on disk): {large["passes"]} passes, bound {large["bound"]:.1e}, {large["bytes_above_start"] / 2**20:,.0f} MiB above start, {large["seconds"]:.0f} s with
one thread on a machine that was not idle. A sweep over {fits["sweep"]["layers"]} layers and three lambdas read each layer {fits["sweep"]["ratio"]:.2f} x as often as one layer's did.
"""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def scoring(made: str) -> str:
    """What it costs to read probes while a model writes; `made` says how it was measured."""
    found = figures("probe_scoring")
    rows = "\n".join(
        f"| {name} | {way} | {one['peaks'][way]['live']:.4f} | {one['peaks'][way]['process']:.3f} | {one['speeds'][way]:.3f} |"
        for name, one in found.items()
        for way in ("with probes", "two copies")
    )
    return f"""## Probes while a model writes

{made}: eight probes on four layers, beside writing alone, and beside two copies of the model, of which the second reads what
the first wrote and keeps the states of the same layers. Peaks are of `ullage run` of the same questions with and without
`probes:`; tokens a second are of a core, the median over {next(iter(found.values()))["speeds"]["pairs"]} rounds in turn in one process. All are shares of writing alone.

| model | way | live peak | process peak | tokens a second |
|---|---|---|---|---|
{rows}
"""
