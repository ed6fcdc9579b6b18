"""Writes docs/measured.md from the result files of the benchmarks.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "measured.md"


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text())
    return found


def memory() -> str:
    """Predicted against measured on the processor."""
    found = result("extract_memory")
    live = found["summary"]["live"]
    rows = sorted(found["rows"], key=lambda row: -abs(row["live"]["error"]))[:5]
    table = "\n".join(
        f"| {row['family']} | {row['precision']} | {row['batch']} x {row['tokens']} | {row.get('chunk', '-')} | {row['captures']} "
        f"| {row['live']['measured'] / 2**20:.1f} | {100 * row['live']['error']:+.2f} % |"
        for row in rows
    )
    return f"""## Predicted against measured, on the processor

`{found["command"]}` runs {live["configurations"]} extractions (13 families, batches, lengths, sites, streaming; in fp32, a quarter in bf16; torch
{found["torch"]}, transformers {found["transformers"]}) and compares the largest sum of live tensors with the plan:
median error {100 * live["median_error"]:.2f} %, largest {100 * live["largest_error"]:.1f} %; {live["above_high"]} measurements
above the high value, {live["below_low"]} below the low one. The five largest errors:

| family | precision | batch x tokens | chunk | captured | live MiB | error |
|---|---|---|---|---|---|---|
{table}
"""


def streaming() -> str:
    found = result("extract_streaming")
    table = "\n".join(
        f"| {row['family']} | {row['tokens']:,} | {row['activations'] / 2**20:.2f} | {row['kv_cache'] / 2**20:.0f} "
        f"| {100 * row['error']:+.2f} % |"
        for row in found["rows"]
    )
    return f"""## Streaming

`{found["command"]}`: one sequence in chunks of 512 tokens, two layers of a small model; activations are what is live
beside weights and key-value cache.

| family | tokens | activations MiB | cache MiB | error of the plan, all live tensors |
|---|---|---|---|---|
{table}
"""


def peers() -> str:
    found = result("extract_peers")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    table = "\n".join(
        f"| {row['contestant']} | {row['batching']} | {row['tokens_per_second']:,} | {row['ullage_is_faster_by']:.2f} "
        f"| {(row['live_bytes_beside_weights'] or 0) / 2**20:.0f} | {row['largest_difference']:.0e} |"
        for row in found["rows"]
    )
    return f"""## Beside other libraries

`{found["command"]}`: a 124M-parameter GPT-2 on {found["cores"]} cores, {found["texts"]} texts of 16 to 1024 tokens, the residual
stream after the sixth of twelve layers, last position. `ullage` is a whole run with journal, shards and monitor; the
others are loops in memory. `sorted` are the batches ullage makes, `arrival` eight texts at a time. ({versions})

| | batches | tokens/s | time over ullage's | MiB beside weights | differs by |
|---|---|---|---|---|---|
{table}
"""


def faults() -> str:
    found = result("extract_faults")
    killed, memory = found["killed"], found["out_of_memory"]
    return f"""## Faults

