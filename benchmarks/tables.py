"""Writes docs/measured.md from the result files of the benchmarks.

python benchmarks/tables.py
"""

from __future__ import annotations

import statistics

from assistant_tables import killed_assistants, remembering_talks
from cluster_tables import driven, killed, planned, scaled, simulated
from memory_tables import remembered
from parking_tables import parked
from probe_tables import drift, probe_peers, probes, scoring, transfer
from result_file import RESULTS, ROOT, figures, read

PAGE = ROOT / "docs" / "measured.md"


def made(name: str) -> str:
    """How a result was made, and when where that is known."""
    found = read(RESULTS / f"{name}.json")
    return f"`{found.command}`" + (f" ({found.date[:10]})" if found.date else "")


def versions(name: str) -> str:
    """Of torch and transformers."""
    found = read(RESULTS / f"{name}.json").versions
    return ", ".join(
        f"{package} {found[package]}" for package in ("torch", "transformers") if package in found
    )


def memory() -> str:
    """Predicted against measured on the processor."""
    found = figures("extract_memory")
    live = found["summary"]["live"]
    rows = sorted(found["rows"], key=lambda row: -abs(row["live"]["error"]))[:5]
    table = "\n".join(
        f"| {row['family']} | {row['precision']} | {row['batch']} x {row['tokens']} | {row.get('chunk', '-')} | {row['captures']} "
        f"| {row['live']['measured'] / 2**20:.1f} | {100 * row['live']['error']:+.2f} % |"
        for row in rows
    )
    return f"""## Predicted against measured, on the processor

{made("extract_memory")} runs {live["configurations"]} extractions (13 families, batches, lengths, sites, streaming; in fp32, a quarter in bf16;
{versions("extract_memory")}) and compares the largest sum of live tensors with the plan:
median error {100 * live["median_error"]:.2f} %, largest {100 * live["largest_error"]:.1f} %; {live["above_high"]} measurements
above the high value, {live["below_low"]} below the low one. The five largest errors:

| family | precision | batch x tokens | chunk | captured | live MiB | error |
|---|---|---|---|---|---|---|
{table}
"""


def known_families() -> str:
    """What is known of every type from its config.json alone."""
    found = figures("known_families")
    total = found["summary"]
    rows = [row for row in found["rows"] if row["built"] and row["default"]["counted"] is not None]
    refused = [row for row in found["rows"] if row["built"] and row["default"]["counted"] is None]
    unbuilt = [row["family"] for row in found["rows"] if not row["built"]]

    def exact(counts: dict) -> str:
        return (
            "exact"
            if counts["counted"] == counts["real"]
            else f"{counts['counted']:,} for {counts['real']:,}"
        )

    def live(row: dict, precision: str) -> str:
        run = row.get("live", {}).get(precision, {})
        return (
            f"{100 * run['error']:+.2f} %" if "error" in run else run.get("said", "-")[:80].replace("|", " ")
        )

    table = "\n".join(
        f"| {row['family']} | {exact(row['default'])} | {exact(row['small'])} | {live(row, 'fp32')} | {live(row, 'bf16')} |"
        for row in rows
    )
    return f"""## Every type of model: known from its config.json, or refused

{made("known_families")}: every type of causal language model that transformers has ({versions("known_families")}). Parameters are
counted without torch, from the config that its class gives by default and from a small one, beside the model that
transformers builds of it; a real run of the small model (16 texts of 40 tokens, on the processor) has its live peak held
against the plan. Of {total["types"]} types {total["built"]} build; {total["exact"]} are exact. Of {total["runs"]} runs {total["within_1_percent"]} lie within 1 % of their plan (median
{100 * total["median_error"]:.2f} %, largest {100 * total["largest_error"]:.1f} %), {len(total["above_high"])} above its high value.

| type | default config | small config | live, fp32 | live, bf16 |
|---|---|---|---|---|
{table}

Refused, by the fields that nobody interprets: {", ".join(row["family"] for row in refused)}.

transformers builds no model of their default configs: {", ".join(unbuilt)}.
"""


