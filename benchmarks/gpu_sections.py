"""The sections of gpu.py: runs on a GPU, each row predicted beside measured; and what no plan speaks of yet.

Models have the shape of Llama-3.1-8B (hidden 4,096, 32 heads, 8 key-value heads, MLP 14,336, vocabulary
128,256) with few layers, or a narrow shape where only the number of layers counts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import extract_memory
import gpu_moving
import gpu_times
import planned_is_done
import small_models
from result_file import ROOT

LAST = {"sites": ["ln_final"], "positions": "last", "keep": "disk"}
MIB = 2**20
WIDE = {"hidden_size": 4096, "heads": 32, "kv_heads": 8, "intermediate_size": 14336, "vocabulary": 128_256}
NARROW = {"hidden_size": 512, "heads": 8, "kv_heads": 4, "intermediate_size": 1536, "vocabulary": 400}
ONE_BILLION = {
    "hidden_size": 2048,
    "heads": 32,
    "kv_heads": 8,
    "intermediate_size": 8192,
    "vocabulary": 128_256,
}
MATRIX = {"hidden": 1024, "heads": 16, "kv_heads": 8, "layers": 6, "window": 256}
QUANTIZED_FAMILIES = ("llama", "qwen3", "gemma2", "phi3", "gpt_neox", "opt")


Row = dict[str, Any]
Todo = Iterator[tuple[str, Callable[[], Row]]]


class Section(NamedTuple):
    """`todo` gives names and what measures them, the most valuable first; `seconds` is all it may take."""

    todo: Callable[[Path], Todo]
    seconds: float


def run(name: str, rows: Path, deadline: float) -> None:
    """Every row of section `name` until `deadline` (of time.monotonic), appended to `rows`."""
    with tempfile.TemporaryDirectory() as folder, rows.open("a", encoding="utf-8") as file:
        os.environ["ULLAGE_HOME"] = str(Path(folder) / "home")
        for row_name, measured in SECTIONS[name].todo(Path(folder)):
            if time.monotonic() > deadline:
                print(f"{name}: the rest is left out from {row_name} on", file=sys.stderr)
                break
            begun = time.monotonic()
            try:
                row = measured()
            except Exception as error:  # one row that fails must not cost the others
                row = {"error": f"{type(error).__name__}: {error}"[:2000]}
            row = {"section": name, "name": row_name, "took": round(time.monotonic() - begun, 2), **row}
            file.write(json.dumps(row) + "\n")
            file.flush()
            show(row)


def show(row: dict[str, Any]) -> None:
    """A line a phase: measured MiB of each level, and how far the plan lay from it."""
    print(f"{row['section']}: {row['name']} ({row['took']} s) {row.get('error', '')}")
    for phase in row.get("phases", ()):
        told = [
            f"{level} {phase[level]['measured'] / MIB:,.0f} ({100 * phase[level]['error']:+.1f} %"
            f"{' ABOVE' if phase[level]['measured'] > phase[level]['high'] else ''})"
            for level in extract_memory.LEVELS
            if level in phase
        ]
        planned = phase["planned_seconds"]
        print(f"  {phase['phase']}: {', '.join(told)}; {phase['seconds']:.2f} s, planned {planned}")
    for key, value in row.get("figures", {}).items():
        print(f"  {key}: {value}")


# Runs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One extraction of a random Llama: its shape, its texts, and what else the file says."""

    shape: dict[str, int]
    layers: int
    lengths: tuple[int, ...]
    precision: str = "bf16"
    attention: str = "auto"
    new_tokens: int = 0
    logits: str = "none"
    captures: tuple[dict[str, Any], ...] = (LAST,)

    def __str__(self) -> str:
        words = (
            f"hidden {self.shape['hidden_size']}, {self.layers} layers, {self.precision}, {self.attention}"
        )
        words += f", {len(self.lengths)} x {max(self.lengths)}" + (
            "" if len(set(self.lengths)) == 1 else " padded"
        )
        words += f", {self.new_tokens} new" if self.new_tokens else ""
        words += f", logits {self.logits}" if self.logits != "none" else ""
        return words + (
            "" if self.captures == (LAST,) else f", {self.captures[0]['keep']} {self.captures[0]['sites']}"
        )


