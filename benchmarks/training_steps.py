"""Training steps of small models on a processor: the live peak that was planned against the one that was.

    python benchmarks/training_steps.py      # writes results/training_steps.json

Each step is Trainer's: accelerate prepares model and fused AdamW, the loss is asked for, its outputs are let
go, the way back, the optimizer's step, gradients dropped; the second step counts, when optimizer state is
there. Models are transformers' own classes with random weights, adapters peft's, 4-bit layers those of
bitsandbytes. What lives is counted by `runtime.live`.
"""

from __future__ import annotations

import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import result_file
import small_models

FAMILIES = ("llama", "qwen3", "gemma2", "phi3", "olmo2")
WAYS = ("full", "lora", "qlora")
QUERIES = ("q_proj", "k_proj", "v_proj", "o_proj")
MIXTURES = {
    "mixtral": QUERIES,
    "qwen2_moe": QUERIES,
    "qwen3_moe": QUERIES,
    "deepseek_v3": ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"),
}
"""Families with experts, and what adapters stand beside there: nobody knows those of experts."""
SMALL, LARGE = 256, 4096
"""Vocabularies: with the small one the peak is in the layers, with the large one in the loss."""
TOKENS = 128
LONG = 512
"""Tokens of families with experts: so many that what is kept of them outweighs their optimizer state."""
RANK = 8
WITHIN = 0.05
AT_ONCE = 3
"""Processes."""


class Case(NamedTuple):
    """One step: a `family`'s model of so many words, trained one `way`, with layers `checkpointed` or not,
    under autocast or not, in `batch` texts of which the last is shorter by `padding`."""

    family: str
    way: str
    checkpointed: bool
    mixed: str
    vocabulary: int
    kernel: str = "sdpa"
    batch: int = 1
    padding: int = 0
    optimizer: str = "adamw"
    tokens: int = TOKENS


def sized(case: Case) -> Any:
    """The configuration of the case's model."""
    config = small_models.config_of(case.family, 4, 256, 8, 2, case.vocabulary, 2048, 2048)
    config._attn_implementation = case.kernel
    return config


def targets_of(case: Case) -> str | list[str]:
    """What its adapters stand beside."""
    return list(MIXTURES[case.family]) if case.family in MIXTURES else "all-linear"