def traces() -> str:
    """Traces on fake tensors against runs."""
    found = figures("tracing_runs")
    worst = sorted(found["rows"], key=lambda row: -abs(row["error"]))[:8]
    table = "\n".join(
        f"| {row['family']} | {row['pass']} | {row['dtype']} | {row['measured']:,} | {row['traced']:,} | {row['error']:+.3%} |"
        for row in worst
    )
    lost = "; ".join(
        f"{row['family']} ({row['pass']}): {row['not_traced'][:160]}" for row in found["not_traced"]
    )
    unrun = sorted({row["family"] for row in found["not_run"]})
    return f"""## Traces against runs

{made("tracing_runs")}: small models of {found["types"]} types ({found["reached"]} of {found["every_type"]} reached in the time given;
{versions("tracing_runs")}) write, score and are read in chunks by the run's own loops, {found["configurations"]} passes in all; torch's profiler
tells every byte that its allocator gives out. The trace of the same pass has seen neither weights nor tokens: median error
{found["median"]:.3%}, largest {found["maximum"]:.2%}; {found["above_high"]} runs above the high value. The eight largest:

| type | pass | precision | measured bytes | traced bytes | error |
|---|---|---|---|---|---|
{table}

Not traced, and why: {lost or "none"}. Of these types some pass does not run at all: {", ".join(unrun) or "none"}.
"""


def types() -> str:
    """For how many types a plan answers, and why it does not for the others."""
    found = figures("traced_types")
    total = found["summary"]
    ways = ", ".join(f"{count} {way}" for way, count in total["ways"].items())
    refused = "\n".join(
        f"| {family} | {said[-200:].replace('|', ' ')} |" for family, said in total["refused"].items()
    )
    return f"""## Every type of model: by formula or by trace

{made("traced_types")}: of the {total["types"]} types of causal language models that transformers has ({versions("traced_types")})
`ullage models` counts {total["parameters"]} at the size of their default config, and for {total["answers"]} a small one is planned as well: {ways}.
{total["without_a_row"]} types have no description; {total["answers_without_a_row"]} of them answer. The others, and why:

| type | reason (its end) |
|---|---|
{refused}
"""


def formulas() -> str:
    """Formulas against traces."""
    found = figures("formula_traces")
    held = [row for row in found["rows"] if "error" in row]
    kinds = sorted({row["kind"] for row in held})
    table = "\n".join(_kind(name, [row for row in held if row["kind"] == name]) for name in kinds)
    worst: dict[str, float] = {}
    for row in held:
        worst[row["family"]] = max(worst.get(row["family"], 0.0), abs(row["error"]))
    named = ", ".join(f"{name} ({error:.0%})" for name, error in sorted(worst.items()) if error > 0.03)
    untraced = sorted({row["family"] for row in found["rows"] if "not_traced" in row})
    return f"""## Formulas against traces

{made("formula_traces")}: {found["configurations"]} passes of {found["families"]} families with a row ({versions("formula_traces")}), drawn by seed, through the
planner's formulas and through the model's own code on fake tensors; live bytes on top of the weights. Median difference {found["median"]:.2%};
{found["within_3_percent"]} of {found["configurations"]} are within 3 %, and {found["proven"]} of {found["lines"]} lines of the table that ships are called proven (worst {found["proven_worst"]:.2%}).

| pass | configurations | median | largest | beyond 3 % |
|---|---|---|---|---|
{table}

Not proven in some pass, with the largest difference: {named or "none"}. Not traced in some pass: {", ".join(untraced) or "none"}.
"""


def _kind(name: str, rows: list[dict]) -> str:
    errors = [abs(row["error"]) for row in rows]
    far = sum(each > 0.03 for each in errors)
    return f"| {name} | {len(rows)} | {statistics.median(errors):.2%} | {max(errors):.1%} | {far} |"