def measure(case: Case, folder: Path) -> Row:
    """A real run: every phase's levels (low, expected, high, measured), seconds and planned seconds."""
    import ullage

    model = save_model(case.shape, case.layers, folder)
    small_models.write_tokens(folder / "input.jsonl", list(case.lengths), min(case.shape["vocabulary"], 400))
    body = {
        "kind": "extract",
        "roles": {"model": {"model": str(model), "precision": case.precision, "attention": case.attention}},
        "budget": {"gpus": "local"},
        "batch": len(case.lengths),
        "prompt_tokens": max(case.lengths),
        "new_tokens": case.new_tokens,
        "examples": len(case.lengths),
        "captures": list(case.captures),
        "extract": {"input": "input.jsonl", "logits": case.logits, "generate": bool(case.new_tokens)},
    }
    (folder / "workload.json").write_text(json.dumps(body))
    out, record = ullage.run(
        ullage.load(folder / "workload.json"), folder / f"run-{len(list(folder.glob('run-*')))}", base=folder
    )
    return {"phases": phases_of(out, record), "tokens": record.tokens}


def phases_of(out: Path, record: Any) -> list[Row]:
    """Each phase that a run measured on the GPU, beside the plan in its manifest."""
    import ullage

    plan = json.loads((out / "manifest.json").read_text())["plan"]
    times = {each["phase"]: each for each in plan["times"]}
    found = []
    for measured in record.measured:
        if measured.device != "gpu:0":
            continue
        compared = {
            c.what: {**extract_memory.interval(c.predicted), "measured": c.measured, "error": c.error}
            for c in ullage.verify(out).comparisons
            if (c.phase, c.device) == (measured.phase, "gpu:0") and c.measured
        }
        planned = times.get(measured.phase, {}).get("total_seconds")
        found.append(
            {"phase": measured.phase, "seconds": measured.seconds, "planned_seconds": planned, **compared}
        )
    return found


def save_model(shape: dict[str, int], layers: int, folder: Path) -> Path:
    """A random Llama in bf16 with a tokenizer, made on the GPU; kept for the next case of the same shape."""
    import torch
    from transformers import AutoModelForCausalLM

    path = folder / f"llama-{shape['hidden_size']}-{layers}"
    if path.exists():
        return path
    with torch.device("cuda"):
        made = AutoModelForCausalLM.from_config(llama(shape, layers), dtype=torch.bfloat16)
    made.save_pretrained(path)
    small_models.tokenizer().save_pretrained(path)
    os.sync()  # what is still being written to disk would slow down what is timed next
    del made
    torch.cuda.empty_cache()
    return path


def llama(shape: dict[str, int], layers: int) -> Any:
    """The configuration of one, for 131,072 positions."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["hidden_size"],
        num_hidden_layers=layers,
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        intermediate_size=shape["intermediate_size"],
        max_position_embeddings=131_072,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def cases(found: list[Case], folder: Path) -> Todo:
    for case in found:
        yield str(case), partial(measure, case, folder)


# Sections -------------------------------------------------------------------------------------------------


def smoke(folder: Path) -> Todo:
    """Every kind that runs, as its small workload says; the command line; tests/gpu."""
    for kind in planned_is_done.runnable():
        for precision in ("auto", "bf16", "nf4"):
            yield (
                f"{kind} {precision}",
                partial(small_workload, kind, precision, folder / f"{kind}-{precision}"),
            )
    yield "ullage run, verify", partial(command_line, folder / "command")
    yield "assistant", partial(assistant, folder / "assistant")
    yield "tests/gpu", partial(command, sys.executable, "-m", "pytest", "tests/gpu", "-q")


def small_workload(kind: str, precision: str, folder: Path) -> Row:
    """A run of the kind's small workload on the GPU, and whether all it billed was done."""
    from ullage.records.record import read_record

    folder.mkdir()
    roles = {"extract": "model", "evaluate": "generator", "pii": "verifier", "werewolf": "player"}
    more = []
    if kind == "evaluate" and not importlib.util.find_spec("rouge_score"):
        more = ["evaluate.metrics=[exact_match, f1]"]
    out = planned_is_done.run(
        kind, ["budget.gpus=local", f"roles.{roles[kind]}.precision={precision}", *more], folder
    )
    record = read_record(json.loads((out / "record.json").read_text()), str(out))
    found = {"phases": phases_of(out, record)}
    if broken := list(planned_is_done.broken(out)):
        found["error"] = "; ".join(broken)
    return found


