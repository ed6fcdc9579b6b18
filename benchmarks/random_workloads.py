"""Random workload files of every kind, from a seed: what `plans_before.py` plans.

Most are sensible, some ask for what is refused. Models come from the catalog, from config.json files and
from GGUF headers; `write_models` puts the latter two beside the workload files.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Data = dict[str, object]

SMALL: Final = 15e9
"""Parameters of a model that most roles draw."""
STORED: Final = ("RedHatAI/", "openai/gpt-oss", "deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-R1")
"""Catalog names that begin so are of checkpoints stored in a quantized scheme."""
FILES: Final = ("llama-q4.gguf", "qwen2-q8.gguf", "config-llama.json", "config-gptq.json", "config-awq.json")
CARDS: Final = (
    "A100", "A100-40GB", "H100", "H100-NVL-94GB", "H200", "B200", "L4", "L40S", "A10G", "T4", "V100",
    "P100-PCIE-16GB",
    "RTX A6000", "RTX 6000 Ada", "RTX 5090", "RTX 4090", "RTX 4060", "RTX 3090", "RTX 3060 12GB",
    "RTX 2080 Ti", "GTX 1080 Ti", "GTX 1660", "MI300X", "MI250X", "RX 7900 XTX", "DGX Spark GB10",
)  # fmt: skip
LARGE_CARDS: Final = ("A100", "H100", "H200", "B200", "RTX A6000", "MI300X", "RTX PRO 6000", "GB300")
UNKNOWN_CARDS: Final = ("Arc A770", "Gaudi 3", "Max 1550", "TPU v5e", "0x A100", "2000xA100")
SITES: Final = (
    "blocks.{l}.hook_resid_post", "blocks.{l}.hook_resid_pre", "blocks.{l}.hook_resid_mid",
    "blocks.*.hook_mlp_out", "blocks.{l}.hook_attn_out", "blocks.-1.attn.hook_z", "blocks.{l}.attn.hook_q",
    "blocks.{l}.attn.hook_k", "blocks.*.attn.hook_v", "hook_embed", "ln_final", "ln_final.hook_normalized",
    "logits", "blocks.0.attn.hook_pattern",
)  # fmt: skip
SCHEDULES: Final = ("auto", "sequential", "simultaneous", "persistent", "swapped")
GGUF_ONLY: Final = ("q2_k", "q3_k", "q4_0", "q4_k", "q5_k", "q6_k", "q8_0")


@dataclass(frozen=True, slots=True)
class Case:
    """One workload file's data, or its text, and what is given to `ullage plan` beside it."""

    name: str
    data: Data | str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Names of models to draw from."""

    small: tuple[str, ...]
    large: tuple[str, ...]
    stored: tuple[str, ...]
    pipelines: tuple[str, ...]
    seeing: tuple[str, ...]


def catalog(models: list[dict[str, object]]) -> Catalog:
    """`models` as `ullage models --json` lists them."""
    plain, stored, pipelines, seeing = [], [], [], []
    for row in models:
        name, kind = str(row["name"]), str(row["model_type"])
        if kind == "flux":
            pipelines.append(name)
        elif name.startswith(STORED):
            stored.append(name)
        else:
            plain.append((name, float(str(row["parameters"]))))
            if "_vl" in kind or kind in ("gemma3", "llava_next", "mistral3", "llama4", "glm4v_moe"):
                seeing.append(name)
    small = tuple(name for name, size in plain if size < SMALL)
    large = tuple(name for name, size in plain if size >= SMALL)
    return Catalog(small, large, tuple(stored), tuple(pipelines), tuple(seeing))


def cases(models: Catalog, seed: int = 13) -> Iterator[Case]:
    """Without end; every kind in turn."""
    draw = _Draw(random.Random(seed), models)
    extract, evaluate, assistant = draw.extract, draw.evaluate, draw.assistant
    kinds = (extract, evaluate, draw.werewolf, assistant, draw.pii, assistant, evaluate)
    number = 0
    while True:
        for kind in kinds:
            data = kind()
            draw.common(data)
            yield Case(f"{number:04}-{data['kind']}", data, draw.arguments(data))
            number += 1


class _Draw:
    def __init__(self, random_: random.Random, models: Catalog) -> None:
        self._random, self._models = random_, models

    def maybe(self, chance: float) -> bool:
        return self._random.random() < chance

    def one(self, of: tuple[object, ...]) -> object:
        return self._random.choice(of)

    def number(self, low: int, high: int) -> int:
        """Small ones as often as large ones."""
        span = high / low
        return max(low, min(high, round(low * span ** self._random.random())))

    def model(self, large: float = 0.35) -> str:
        roll = self._random.random()
        if roll < 0.03:
            return "ullage:tiny"
        if roll < 0.13:
            return str(self.one(FILES))
        if roll < 0.23:
            return str(self.one(self._models.stored))
        return str(self.one(self._models.large if self.maybe(large) else self._models.small))

    def role(self, engines: tuple[str, ...] = ("transformers",), large: float = 0.35) -> Data:
        model = self.model(large)
        engine = str(self.one(engines))
        role: Data = {"model": model}
        if engine in ("openai", "scripted"):
            return {"model": "gpt-4o-mini" if engine == "openai" else "answers.jsonl", "engine": engine}
        if engine != "transformers":
            role["engine"] = engine
        if engine == "vllm":
            self._vllm(role)
        self._precision(role, engine)
        if self.maybe(0.5):
            role["batch"] = self.number(1, 64)
        if self.maybe(0.25):
            role["prompt_tokens"] = self.number(16, 20_000)
        if self.maybe(0.25):
            role["new_tokens"] = self.number(1, 1024)
        if self.maybe(0.3):
            role["residency"] = self.one(("auto", "persistent", "swapped", "host", "disk"))
        if engine == "transformers":
            self._held(role)
        return role

    def _precision(self, role: Data, engine: str) -> None:
        stored = str(role["model"]).startswith(STORED) or role["model"] in FILES
        if stored and self.maybe(0.8):
            if self.maybe(0.5):
                role["precision"] = self.one(("stored", "q4_k", "bf16", "fp8"))
            return
        if self.maybe(0.7):
            usual = ("fp32", "fp16", "bf16", "int8", "nf4", "nf4-dq", "auto", "stored")
            rare = ("gptq-int4", "gptq-int8", "awq", "fp8", "mxfp4", *GGUF_ONLY)
            role["precision"] = self.one(rare if self.maybe(0.12) else usual)
        if engine == "vllm" and role.get("precision") in ("int8", "nf4", "nf4-dq") and self.maybe(0.7):
            role["precision"] = "bf16"
        if self.maybe(0.15) and role.get("precision", "auto") in ("auto", "fp32", "fp16", "bf16"):
            role["fallback_precisions"] = ["int8", "nf4"] if self.maybe(0.6) else ["nf4-dq"]

    def _vllm(self, role: Data) -> None:
        if self.maybe(0.4):
            role["tensor_parallel"] = self.one((1, 2, 4))
        settings: Data = {}
        if self.maybe(0.4):
            settings["gpu_memory_utilization"] = round(self._random.uniform(0.2, 0.98), 2)
        if self.maybe(0.4):
            settings["max_model_len"] = self.number(512, 65_536)
        if self.maybe(0.3):
            settings["max_num_seqs"] = self.number(1, 1024)
        if self.maybe(0.2):
            settings["max_num_batched_tokens"] = self.number(512, 16_384)
        if self.maybe(0.2):
            settings["enforce_eager"] = True
        if self.maybe(0.1):
            settings["block_size"] = 32
        if settings:
            role["vllm"] = settings
        if self.maybe(0.15):
            role["cache"] = {"precision": self.one(("fp8", "fp16", "bf16"))}

    def _held(self, role: Data) -> None:
        """Kernel, cache and place of a transformers role."""
        if self.maybe(0.5):
            role["attention"] = self.one(("sdpa", "sdpa-math", "eager", "flash", "auto"))
        if self.maybe(0.25):
            role["cache"] = {"kind": self.one(("static", "quantized", "dynamic"))}
            if role["cache"] == {"kind": "quantized"} and self.maybe(0.7):
                role["cache"] = {"kind": "quantized", "precision": self.one(("int8", "int4", "int2"))}
        if self.maybe(0.3):
            places = ("balanced", "gpu:0", "cpu", "gpu:1", ["gpu:0", "gpu:1"], ["gpu:1", "gpu:0", "gpu:2"])
            role["placement"] = self.one(places)
        if self.maybe(0.12):
            limits: Data = {"0": f"{self.number(2, 60)}GiB"}
            if self.maybe(0.8):
                limits["cpu"] = f"{self.number(16, 512)}GiB"
            if self.maybe(0.3):
                limits["disk"] = "1TiB"
            role["max_memory"] = limits
        if role["model"] in self._models.seeing and self.maybe(0.7):
            role["images"] = self.number(1, 8)
            if self.maybe(0.5):
                role["image_size"] = [self.number(224, 2048), self.number(224, 2048)]

    def captures(self, names: list[str]) -> list[Data]:
        found = []
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            capture: Data = {"sites": self._random.sample(SITES[:-1], self._random.choice((1, 1, 2)))}
            if self.maybe(0.06):
                capture["sites"] = [SITES[-1]]
            if len(names) > 1:
                capture["role"] = self.one(tuple(names))
            if self.maybe(0.5):
                capture["layers"] = self.one(([0], [0, -1], [1, 3, 5], [-2, -1], [0, 2, 999]))
            positions = str(self.one(("all", "last", "mean", "span")))
            capture["positions"] = positions
            if positions == "span":
                capture["span_tokens"] = self.number(1, 512)
            capture["keep"] = self.one(("device", "host", "disk"))
            if self.maybe(0.3):
                capture["precision"] = self.one(("fp32", "fp16", "bf16"))
            found.append(capture)
        return found

    def extract(self) -> Data:
        data: Data = {"kind": "extract", "roles": {"model": self.role(large=0.65)}}
        section: Data = {}
        if self.maybe(0.25):
            training: Data = {"optimizer": self.one(("none", "sgd", "adamw", "adamw-8bit"))}
            if self.maybe(0.3):
                training["trainable_fraction"] = round(self._random.random(), 3)
            if self.maybe(0.3):
                training["gradient_dtype"] = "fp32"
            if self.maybe(0.3):
                training["master_weights"] = True
            data["training"] = training
        elif self.maybe(0.3):
            section["generate"] = True
        if self.maybe(0.75):
            data["captures"] = self.captures(["model"])
        if self.maybe(0.3):
            section["logits"] = self.one(("last", "all"))
        if self.maybe(0.1):
            section["store"] = "npy"
        if section:
            data["extract"] = section
        return data

    def evaluate(self) -> Data:
        engines = ("transformers", "transformers", "vllm", "vllm", "openai", "scripted")
        roles: Data = {"generator": self.role(("transformers", "vllm"), 0.5)}
        if self.maybe(0.8):
            roles["judge"] = self.role(engines)
        if self.maybe(0.2):
            roles["judge_second"] = self.role(engines)
        if self.maybe(0.15):
            roles["similarity"] = self.role(("transformers",), 0.0)
        section: Data = {}
        if self.maybe(0.6):
            section["samples"] = self.number(1, 20)
        if self.maybe(0.25):
            section["judge_by"] = "text"
        if self.maybe(0.2):
            section["p_true"] = True
        if section.get("samples") and "judge" in roles and self.maybe(0.2):
            section["clusters_by"] = "judge"
        if section.get("samples") and self.maybe(0.2):
            roles["entailment"] = self.role(("transformers",), 0.0)
            section["clusters_by"] = "entailment"
        data: Data = {"kind": "evaluate", "roles": roles, "evaluate": section}
        if self.maybe(0.1):
            data["captures"] = self.captures(list(roles))
        return data

    def werewolf(self) -> Data:
        engines = ("transformers", "transformers", "transformers", "vllm")
        data: Data = {"kind": "werewolf", "roles": {"player": self.role(engines, 0.5)}}
        if self.maybe(0.6) and "engine" not in data["roles"]["player"]:  # type: ignore[index]
            data["captures"] = self.captures(["player"])
        if self.maybe(0.6):
            data["werewolf"] = {"players": self.number(4, 16), "rounds": self.number(1, 10)}
        return data

    def assistant(self) -> Data:
        roles: Data = {
            "router": self.role(("transformers", "transformers", "vllm", "openai"), 0.0),
            "voice": self.role(("transformers", "transformers", "vllm", "openai"), 0.4),
        }
        for name in ("pragmatist", "philosopher", "poet")[: self._random.choice((1, 1, 2, 3))]:
            roles[name] = self.role(("transformers", "transformers", "vllm", "openai"), 0.15)
        if self.maybe(0.3):
            artist: Data = {"model": self.one(self._models.pipelines), "engine": "diffusers"}
            artist["precision"] = self.one(("bf16", "fp16", "fp32", "auto"))
            artist["steps"] = self.number(1, 50)
            artist["image_size"] = self.one(([512, 512], [1024, 1024], [1536, 1024]))
            artist["residency"] = self.one(("auto", "swapped", "persistent"))
            roles["artist"] = artist
        if self.maybe(0.3):
            model = self.one(tuple(name for name in self._models.seeing if name in self._models.small))
            roles["perception"] = {"model": model, "precision": "nf4", "images": self.number(1, 4)}
        data: Data = {"kind": "assistant", "roles": roles}
        if self.maybe(0.1):
            data["captures"] = self.captures(list(roles))
        return data

    def pii(self) -> Data:
        engines = ("transformers", "transformers", "transformers", "vllm")
        section: Data = {"candidates_per_record": round(self._random.uniform(0.5, 20), 2)}
        if self.maybe(0.5):
            section["prefix_tokens"] = self.number(1, 4000)
        if self.maybe(0.5):
            section["explain"] = self.one(("uncertain", "verified", "rejected", "all"))
            if self.maybe(0.6):
                section["explain_fraction"] = round(self._random.uniform(0.01, 1), 2)
        if self.maybe(0.2):
            section["locate"] = True
        data: Data = {"kind": "pii", "roles": {"verifier": self.role(engines, 0.35)}, "pii": section}
        if self.maybe(0.1):
            data["captures"] = self.captures(["verifier"])
        return data

    def common(self, data: Data) -> None:
        """What every kind of file may say, the budget, and now and then a mistake."""
        data["name"] = f"a random {data['kind']}"
        if self.maybe(0.6):
            data["batch"] = self.number(1, 128)
        if self.maybe(0.85):
            data["prompt_tokens"] = self.number(1, 30_000 if self.maybe(0.3) else 4096)
        if self.maybe(0.7):
            data["new_tokens"] = self.number(1, 2048)
        if data["kind"] == "werewolf":
            self._room(data)
        if self.maybe(0.5):
            data["examples"] = self.number(1, 1_000_000)
        if self.maybe(0.4):
            data["schedule"] = self.one(SCHEDULES)
        self._memory(data)
        budget: Data = {"gpus": self.gpus()}
        if self.maybe(0.4):
            budget["reserve"] = self.one(("0%", "10%", "2GiB", "512MiB", "33.5%"))
        if self.maybe(0.25):
            budget["host_memory"] = f"{self.number(8, 1024)}GiB"
        if self.maybe(0.15):
            budget["disk"] = f"{self.number(20, 4000)}GB"
        data["budget"] = budget
        if self.maybe(0.06):
            self._mistake(data)

    @staticmethod
    def _room(data: Data) -> None:
        """A prompt holds what the players say in a round, or there is no game."""
        game, said = data.get("werewolf", {}), data.get("new_tokens", 128)
        players = game.get("players", 6) if isinstance(game, dict) else 6
        given = data.get("prompt_tokens", 1024)
        assert isinstance(players, int)
        assert isinstance(said, int)
        assert isinstance(given, int)
        data["prompt_tokens"] = max(given, 600 + players * (said + 12))

    def _memory(self, data: Data) -> None:
        memory: Data = {}
        if self.maybe(0.25):
            memory["streaming_chunk_size"] = self.number(16, 4096)
        if self.maybe(0.1):
            memory["precision_mode"] = self.one(("fp16", "bf16", "fp32"))
        if self.maybe(0.1):
            memory["expandable_segments"] = True
        if "training" in data and self.maybe(0.5):
            memory["enable_gradient_checkpointing"] = True
        if data["kind"] in ("extract", "werewolf") and "captures" not in data and self.maybe(0.3):
            memory["activation_cache_filter"] = ["blocks.*.hook_resid_post"]
        if self.maybe(0.1):
            memory["memory_warning_threshold"] = round(self._random.uniform(0.1, 1), 2)
        if memory:
            data["memory"] = memory

    def gpus(self) -> str:
        roll = self._random.random()
        if roll < 0.05:
            return "cpu"
        if roll < 0.07:
            return str(self.one(UNKNOWN_CARDS))
        if roll < 0.2:
            kinds = self._random.sample(CARDS, 2)
            return "+".join(f"{self._random.choice((1, 2, 3))}x{kind}" for kind in kinds)
        card = self.one(LARGE_CARDS if self.maybe(0.5) else CARDS)
        count = self._random.choice((1, 1, 1, 2, 2, 3, 4, 8))
        return f"{count}x {card}"

    def _mistake(self, data: Data) -> None:
        roles = data["roles"]
        assert isinstance(roles, dict)
        first = next(iter(roles.values()))
        wrong = self._random.randrange(8)
        if wrong == 0:
            first["precison"] = "fp16"
        elif wrong == 1:
            first["model"] = "meta-llama/Llama-3.1-8B-Instrct"
        elif wrong == 2:
            data["batch"] = 0
        elif wrong == 3:
            first["placement"] = "gpu:99"
        elif wrong == 4:
            data["captures"] = [{"sites": ["blocks.{l}.hook_nothing"]}]
        elif wrong == 5:
            data["budget"] = {"reserve": "100%"}
        elif wrong == 6:
            roles["stranger"] = "gpt2"
        else:
            data["training"] = {"optimizer": "adamx"}

    def arguments(self, data: Data) -> tuple[str, ...]:
        """`--gpus` and `--set`, now and then."""
        given: list[str] = []
        if self.maybe(0.1):
            given += ["--gpus", self.gpus()]
        roles = data["roles"]
        assert isinstance(roles, dict)
        if self.maybe(0.15):
            role = next(iter(roles))
            changes = (
                f"roles.{role}.precision={self.one(('nf4', 'int8', 'bf16', 'fp16'))}",
                f"roles.{role}.batch={self.number(1, 256)}",
                f"prompt_tokens={self.number(1, 8192)}",
                "memory={streaming_chunk_size: 256}",
                "budget.reserve=1GiB",
                "schedule=sequential",
                "roles.nobody.batch=3",
            )
            for change in self._random.sample(changes, self._random.choice((1, 1, 2))):
                given += ["--set", change]
        return tuple(given)


@contextlib.contextmanager
def drawn_apart(seed: int) -> Iterator[Iterator[Case]]:
    """Workloads over the catalog's models and those of FILES, inside in a folder and a home of their own."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        os.environ |= {"HOME": name, "XDG_DATA_HOME": name, "HF_HUB_OFFLINE": "1"}
        from ullage import api
        from ullage.reports.model_document import model_document

        write_models(Path())
        yield cases(catalog([model_document(model) for model in api.models()]), seed)