def families() -> str:
    """Which sites hold, family by family."""
    found = figures("extract_families")
    total, rows = found["summary"], found["rows"]
    whole = ", ".join(row["family"] for row in rows if row["holds"] == "whole")
    parts = "\n".join(
        f"| {row['family']} | {_sites(row['sites'])} | {_broken(row['broken'])} |"
        for row in rows
        if row["holds"] == "states"
    )
    none = "\n".join(
        f"| {row['family']} | {'; '.join(dict.fromkeys(row.get('broken', {}).values())) or row['said'][:160]} |"
        for row in rows
        if row["holds"] == "nothing"
    )
    return f"""## Hidden states, family by family

{made("extract_families")}: every type of causal language model that transformers has, proven on a small model of its default config
({versions("extract_families")}). Of {total["types"]} types {total["built"]} build and are read; in {total["whole"]} every site that their
blocks define holds, in {total["states"]} the residual stream does. In chunks {total["streamed"]} give what they give in one pass,
token by token {total["generated"]}. The slowest proof took {total["slowest"]} s.

Every site: {whole}.

The residual stream, and what else is named:

| type | what holds | what does not |
|---|---|---|
{parts}

Refused:

| type | why |
|---|---|
{none}
"""


def _sites(hooks: list[str]) -> str:
    return ", ".join(hook.removeprefix("attn.").removeprefix("hook_") for hook in hooks)


def _broken(broken: dict[str, str]) -> str:
    """Identities that break, with the sites that they refuse."""
    said: dict[str, list[str]] = {}
    for hook, why in broken.items():
        said.setdefault(why.split(" does not hold")[0], []).append(hook)
    return "; ".join(f"{why} ({_sites(hooks)})" for why, hooks in said.items()).replace("|", " ")


def streaming() -> str:
    found = figures("extract_streaming")
    table = "\n".join(
        f"| {row['family']} | {row['tokens']:,} | {row['activations'] / 2**20:.2f} | {row['kv_cache'] / 2**20:.0f} "
        f"| {100 * row['error']:+.2f} % |"
        for row in found["rows"]
    )
    return f"""## Streaming

{made("extract_streaming")}: one sequence in chunks of 512 tokens, two layers of a small model; activations are what is live
beside weights and key-value cache.

| family | tokens | activations MiB | cache MiB | error of the plan, all live tensors |
|---|---|---|---|---|
{table}
"""


def peers() -> str:
    found = figures("extract_peers")
    beside = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    table = "\n".join(
        f"| {row['contestant']} | {row['batching']} | {row['tokens_per_second']:,} | {row['ullage_is_faster_by']:.2f} "
        f"| {(row['live_bytes_beside_weights'] or 0) / 2**20:.0f} | {row['largest_difference']:.0e} |"
        for row in found["rows"]
    )
    return f"""## Beside other libraries

{made("extract_peers")}: a 124M-parameter GPT-2 on {read(RESULTS / "extract_peers.json").cores} cores, {found["texts"]} texts of 16 to 1024 tokens, the residual
stream after the sixth of twelve layers, last position. `ullage` is a whole run with journal, shards and monitor; the
others are loops in memory. `sorted` are the batches ullage makes, `arrival` eight texts at a time. ({versions("extract_peers")}, {beside})

| | batches | tokens/s | time over ullage's | MiB beside weights | differs by |
|---|---|---|---|---|---|
{table}
"""


def faults() -> str:
    found = figures("extract_faults")
    killed, memory = found["killed"], found["out_of_memory"]
    flipped = figures("flipped_bits")
    cases = {name: one for name, one in flipped.items() if isinstance(one, dict)}
    states = [state for one in cases.values() for state in one.values()]
    return f"""## Faults

{made("extract_faults")}: {killed["kills"]} kills at random moments over {killed["runs"]} runs; {killed["byte_identical"]} of them ended with
the bytes of an undisturbed run. torch's out-of-memory error in half of all batches ({memory["batches_that_failed"]} in
{memory["runs"]} runs): {memory["complete"]} runs complete, largest difference {memory["largest_difference"]:.0e} (a split batch is
another matrix product, so the last bit may differ; {memory["bit_identical"]} runs were identical to it).

{made("flipped_bits")}: one bit flipped at random in copies of finished and of unfinished runs, {flipped["flips_of_each"]} of each
({", ".join(cases)}): {sum(one["found"] for one in states)} found, {sum(one.get("harmless", 0) for one in states)} that change no
result, {sum(one.get("silent", 0) for one in states)} silent. Of those found {sum(one.get("repaired", 0) for one in states)} were repaired and
resumed, {sum(len(one["lost_in"]) for one in states)} of them to other bytes than those of an undisturbed run.
"""