def command_line(folder: Path) -> Row:
    """`ullage run --gpus local` and what comes after it, each by its exit code and the end of its output."""
    folder.mkdir()
    ullage = (sys.executable, "-m", "ullage")
    file = planned_is_done.HERE / "extract.yaml"
    (folder / "extract.yaml").write_text(file.read_text())
    commands = (
        ("sample", "answer", "--out", str(folder / "answer.jsonl"), "--count", "6"),
        ("plan", str(folder / "extract.yaml"), "--gpus", "local"),
        ("check", str(folder / "extract.yaml"), "--gpus", "local"),
        ("run", str(folder / "extract.yaml"), "--gpus", "local", "--out", str(folder / "run")),
        ("verify", str(folder / "run")),
        ("evidence",),
    )
    said = {each[0]: command(*ullage, *each)["figures"]["said"] for each in commands}
    return {"figures": said}


ASSISTANT = """
kind: assistant
roles:
  voice: {model: "ullage:tiny"}
  pragmatist: {model: WIDE, precision: bf16, residency: host}
  philosopher: {model: WIDE, precision: bf16, residency: host}
budget: {gpus: local, reserve: 131GiB}
prompt_tokens: 200
new_tokens: 16
batch: 4
examples: 8
assistant:
  input: requests.jsonl
  routing: {by: rules, rules: [{to: philosopher, words: [right]}], fallback: pragmatist}
"""
"""Two specialists of 4.2 GiB in turn where the reserve leaves room for one of them."""


def assistant(folder: Path) -> Row:
    """Requests that make two specialists come and go, each phase beside its plan."""
    import ullage
    from ullage.records.record import read_record

    folder.mkdir()
    wide = save_model(WIDE, 8, folder)
    (wide / "chat_template.jinja").write_text("{% for each in messages %}{{ each.content }} {% endfor %}")
    (folder / "assistant.yaml").write_text(ASSISTANT.replace("WIDE", wide.name))
    texts = ("How do I repair a lamp?", "Is it right to read a letter?") * 4
    lines = [json.dumps({"id": f"r{index}", "text": text}) for index, text in enumerate(texts)]
    (folder / "requests.jsonl").write_text("\n".join(lines))
    ullage.run(ullage.load(folder / "assistant.yaml"), folder / "run", base=folder)
    record = read_record(json.loads((folder / "run" / "record.json").read_text()), "record.json")
    return {"phases": phases_of(folder / "run", record)}


def command(*arguments: str) -> Row:
    """What a command said. Raises RuntimeError where it ended badly."""
    ran = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)
    said = f"{ran.stdout[-3000:]}{ran.stderr[-1500:]}"
    if ran.returncode:
        raise RuntimeError(f"{' '.join(arguments[:4])} ended with {ran.returncode}: {said}")
    return {"figures": {"said": said[-1500:]}}


def prefill(folder: Path) -> Todo:
    """Long prompts, which no published table shows."""
    found = [Case(WIDE, 8, (length,) * batch) for batch in (1, 4) for length in (2048, 8192, 32_768)]
    found += [Case(WIDE, 8, (2048,) * batch, attention="eager") for batch in (1, 4)]
    found += [Case(WIDE, 8, (8192, 6000, 3000, 1000))]
    found += [Case(WIDE, 8, (2048, 1500, 700, 100), attention=each) for each in ("auto", "eager")]
    found += [Case(WIDE, 8, (length,), logits="last") for length in (2048, 32_768)]
    found += [Case(WIDE, 8, (length,), logits="all") for length in (2048, 8192)]
    found += [Case(WIDE, 8, (2048,), attention="sdpa-math")]
    if importlib.util.find_spec("flash_attn"):
        found += [Case(WIDE, 8, (length,), attention="flash") for length in (2048, 8192, 32_768)]
    return cases(found, folder)


