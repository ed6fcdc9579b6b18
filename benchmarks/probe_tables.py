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


def drift(made: str) -> str:
    """Probes in other precisions; `made` says how the result was made."""
    found = figures("probe_drift")
    rows = "\n".join(
        f"| {title} | {row['precision']} | {row['auroc']:.3f} | {100 * row['loss'] / (first['auroc'] - 0.5):+.1f} % | {row['correlation']:.3f} "
        f"| {row['shift']:+.2f} | {row['threshold'] - first['threshold']:+.2f} | {row['recall']:.2f} | {row['false_positives']:.2f} |"
        for title, each in found["sets"].items()
        for first in each["rows"][:1]
        for row in each["rows"]
    )
    return f"""### In other precisions

{made}: probes fitted in fp32, at the layer their sweep chose, on what was held out ({", ".join(str(each["rows"][0]["dialogues"]) for each in found["sets"].values())} dialogues). `lost` is of the AUROC
above 0.5; `shift` of the scores in standard deviations of those in fp32; `threshold` how far the one that label 0 would set
moves, in units of the score; recall and false positives at the threshold set in fp32.

| | precision | AUROC | lost | correlation | shift | threshold | recall | false positives |
|---|---|---|---|---|---|---|---|---|
{rows}
"""


def probe_peers(made: str) -> str:
    """Other libraries' fits and scores; `made` says how the result was made."""
    found = figures("probe_peers")
    rows = "\n".join(
        f"| {row['library']}{_of(found['packages'], row['library'])} | {row['apart']:.1e} | {row['core_seconds']:.2f} |"
        for row in found["fits"]
    )
    worst = max(found["scores"].values())
    return f"""### Beside other libraries

{made}: logistic fits of the same 20,000 x 256 rows with lambda 10, each as its library does unless told otherwise; `apart` is the
distance of the weights from scikit-learn's converged ones as a share of their length. Theirs hold all rows; ours reads them from disk.

| | apart | seconds of a core |
|---|---|---|
{rows}

Checkpoints in the form of lie-detectors {found["packages"]["lie-detectors"]}, imported: scores differ from those of its own code by {worst:.0e} of the largest at most
({", ".join(found["scores"])}).
"""


def _of(packages: dict[str, str], name: str) -> str:
    return f" {packages[name]}" if name in packages else ""


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


def transfer(made: str) -> str:
    """Probes of instructed pairs in play; `made` says how the result was made."""
    found = figures("werewolf_transfer")["rows"]
    fits = "\n".join(
        f"| {model} | {row['fit']['site']} | {row['fit']['parts']['test']} | {_auroc(row['fit'])} | {row['fit']['without_roles']:.3f} | {row['fit']['words']:.3f} "
        f"| {row['fit']['shuffled']['mean']:.3f} ({row['fit']['shuffled']['least']:.3f} to {row['fit']['shuffled']['most']:.3f}) |"
        for model, row in found.items()
    )
    heard = "\n".join(
        f"| {model} | {about.partition(' ')[2]} | {columns['with roles']['answers']} | "
        + " | ".join(_auroc(columns[name]) for name in ("with roles", "without roles", "shuffled"))
        + " |"
        for model, row in found.items()
        for about, columns in row["in_play"].items()
    )
    said = "; ".join(
        f"{model} {row['games']} games, {row['statements']} statements ({', '.join(f'{count} {truth}' for truth, count in row['truths'].items())})"
        for model, row in found.items()
    )
    own = found["ullage:tiny"]["own_game"]
    return f"""### From instructed pairs to lies in play

{made}: in a run of one file the probe is fitted to true answers under an instruction to be honest or to lie, every layer
tried, and then listens to games whose prompts carry no such instruction. What it does on pairs of people held out:

| model | site | dialogues | AUROC | without system messages | words alone | shuffled labels |
|---|---|---|---|---|---|---|
{fits}

What it tells apart in statements of games ({said}); intervals over resamples of games, "without roles" the same words after
a prompt that does not say who the speaker is, "shuffled" labels in another order within each game:

| model | tells | statements | with roles | without roles | shuffled |
|---|---|---|---|---|---|
{heard}

"none" is where no statement has the label, or none has a score: a claim that the rules of truth cannot decide is neither lie nor
truth. In the game that the bundled model was taught (`ullage sample move`) all say "I am a villager."; over {own["claims"]} such claims the same
probe tells those of werewolves by {_auroc(own["with_roles"])}, without identities {_auroc(own["without_roles"])}. A probe that reads an instruction to lie has not
thereby learned to hear lies: take no such figure from pairs to play without measuring it there.
"""


def _auroc(row: dict[str, float | None]) -> str:
    """With its interval; fits say `auroc`, results `value`."""
    value = row["auroc"] if "auroc" in row else row["value"]
    return "none" if value is None else f"{value:.3f} ({row['low']:.3f} to {row['high']:.3f})"