def evaluation() -> str:
    """Evaluations: the bundled model's, memory, speed, faults, and agreement with LM-Polygraph."""
    tiny, memory, speed = figures("evaluate_tiny"), figures("evaluate_memory"), figures("evaluate_speed")
    faults, polygraph = figures("evaluate_faults"), figures("evaluate_polygraph")
    scores = "\n".join(
        f"| {name} | {one['value']:.3f} | {one['low']:.3f} to {one['high']:.3f} |"
        for name, one in tiny["auroc_for_mistakes"].items()
    )
    written, judged, long = speed["generation"], speed["judging"], speed["judging_long_instruction"]
    exact = tiny["labels"]["exact_match"]
    harness = speed["lm-eval"]
    worst = max(polygraph["largest_relative_difference"].values())
    return f"""## Evaluations

{made("evaluate_tiny")}: the bundled model answers 500 questions, a third of them harder than its training, and judges its own
answers: {exact["right"]} right by exact match, the judge agrees on {100 * tiny["judge_agrees_with_exact_match"]:.1f} % of
{tiny["answers_both_decide_on"]} answers. How well its uncertainty tells its mistakes, AUROC with 95 % bootstrap intervals:

| uncertainty | AUROC | interval |
|---|---|---|
{scores}

{made("evaluate_memory")}: with generator and judge one after the other, the peak of live tensors is
{memory["sequential_over_larger_alone"]:.3f} times that of the judge alone on the same answers ({memory["simultaneous_peak"] / memory["judge_alone_peak"]:.3f} times with both
in memory); {memory["alive_after"]:,} bytes are alive once the generator of {memory["alive_before_freeing_generator"] / 2**20:.1f} MiB is freed.

{made("evaluate_speed")} ({speed["threads"]} threads, {versions("evaluate_speed")}, lm-eval {harness}):

| | compared with | times as fast |
|---|---|---|
| writing answers to {written["questions"]} questions of {written["prompt_tokens"]["shortest"]} to {written["prompt_tokens"]["longest"]} tokens | a loop of `model.generate`, batches of 8, unsorted | {written["ratio"]:.2f} |
| | lm-evaluation-harness's `hf` model | {written["ratio_to_lm_eval"]:.2f} |
| judging by probabilities, `ullage:tiny` ({100 * judged["equal_verdicts"]:.1f} % equal verdicts) | judging by text | {judged["ratio"]:.2f} |
| | lm-evaluation-harness, `loglikelihood` | {judged["ratio_to_lm_eval"]:.2f} |
| judging by probabilities, an instruction of {long["instruction_words"]} words | judging by text | {long["ratio"]:.2f} |

{made("evaluate_faults")}: {faults["kills"]} kills at random moments over {faults["runs"]} runs; {faults["byte_identical"]} ended with the bytes of an
undisturbed run. {made("evaluate_polygraph")}: ten measures differ from LM-Polygraph {polygraph["lm-polygraph"]}'s by at most
{worst:.0e} (relative) on {polygraph["answers"]} random answers.
"""