def decode(folder: Path) -> Todo:
    """New tokens after short and long prompts, and after 1, 8 and 32 narrow layers: host time a layer."""
    found = [Case(WIDE, 8, (length,), new_tokens=256) for length in (1, 8192, 32_768)]
    found += [Case(NARROW, layers, (16,), new_tokens=128) for layers in (1, 8, 32)]
    found += [
        Case(WIDE, 8, (length,), precision, new_tokens=64)
        for precision in ("int8", "nf4")
        for length in (1, 8192)
    ]
    found += [Case(WIDE, 8, (2048,) * 16, new_tokens=64), Case(WIDE, 8, (2048, 500, 1000, 1), new_tokens=64)]
    every = {"sites": ["blocks.*.hook_resid_post"], "positions": "all", "keep": "disk"}
    found += [Case(WIDE, 8, (2048,), new_tokens=64, captures=each) for each in ((LAST,), (every,))]
    for name, shape, layers in (("wide", WIDE, 8), ("narrow", NARROW, 8), ("narrow", NARROW, 32)):
        for cudnn in (False, True):
            how = "with" if cudnn else "without"
            said = f"transformers alone, {name}, {layers} layers, {how} cuDNN's attention"
            yield said, partial(alone, shape, layers, cudnn, folder)
    yield from cases(found, folder)


def alone(shape: dict[str, int], layers: int, cudnn: bool, folder: Path) -> Row:
    """Milliseconds a token of a plain greedy loop over transformers' model, after a prompt of 16."""
    import torch
    from transformers import AutoModelForCausalLM

    how: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": 0}}
    model = AutoModelForCausalLM.from_pretrained(save_model(shape, layers, folder), **how)
    found = []
    torch.backends.cuda.enable_cudnn_sdp(cudnn)
    with torch.inference_mode():
        read, cache = torch.randint(3, 400, (1, 16), device="cuda"), None
        for _ in range(64):
            begun = time.perf_counter()
            out = model(input_ids=read, past_key_values=cache, use_cache=True)
            read, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
            read.item()
            found.append(1000 * (time.perf_counter() - begun))
    return {"figures": {"ms a token": round(statistics.median(found[8:]), 2)}}


def load(folder: Path) -> Todo:
    """A context with nothing in it, then loads from bf16 files in every precision."""
    yield "empty context", partial(command, sys.executable, "-c", EMPTY_CONTEXT)
    for precision in ("bf16", "fp16", "fp32", "int8", "nf4", "nf4-dq"):
        yield f"load {precision}", partial(measure, Case(WIDE, 8, (16,), precision), folder)


EMPTY_CONTEXT = """
import os, pynvml, torch
pynvml.nvmlInit()
card = pynvml.nvmlDeviceGetHandleByIndex(0)
def used():
    all_of_them = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    mine = [p.usedGpuMemory for p in all_of_them if p.pid == os.getpid()]
    return pynvml.nvmlDeviceGetMemoryInfo(card).used // 2**20, [m and m // 2**20 for m in mine]
print("MiB on the card, of this process; before", used())
torch.cuda.init(); torch.cuda.mem_get_info()
print("after init", used(), "reserved", torch.cuda.memory_reserved() // 2**20)
x = torch.ones(8, device="cuda")
print("after a first tensor", used(), "reserved", torch.cuda.memory_reserved() // 2**20)
y = torch.ones(512, 512, device="cuda", dtype=torch.bfloat16)
y = y @ y
torch.cuda.synchronize()
print("after a product", used(), "live", torch.cuda.memory_allocated() / 2**20)
q = torch.ones(1, 8, 512, 64, device="cuda", dtype=torch.bfloat16)
torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True); torch.cuda.synchronize()
print("after attention", used())
"""