`{found["command"]}`: {killed["kills"]} kills at random moments over {killed["runs"]} runs; {killed["byte_identical"]} of them ended with
the bytes of an undisturbed run. torch's out-of-memory error in half of all batches ({memory["batches_that_failed"]} in
{memory["runs"]} runs): {memory["complete"]} runs complete, largest difference {memory["largest_difference"]:.0e} (a split batch is
another matrix product, so the last bit may differ; {memory["bit_identical"]} runs were identical to it).
"""


def evaluation() -> str:
    """Evaluations: the bundled model's, memory, speed, faults, and agreement with LM-Polygraph."""
    tiny, memory, speed = result("evaluate_tiny"), result("evaluate_memory"), result("evaluate_speed")
    faults, polygraph = result("evaluate_faults"), result("evaluate_polygraph")
    scores = "\n".join(
        f"| {name} | {one['value']:.3f} | {one['low']:.3f} to {one['high']:.3f} |"
        for name, one in tiny["auroc_for_mistakes"].items()
    )
    made, judged, long = speed["generation"], speed["judging"], speed["judging_long_instruction"]
    exact = tiny["labels"]["exact_match"]
    harness = speed["versions"]["lm-eval"]
    worst = max(polygraph["largest_relative_difference"].values())
    return f"""## Evaluations

`{tiny["command"]}`: the bundled model answers 500 questions, a third of them harder than its training, and judges its own
answers: {exact["right"]} right by exact match, the judge agrees on {100 * tiny["judge_agrees_with_exact_match"]:.1f} % of
{tiny["answers_both_decide_on"]} answers. How well its uncertainty tells its mistakes, AUROC with 95 % bootstrap intervals:

| uncertainty | AUROC | interval |
|---|---|---|
{scores}

`{memory["command"]}`: with generator and judge one after the other, the peak of live tensors is
{memory["sequential_over_larger_alone"]:.3f} times that of the judge alone on the same answers ({memory["simultaneous_peak"] / memory["judge_alone_peak"]:.3f} times with both
in memory); {memory["alive_after"]:,} bytes are alive once the generator of {memory["alive_before_freeing_generator"] / 2**20:.1f} MiB is freed.

`{speed["command"]}` ({speed["versions"]["threads"]} threads, torch {speed["versions"]["torch"]}, lm-eval {harness}):

| | compared with | times as fast |
|---|---|---|
| writing answers to {made["questions"]} questions of {made["prompt_tokens"]["shortest"]} to {made["prompt_tokens"]["longest"]} tokens | a loop of `model.generate`, batches of 8, unsorted | {made["ratio"]:.2f} |
| | lm-evaluation-harness's `hf` model | {made["ratio_to_lm_eval"]:.2f} |
| judging by probabilities, `ullage:tiny` ({100 * judged["equal_verdicts"]:.1f} % equal verdicts) | judging by text | {judged["ratio"]:.2f} |
| | lm-evaluation-harness, `loglikelihood` | {judged["ratio_to_lm_eval"]:.2f} |
| judging by probabilities, an instruction of {long["instruction_words"]} words | judging by text | {long["ratio"]:.2f} |

`{faults["command"]}`: {faults["kills"]} kills at random moments over {faults["runs"]} runs; {faults["byte_identical"]} ended with the bytes of an
undisturbed run. `{polygraph["command"]}`: ten measures differ from LM-Polygraph {polygraph["lm-polygraph"]}'s by at most
{worst:.0e} (relative) on {polygraph["answers"]} random answers.
"""


def personal_data() -> str:
    """Verification: the bundled model's verdicts, speed, faults."""
    tiny, speed, faults = result("pii_tiny"), result("pii_speed"), result("pii_faults")
    scores = "\n".join(
        f"| {name} | {tiny['precision'][name]:.3f} | {tiny['recall'][name]:.3f} | {tiny['f1'][name]:.3f} |"
        for name in tiny["f1"]
    )
    seconds, killed, memory = speed["seconds"], faults["killed"], faults["memory"]
    injections = tiny["injections"]
    return f"""## Personal data

`{tiny["command"]}`: verdicts of the bundled model on {tiny["candidates"]:,} held-out candidates of its small world; after
`ullage pii calibrate` on others the expected calibration error is {tiny["calibration_error_after"]:.3f}. Of {injections["texts"]} texts that hold an
instruction, {injections["flipped"]} flip the verdict: no instruction changes the prompt's structure, but so small a model is swayed by words.

| weights | precision | recall | F1 |
|---|---|---|---|
{scores}

`{speed["command"]}` ({speed["versions"]["threads"]} threads, torch {speed["versions"]["torch"]}): {speed["records"]:,} records with {speed["candidates"]:,} candidates,
{speed["tokens_a_candidate"]:.0f} tokens each, of which {speed["instruction_tokens"]} are the instruction.

| | seconds | Ullage is so many times as fast |
|---|---|---|
| `ullage run`, journal and output included | {seconds["ullage"]:.0f} | |
| a loop of `model.generate`, batches of 8, 8 tokens a verdict | {seconds["text"]:.0f} | {speed["text_over_ullage"]:.1f} |
| the same, 2 tokens: a verdict and its end | {seconds["text_of_2"]:.0f} | {speed["text_of_2_over_ullage"]:.1f} |
| the instruction read anew for each candidate | {seconds["no_prefix"]:.0f} | {speed["no_prefix_over_ullage"]:.1f} |

On `ullage:tiny` {100 * speed["tiny"]["equal_verdicts"]:.1f} % of {speed["tiny"]["candidates"]:,} verdicts are those it writes as text.

`{faults["command"]}`: {killed["kills"]} kills at random moments over {killed["runs"]} runs; {killed["byte_identical"]} ended with the bytes of an undisturbed run.
{memory["records"]:,} records in {memory["seconds"]:.0f} s, decided by a script: after the first tenth, memory grows by {memory["growth"] / 2**20:.1f} MiB.
"""


def main() -> None:
    parts = ["# Measured\n", memory(), streaming(), peers(), faults(), evaluation(), personal_data()]
    PAGE.write_text("\n".join(parts))
    print(PAGE)


if __name__ == "__main__":
    main()
