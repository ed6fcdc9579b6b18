"""What this machine is to a run: the versions its measurements depend on, and what this process holds."""

from __future__ import annotations

import platform

from ullage.facts.gpu import GpuSet
from ullage.records.observation import Here, key_of
from ullage.records.record import Environment
from ullage.runtime.batching import release
from ullage.runtime.reading import CPU, resident_bytes


def environment(gpus: GpuSet) -> Environment:
    """What measurements on `gpus` of this machine depend on."""
    from importlib.metadata import version

    import torch
    import transformers

    driver = platform.release() if gpus.abilities.processor else _driver()
    return Environment(
        gpus.gpus[0].id,
        driver,
        torch.__version__,
        transformers.__version__,
        platform.python_version(),
        version("ullage"),
        torch.get_num_threads(),
    )


def this_process(gpus: GpuSet) -> Here | None:
    """What this process is, and what it holds before any model; None without torch.

    On a processor that is all of it, and it imports what a run is about to, for that is most of it:
    transformers brings its parts when they are named. On a card it is tensors that are somebody else's.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel  # noqa: F401
    except ImportError:
        return None
    held = resident_bytes() if gpus.device_names == (CPU,) else max(held_on_cards(len(gpus.gpus)))
    return Here(key_of(environment(gpus)), held)


def held_on_cards(count: int) -> list[int]:
    """Bytes torch holds on each of the first `count` cards once what nothing refers to is given back."""
    import torch

    if not torch.cuda.is_initialized():
        return [0] * count
    release()
    return [torch.cuda.memory_reserved(index) for index in range(min(count, torch.cuda.device_count()))]


def _driver() -> str:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # the version is a label; without NVML it stays unknown
        return "unknown"