def copies(_folder: Path) -> Todo:
    """Host to device, over a stream of its own while the card computes: what a pool of weights can reach."""
    for computing in (False, True):
        for pinned in (True, False):
            yield (
                f"copies {'pinned' if pinned else 'pageable'}{' beside products' if computing else ''}",
                partial(copy, pinned, computing),
            )


def copy(pinned: bool, computing: bool) -> Row:
    """GB/s to and from the device in pieces of 1, 16 and 256 MiB; 2 GiB each way."""
    import torch

    found: dict[str, Any] = {}
    side, square = torch.cuda.Stream(), torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for piece in (1, 16, 256):
        host = torch.empty(256 * MIB, dtype=torch.uint8, pin_memory=pinned)
        there = torch.empty(256 * MIB, dtype=torch.uint8, device="cuda")
        parts = list(zip(host.split(piece * MIB), there.split(piece * MIB), strict=True))
        for way in ("to the device", "to the host"):
            torch.cuda.synchronize()
            if computing:
                for _ in range(40):
                    square @ square
            begun = time.perf_counter()
            with torch.cuda.stream(side):
                for _ in range(8):
                    for at_host, at_device in parts:
                        if way == "to the device":
                            at_device.copy_(at_host, non_blocking=True)
                        else:
                            at_host.copy_(at_device, non_blocking=True)
            side.synchronize()
            found[f"{piece} MiB {way}, GB/s"] = round(2048 * MIB / (time.perf_counter() - begun) / 1e9, 1)
            torch.cuda.synchronize()
    return {"figures": found}


def captures(folder: Path) -> Todo:
    """Every layer's states: kept on the device, streamed to the host, written to disk."""
    found = [
        Case(
            WIDE,
            8,
            (2048,) * 4,
            captures=({"sites": ["blocks.*.hook_resid_post"], "positions": "all", "keep": keep},),
        )
        for keep in ("device", "host", "disk")
    ]
    return cases(found, folder)


def training(folder: Path) -> Todo:
    """One step: full fine-tuning of a 1B shape beside its plan; LoRA on bf16 and nf4 as measured."""
    for checkpointing in (False, True):
        yield f"full 1B, checkpointing {checkpointing}", partial(full_step, 4, 1024, checkpointing)
    for precision in ("bf16", "nf4"):
        for tokens in (1024, 4096):
            for checkpointing in (False, True):
                yield (
                    f"LoRA r=16 {precision}, {tokens} tokens, checkpointing {checkpointing}",
                    partial(lora_step, precision, tokens, checkpointing, folder),
                )


def full_step(layers: int, tokens: int, checkpointing: bool) -> Row:
    """AdamW on every bf16 weight of `layers` wide layers, beside what the plan says of it."""
    import torch
    from transformers import AutoModelForCausalLM

    config = llama(ONE_BILLION, layers)
    _forget()
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plan = training_plan(config, "bf16", tokens, checkpointing, master_weights=False)
    seconds = step(model, torch.optim.AdamW(model.parameters()), tokens, checkpointing)
    return beside_plan(plan, seconds)