def personal_data() -> str:
    """Verification: the bundled model's verdicts, speed, faults."""
    tiny, speed, faults = figures("pii_tiny"), figures("pii_speed"), figures("pii_faults")
    scores = "\n".join(
        f"| {name} | {tiny['precision'][name]:.3f} | {tiny['recall'][name]:.3f} | {tiny['f1'][name]:.3f} |"
        for name in tiny["f1"]
    )
    killed, memory = faults["killed"], faults["memory"]
    injections = tiny["injections"]
    return f"""## Personal data

{made("pii_tiny")}: verdicts of the bundled model on {tiny["candidates"]:,} held-out candidates of its small world; asked as its card
says, which is the default; the two verdicts have {tiny["least_mass"]:.2f} of the probability at least. After `ullage pii calibrate` on others the expected calibration error is {tiny["calibration_error_after"]:.3f}. Of {injections["texts"]} texts that hold an
instruction, {injections["flipped"]} flip the verdict: no instruction changes the prompt's structure, but so small a model is swayed by words.

| weights | precision | recall | F1 |
|---|---|---|---|
{scores}

{_reading(speed)}

On `ullage:tiny` {100 * speed["tiny"]["equal_verdicts"]:.1f} % of {speed["tiny"]["candidates"]:,} verdicts are those it writes as text.

{made("pii_faults")}: {killed["kills"]} kills at random moments over {killed["runs"]} runs; {killed["byte_identical"]} ended with the bytes of an undisturbed run.
{memory["records"]:,} records in {memory["seconds"]:.0f} s, decided by a script: after the first tenth, memory grows by {memory["growth"] / 2**20:.1f} MiB.
"""


def taken_out_and_found() -> str:
    """Redaction, and what presidio's patterns find before and after a small model verifies it."""
    redaction, detection = figures("pii_redaction"), figures("pii_detection")
    came, units = redaction["came_to"], ", ".join(redaction["units"])
    withheld = sum(came.values()) - sum(
        came[each] for each in ("redacted", "is no record", "with places that only folding found")
    )
    told = {"before": detection["before"]["0.3"], **detection["after"]}
    names = {"before": "found", "verified": "verified", "verified_or_failed": "verified or failed"}
    rows = "\n".join(
        f"| {names[name]} | {one['found']:,} | {_share(one['overlapping']['precision'])} | "
        f"{_share(one['exact']['precision'])} | {_share(one['overlapping']['recall_looked_for'])} | "
        f"{_share(one['overlapping']['recall'])} |"
        for name, one in told.items()
    )
    scores = "\n".join(
        f"| {least} | {one['found']:,} | {_share(one['overlapping']['precision'])} | "
        f"{_share(one['overlapping']['recall_looked_for'])} |"
        for least, one in detection["before"].items()
    )
    types = ", ".join(
        f"{name} {hits} of {there}"
        for name, (hits, there) in detection["before"]["0.3"]["recall_by_type"].items()
    )
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in detection["verdicts"].items())
    return f"""{made("pii_redaction")}: {redaction["records"]:,} records drawn at random, offsets in {units}, overlapping, in
other cases and normal forms: {came["redacted"]:,} redacted, {withheld:,} withheld, {came["is no record"]:,} refused; no redacted text holds a
verified or failed value. In {came["with places that only folding found"]:,} of them only folding found some places.

{made("pii_detection")}: presidio {detection["presidio"]}'s patterns on {detection["records"]} sentences of presidio-research's synthetic data, which have
{told["before"]["gold"]:,} spans, {told["before"]["gold_looked_for"]:,} of types that patterns look for; then verified by {detection["model"]}, with
Ullage's prompt and no calibration: {verdicts}. Shares with Wilson's intervals of 95 %; a find is right where it overlaps a span of its
type, exact where it is the same characters.

| | spans | precision | exact | recall of what is looked for | recall of all |
|---|---|---|---|---|---|
{rows}

| least score | spans | precision | recall of what is looked for |
|---|---|---|---|
{scores}

Found, by the data's types: {types}.
"""


def _share(found: dict) -> str:
    if found["share"] is None:
        return "none"
    low, high = found["interval"]
    return f"{found['share']:.3f} ({low:.3f} to {high:.3f})"


