"""What this machine is to a run: whether it can do it, the versions that its measurements depend on, and what
this process holds."""

from __future__ import annotations

import platform

from ullage.errors import DoesNotFitError, InputError, MissingExtraError, UnsupportedError
from ullage.facts.gpu import GpuSet
from ullage.planning.plan import Plan
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


def check_machine(plan: Plan, devices: tuple[str, ...]) -> None:
    """Raises InputError where this machine lacks what the plan is for."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "run", "running a workload") from error
    if plan.gpus.abilities.processor:
        return
    count = torch.cuda.device_count()
    if count < len(devices):
        have = f"{count} CUDA GPU{'' if count == 1 else 's'}" if count else "no CUDA GPU"
        raise InputError(
            f"the plan is for {plan.gpus.name}, but this machine has {have}; run where they are, or plan for "
            "this machine: --gpus local, or --gpus cpu"
        )
    check_kernels(len(devices))
    for index, gpu in enumerate(plan.gpus.gpus):
        total = torch.cuda.get_device_properties(index).total_memory
        planned = plan.devices[index].peak.device.high
        if total < planned:
            name = torch.cuda.get_device_name(index)
            raise DoesNotFitError(
                f"gpu:{index} here is {name} with {total / 2**30:.1f} GiB; the plan for {gpu.id} needs up to "
                f"{planned / 2**30:.1f} GiB of it"
            )


def check_kernels(count: int) -> None:
    """Raises UnsupportedError for a card that the installed torch was built without."""
    import torch

    built = [int(name.removeprefix("sm_")) for name in torch.cuda.get_arch_list() if name[3:].isdecimal()]
    if torch.version.hip is not None or not built:
        return
    for index in range(count):
        major, minor = torch.cuda.get_device_capability(index)
        if 10 * major + minor < min(built):
            raise UnsupportedError(
                f"gpu:{index} is {torch.cuda.get_device_name(index)} of compute capability {major}.{minor}; "
                f"torch {torch.__version__} has kernels from {min(built) // 10}.{min(built) % 10} on; "
                "install a build for CUDA 12.6, or use another card"
            )


def _driver() -> str:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # the version is a label; without NVML it stays unknown
        return "unknown"