def lora_step(precision: str, tokens: int, checkpointing: bool, folder: Path) -> Row:
    """LoRA of rank 16 on all projections of 8 wide layers, beside what the plan says of it."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    _forget()
    how: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": 0}}
    if precision == "nf4":
        how["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    model = AutoModelForCausalLM.from_pretrained(save_model(WIDE, 8, folder), **how)
    if precision == "nf4":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing)
    projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=16, target_modules=projections))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    held = torch.cuda.memory_allocated()
    lora = {"r": 16, "target_modules": projections}
    plan = training_plan(llama(WIDE, 8), precision, tokens, checkpointing, lora=lora)
    seconds = step(model, torch.optim.AdamW(trained), tokens, checkpointing)
    found = beside_plan(plan, seconds)
    return found | {
        "figures": {
            "held before the step, MiB": round(held / MIB, 1),
            "trained parameters": sum(weight.numel() for weight in trained),
        }
    }


def _forget() -> None:
    """What an earlier row held is given back."""
    import gc

    import torch

    gc.collect()
    torch.cuda.empty_cache()


def training_plan(config: Any, precision: str, tokens: int, checkpointing: bool, **training: Any) -> Any:
    """The plan of a step of one sequence without autocast."""
    import ullage

    with tempfile.TemporaryDirectory() as name:
        config.architectures = ["LlamaForCausalLM"]
        config.dtype = "bfloat16"
        config.save_pretrained(name)
        return ullage.plan(
            {
                "kind": "extract",
                "roles": {"model": {"model": name, "precision": precision}},
                "batch": 1,
                "prompt_tokens": tokens,
                "memory": {"enable_gradient_checkpointing": checkpointing},
                "training": {"optimizer": "adamw-torch", "mixed_precision": "no", **training},
            },
            gpu_times.GPUS,
        )


def beside_plan(plan: Any, seconds: float) -> Row:
    """torch's peaks and a step's seconds beside what was planned of it."""
    import torch

    card = plan.devices[0]
    peaks = {"live": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
    times = {each.phase: each.seconds for each in plan.times if not each.phase.endswith("load")}
    known = [each for each in times.values() if each is not None]
    whole = sum(known[1:], known[0]) if known else None
    found: Row = {
        "phase": card.peak_phase,
        "seconds": seconds,
        "planned_seconds": extract_memory.interval(whole) if whole is not None else None,
    }
    for level, measured in peaks.items():
        interval = getattr(card.peak, level)
        error = interval.expected / measured - 1
        found[level] = {**extract_memory.interval(interval), "measured": measured, "error": error}
    return {"phases": [found]}


def step(model: Any, optimizer: Any, tokens: int, checkpointing: bool) -> float:
    """Two steps on random tokens, so that the optimizer's state is there; seconds of the second."""
    import torch

    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    read = torch.randint(3, 400, (1, tokens), device="cuda")
    torch.cuda.reset_peak_memory_stats()
    begun = 0.0
    for _ in range(2):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        model(input_ids=read, labels=read, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def matrix(folder: Path) -> Todo:
    """The configurations of extract_memory.py with wider models: bf16, then some in int8 and nf4."""
    found = [("bf16", each) for each in extract_memory.configurations()]
    if importlib.util.find_spec("bitsandbytes"):
        chosen = [each for each in extract_memory.configurations() if each["family"] in QUANTIZED_FAMILIES]
        found = [(precision, each) for precision in ("int8", "nf4") for each in chosen[::3]] + found
    for precision, each in found:
        name = f"{each['family']} {precision} {each['batch']} x {each['tokens']} {each['captures']}"
        yield f"{name} chunk {each.get('chunk', '-')}", partial(matrix_row, each, precision, folder)


def matrix_row(configuration: dict[str, Any], precision: str, folder: Path) -> Row:
    out = extract_memory.run(configuration, folder, "local", precision, MATRIX)
    return {"phases": phases_of(*out)}


def pool(folder: Path) -> Todo:
    """Weights that come and go, and what that takes (gpu_moving)."""
    return gpu_moving.pool(folder, partial(save_model, WIDE, 8))


SECTIONS = {
    "smoke": Section(smoke, 260),
    "reading": Section(gpu_moving.reading, 60),
    "batches": Section(gpu_times.batches, 90),
    "caches": Section(gpu_times.caches, 60),
    "experts": Section(gpu_times.experts, 50),
    "scanned": Section(gpu_times.scanned, 25),
    "training": Section(training, 60),
    "prefill": Section(prefill, 80),
    "decode": Section(decode, 90),
    "load": Section(load, 60),
    "pool": Section(pool, 60),
    "copies": Section(copies, 30),
    "captures": Section(captures, 45),
    "matrix": Section(matrix, 300),
}
