"""What this machine is to a run: the versions its measurements depend on, and what this process holds."""

from __future__ import annotations

import platform

from ullage.facts.gpu import GpuSet
from ullage.records.observation import Here, key_of
from ullage.records.record import Environment
from ullage.runtime.reading import CPU, resident_bytes


def environment(gpus: GpuSet) -> Environment:
    """What measurements on `gpus` of this machine depend on."""
    from importlib.metadata import version

    import torch
    import transformers

    driver = platform.release() if gpus.device_names == (CPU,) else _driver()
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
    """What this process is, and on a processor what it holds before any model; None without torch.

    Imports what a run is about to, for that is most of it: transformers brings its parts when they are named.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel  # noqa: F401
    except ImportError:
        return None
    held = resident_bytes() if gpus.device_names == (CPU,) else 0
    return Here(key_of(environment(gpus)), held)


def _driver() -> str:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # the version is a label; without NVML it stays unknown
        return "unknown"