def _reading(speed: dict) -> str:
    """Verification beside other ways; a result from before texts were read once says nothing of it."""
    rows = "\n".join(
        f"| {label.removeprefix('texts of ')} | {one['candidates']:,} | {one['tokens_of_a_prompt_after_it']:.0f} | "
        f"{one['over_before']:.1f} | {one['over_text_of_2']:.1f} | {100 * one['equal_to_rows_of_one']:.1f} % |"
        for label, one in speed.items()
        if label.startswith("texts of ")
    )
    if not rows:
        return "How fast texts are read once for all their candidates is not measured yet."
    return f"""{made("pii_speed")} ({speed["threads"]} threads, {versions("pii_speed")}): 1 to 6 candidates a text, of eight types, whole runs with
journal and output, turn about in one process after the other; medians of the rounds' ratios.

| texts | candidates | tokens after the instruction, read alone | times as fast as version 0.1 | as a loop of `model.generate`, 2 tokens a verdict | verdicts of rows of one |
|---|---|---|---|---|---|
{rows}"""


def cards() -> str:
    """Predicted against measured on GPUs: the runs of every section, then what no plan speaks of yet."""
    parts = []
    for path in sorted(RESULTS.glob("gpu-*.json")):
        found = read(path)
        parts.append(_card(path.stem, found.figures))
    return "\n".join(parts)


def _card(name: str, found: dict) -> str:
    summary = found["summary"]

    def phases_of(sections: tuple[str, ...]) -> list[tuple[dict, dict]]:
        return [
            (row, phase)
            for row in found["rows"]
            if row["section"] in sections
            for phase in row.get("phases", ())
        ]

    levels = "\n".join(
        f"| {level} | {each['configurations']} | {100 * each['median_error']:.2f} % | {each['above_high']} | {each['below_low']} |"
        for level, each in summary.items()
    )
    runs = "\n".join(
        f"| {row['name']} | {phase['phase'].removeprefix('model ')} {_peaks(phase)}"
        for row, phase in phases_of(("prefill", "decode", "captures"))
        if not phase["phase"].endswith("load")
    )
    loads = "\n".join(
        f"| {row['name'].removeprefix('load ')} {_peaks(phase)}"
        for row, phase in phases_of(("load",))
        if phase["phase"].endswith("load")
    )
    alone = "\n".join(
        f"| {row['name'].removeprefix('transformers alone, ')} | {row['figures']['ms a token']:.1f} |"
        for row in found["rows"]
        if row["name"].startswith("transformers alone")
    )
    steps = "\n".join(
        f"| {row['name']} {_peaks(phase, ('live', 'reserved'))}" for row, phase in phases_of(("training",))
    )
    timed = "\n".join(
        f"| {row['name']} | {each['what']} | {each['measured']:.4f} | {each['expected']:.4f} ({each['low']:.4f}-{each['high']:.4f}) |"
        for row in found["rows"]
        for each in row.get("timed", ())
        if "expected" in each
    )
    inside, median, count = _held(
        [each for row in found["rows"] for each in row.get("timed", ()) if "low" in each]
    )
    days = ", ".join(
        f"{name} {each['date'][:10]} (commit {each['commit']})"
        for name, each in sorted(found["sections"].items())
    )
    failed = "; ".join(
        f"{row['section']}, {row['name']}: {row['error'].splitlines()[0][:80]}" for row in found["failed"]
    )
    speeds = "\n".join(
        f"| {row['name'].removeprefix('copies ')} | "
        + " | ".join(str(value) for value in row["figures"].values())
        + " |"
        for row in found["rows"]
        if row["section"] == "copies"
    )
    left = f" Left out for want of time: {', '.join(found['left_out'])}." if found["left_out"] else ""
    return f"""## Predicted against measured, on one {found["gpu"]}

{made(name)}, driver {found["driver"]}, CUDA {found["cuda"]}, {versions(name)}; live and reserved are torch's counters,
process and device NVML's. Random weights, the shape of Llama-3.1-8B (hidden 4,096) with 8 layers, or a narrow one (hidden
512); every kind that runs, small; a part of the processor's matrix. Failed: {failed or "none"}.{left} By section, measured on: {days}.
An error is (planned - measured) / measured, over every phase that was measured:

| level | phases | median error | above the high value | below the low value |
|---|---|---|---|---|
{levels}

Below the low value are runs of the bundled model and other small ones, whose temporaries are rounded up more in the plan
than on the card, int8 runs that need no cuBLAS, and texts of several lengths ("padded"), which a run reads in passes of
their own where a plan for the longest bills one. Above the high value were whole-model training steps, by 5 MiB of 7,404:
a workspace of the thread that goes back, which is billed since. A run's seconds hold what its first pass takes to load
kernels, 0.2 to 0.3 s, which no plan counts; plans beside later runs of a section rest on those before (`measured`).

| run | phase | live MiB | error | reserved | error | process | error | seconds | planned |
|---|---|---|---|---|---|---|---|---|---|
{runs}

Loads from bf16 files that the system had cached; the plan's seconds are those of a first read:

| precision | live MiB | error | reserved | error | process | error | seconds | planned |
|---|---|---|---|---|---|---|---|---|
{loads}

A plain greedy loop over transformers' model; cuDNN's attention builds a plan for every new length, so runs do without it:

| model | ms a token |
|---|---|
{alone}

Training steps (peft, torch's AdamW), without autocast; seconds of a second step:

| step | live MiB | error | reserved | error | seconds | planned |
|---|---|---|---|---|---|---|
{steps}

Reading and writing in transformers alone, seconds beside those planned: {count} figures, {inside} inside their interval, {median:.0f} % off
in the median. Constants were set by two runs before this one. Experts are products of all that were chosen
(`grouped_mm`); kernels of mamba-ssm and flash-linear-attention were not installed:

| batch x prompt + new | | seconds | planned |
|---|---|---|---|
{timed}

Copies in pieces of 1, 16 and 256 MiB, GB/s:

| | 1 to the device | 1 to the host | 16 to | 16 from | 256 to | 256 from |
|---|---|---|---|---|---|---|
{speeds}
"""