def built(case: Case, folder: Path) -> Any:
    """The model as it is trained, and its checkpoint in `folder`."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    asked = {"dtype": torch.bfloat16, "attn_implementation": case.kernel}
    model = transformers.AutoModelForCausalLM.from_config(sized(case), **asked)
    model.save_pretrained(folder)
    if case.way == "qlora":
        quantized = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, quantization_config=quantized, device_map="cpu", **asked
        )
        how = {"use_reentrant": False}
        model = prepare_model_for_kbit_training(model, case.checkpointed, how)
    elif case.checkpointed:
        model.gradient_checkpointing_enable()
    model.config.use_cache = False  # TrainingArguments.use_cache
    if case.way != "full":
        targets = targets_of(case)
        model = get_peft_model(model, LoraConfig(r=RANK, target_modules=targets, task_type="CAUSAL_LM"))
    return model.train()


def measured(case: Case, folder: Path) -> int:
    """Live bytes at the fullest moment of the second step."""
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    from ullage.runtime.live import LiveTensors

    model = built(case, folder)
    trained = [each for each in model.parameters() if each.requires_grad]
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=True, mixed_precision=case.mixed)
    model, optimizer = accelerator.prepare(model, _optimizer(case, trained))
    ids = torch.randint(0, case.vocabulary, (case.batch, case.tokens))
    mask = torch.ones_like(ids)
    if case.padding:
        mask[-1, -case.padding :] = 0
    with LiveTensors() as live:
        live.track_model(model)
        live.track(_quantization_state(model))
        for _ in range(2):
            live.reset_peak()
            inputs = {"input_ids": ids.clone(), "attention_mask": mask.clone(), "labels": ids.clone()}
            loss = model(**inputs)["loss"]
            accelerator.backward(loss)
            del inputs, loss
            optimizer.step()
            optimizer.zero_grad()
    return live.peak


def _optimizer(case: Case, trained: list[Any]) -> Any:
    import torch

    if case.optimizer == "sgd":
        return torch.optim.SGD(trained)
    if case.optimizer == "adamw-8bit":
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(trained)
    return torch.optim.AdamW(trained, fused=True if case.optimizer == "adamw" else None)


def _quantization_state(model: Any) -> list[Any]:
    states = [getattr(getattr(each, "weight", None), "quant_state", None) for each in model.modules()]
    return [tensor for state in states if state is not None for tensor in (state.absmax, state.code)]


def planned(case: Case, folder: Path) -> tuple[int, int, int]:
    """The live peak of the same step by its plan: low, expected and high."""
    import ullage

    training: dict[str, Any] = {"mixed_precision": case.mixed, "optimizer": case.optimizer}
    training |= (
        {"master_weights": False}
        if case.way == "full"
        else {"lora": {"r": RANK, "target_modules": targets_of(case)}}
    )
    workload = ullage.load(
        {
            "kind": "extract",
            "roles": {"model": {"model": str(folder), "attention": case.kernel, "precision": _stored(case)}},
            "training": training,
            "memory": {"enable_gradient_checkpointing": case.checkpointed},
            "prompt_tokens": case.tokens,
            "batch": case.batch,
        }
    )
    peak = ullage.plan(workload, "cpu", advice=False).devices[0].peak.live
    return peak.low, peak.expected, peak.high


def _stored(case: Case) -> str:
    return "nf4" if case.way == "qlora" else "bf16"


def held(case: Case) -> dict[str, Any]:
    """The case with its planned and measured peaks."""
    with tempfile.TemporaryDirectory() as folder:
        real = measured(case, Path(folder))
        low, expected, high = planned(case, Path(folder))
    return {
        **case._asdict(),
        "measured_bytes": real,
        "expected_bytes": expected,
        "high_bytes": high,
        "error_percent": round(100 * (expected / real - 1), 2),
        "covered": low <= real <= high,
        "above_high": real > high,
    }


def cases() -> list[Case]:
    """Every family by every way, with and without checkpointing, half of them under autocast and with a large
    vocabulary; then other kernels, padded batches, optimizers and lengths with the first; then families with
    experts, one of them with latent attention, the same ways."""
    found = []
    for number, (family, way, checkpointed) in enumerate(product(FAMILIES, WAYS, (False, True))):
        mixed = ("bf16", "no")[number % 4 == 3]
        found.append(Case(family, way, checkpointed, mixed, (SMALL, SMALL, LARGE)[number % 3]))
    common = ("llama", "lora", True, "bf16", SMALL)
    found.append(Case(*common, kernel="eager"))
    found.append(Case(*common, batch=3, padding=50))
    found.append(Case(*common, optimizer="sgd"))
    found.append(Case("llama", "full", True, "no", SMALL, optimizer="adamw-torch"))
    found.append(Case(*common, tokens=48))
    for number, (family, way, checkpointed) in enumerate(product(MIXTURES, WAYS, (False, True))):
        mixed = ("bf16", "no")[number % 4 == 3]
        found.append(Case(family, way, checkpointed, mixed, SMALL, tokens=LONG))
    return found


def main() -> None:
    made = result_file.start("training_steps")
    rows = []
    with ProcessPoolExecutor(AT_ONCE) as pool:
        for row in pool.map(held, cases()):
            rows.append(row)
            print(len(rows), *row.values(), flush=True)
    errors = [abs(row["error_percent"]) for row in rows]
    figures = {
        "steps": len(rows),
        "families": len(FAMILIES) + len(MIXTURES),
        "median_percent": statistics.median(errors),
        "maximum_percent": max(errors),
        "within_5_percent": sum(each <= 100 * WITHIN for each in errors),
        "above_high": sum(row["above_high"] for row in rows),
        "rows": rows,
    }
    made.write(
        figures,
        {"all within 5 percent": max(errors) <= 100 * WITHIN, "none above": not figures["above_high"]},
    )


if __name__ == "__main__":
    main()