def write_models(folder: Path) -> None:
    """The models of FILES in `folder`."""
    llama = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048,
        "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
        "num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 16384,
        "tie_word_embeddings": False, "dtype": "bfloat16",
    }  # fmt: skip
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": False}
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}
    (folder / "config-llama.json").write_text(json.dumps(llama))
    (folder / "config-gptq.json").write_text(json.dumps(llama | {"quantization_config": gptq}))
    (folder / "config-awq.json").write_text(json.dumps(llama | {"quantization_config": awq}))
    _write_gguf(folder / "llama-q4.gguf", "llama", (12, 256, 144))
    _write_gguf(folder / "qwen2-q8.gguf", "qwen2", (8, 32, 34))


def _write_gguf(path: Path, architecture: str, scheme: tuple[int, int, int]) -> None:
    """A header as llama.cpp writes it, and as many zero bytes as its tensors take (a sparse file)."""
    hidden, inner, layers, heads, cached, words = 2048, 5632, 16, 16, 4, 32000
    narrow = hidden // heads * cached
    numbers = {
        "block_count": layers, "context_length": 8192, "embedding_length": hidden,
        "feed_forward_length": inner, "attention.head_count": heads, "attention.head_count_kv": cached,
    }  # fmt: skip
    shapes = {"token_embd.weight": (hidden, words), "output.weight": (hidden, words)}
    for layer in range(layers):
        sides = {
            "attn_q": (hidden, hidden), "attn_k": (hidden, narrow), "attn_v": (hidden, narrow),
            "attn_output": (hidden, hidden), "ffn_gate": (hidden, inner), "ffn_up": (hidden, inner),
            "ffn_down": (inner, hidden),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in sides.items()}
    kind, elements, size = scheme
    body = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(numbers) + 1)
    body += _text("general.architecture") + struct.pack("<I", 8) + _text(architecture)
    for key, value in numbers.items():
        body += _text(f"{architecture}.{key}") + struct.pack("<II", 4, value)
    offset = 0
    for name, (across, down) in shapes.items():
        body += _text(name) + struct.pack("<IQQIQ", 2, across, down, kind, offset)
        offset += across * down // elements * size
    with path.open("wb") as file:
        file.write(body)
        file.truncate(len(body) + 64 + offset)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