def _peaks(phase: dict, levels: tuple[str, ...] = ("live", "reserved", "process")) -> str:
    """The end of a row: each level in MiB with its error, then seconds beside those planned."""
    told = "".join(
        f"| {phase[level]['measured'] / 2**20:,.0f} | {100 * phase[level]['error']:+.1f} % "
        for level in levels
    )
    planned = phase["planned_seconds"]
    expected = planned["expected"] if isinstance(planned, dict) else planned
    return f"{told}| {phase['seconds']:.2f} | {expected:.2f} |"


def _held(timed: list[dict]) -> tuple[int, float, int]:
    """How many lie inside their interval, how far off they are in the median, in percent, and how many there are."""
    off = [100 * abs(each["expected"] / each["measured"] - 1) for each in timed]
    return (
        sum(each["low"] <= each["measured"] <= each["high"] for each in timed),
        statistics.median(off),
        len(timed),
    )


def page() -> str:
    """The whole of docs/measured.md."""
    sections = (
        *(
            memory,
            cards,
            known_families,
            types,
            traces,
            formulas,
            families,
            streaming,
            peers,
            faults,
            evaluation,
        ),
        *(personal_data, taken_out_and_found),
    )
    parts = [
        "# Measured\n",
        *(section() for section in sections),
        probes(made("probe_real"), made("probe_fits")),
        drift(made("probe_drift")),
        transfer(made("werewolf_transfer")),
        scoring(made("probe_scoring")),
        probe_peers(made("probe_peers")),
        parked(made("pool_switch"), made("parked_families")),
        remembered(made("memory_kills")),
        killed_assistants(made("assistant_faults")),
        remembering_talks(made("assistant_talk")),
        simulated(made("cluster_simulation")),
        scaled(made("cluster_scaling")),
        planned(made("cluster_planned")),
        killed(made("cluster_kills")),
        driven(made("cluster_driver")),
    ]
    return "\n".join(parts)


def write() -> None:
    PAGE.write_text(page())
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    write()
