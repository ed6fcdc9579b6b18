"""A program that plans and runs with Ullage is left as it was: warnings, loggers, threads, signals."""

import json
import logging
import os
import shutil
import signal
import sys
import threading
import warnings

import pytest

import ullage
from ullage.errors import FormatError, InputError

TALKATIVE = ("transformers", "accelerate", "bitsandbytes", "torch", "huggingface_hub")


def state():
    """What belongs to the whole process and so to the program around the library."""
    import torch
    import transformers

    loggers = [logging.getLogger(name) for name in ["", *logging.root.manager.loggerDict]]
    return {
        "filters": list(warnings.filters),
        "how warnings are shown": warnings.showwarning,
        "loggers": {
            one.name: (one.level, _handlers(one), one.propagate, one.disabled, list(one.filters))
            for one in loggers
        },
        "logging is off below": logging.root.manager.disable,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "signals": {one: signal.getsignal(one) for one in signal.valid_signals()},
        "exceptions are shown by": (sys.excepthook, threading.excepthook),
        "streams": (sys.stdout, sys.stderr),
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "folder": os.getcwd(),
        "torch": (
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.random.get_rng_state().tolist(),
        ),
        "progress bars": transformers.utils.logging.is_progress_bar_enabled(),
    }


def _handlers(logger):
    """Those that are not pytest's own, which come and go."""
    return [one for one in logger.handlers if not type(one).__module__.startswith("_pytest")]


@pytest.fixture
def host():
    """The process before; what the libraries do when they are imported is theirs."""
    import accelerate
    import bitsandbytes
    import sklearn
    import transformers

    assert accelerate
    assert bitsandbytes
    assert sklearn
    levels = {name: logging.getLogger(name).level for name in TALKATIVE}
    # Levels of the program's own, none of them what Ullage sets.
    for place, name in enumerate(TALKATIVE):
        logging.getLogger(name).setLevel(11 + place)
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.enable_progress_bar()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="of the program's own")
        yield state()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    if not bars:
        transformers.utils.logging.disable_progress_bar()


def unchanged(before):
    after = state()
    new = after["loggers"].keys() - before["loggers"].keys()
    for name in new:  # a module imported later has a logger; that is no change while it has no level
        level, *_ = after["loggers"].pop(name)
        assert level == logging.NOTSET, name
    for what in before.keys() - {"loggers"}:
        assert after[what] == before[what], what
    for name, one in before["loggers"].items():
        assert after["loggers"][name] == one, name


def extraction(folder, text):
    (folder / "texts.txt").write_text(text)
    workload = {
        "kind": "extract",
        "roles": {"model": {"model": "ullage:tiny"}},
        "captures": [{"sites": ["blocks.0.hook_resid_post"], "positions": "last"}],
        "extract": {"input": str(folder / "texts.txt")},
        "prompt_tokens": 16,
    }
    (folder / "workload.yaml").write_text(json.dumps(workload))
    return ullage.load(folder / "workload.yaml")


def test_planning_and_running_change_nothing(host, tmp_path):
    workload = extraction(tmp_path, "one two\nthree\n")
    assert ullage.plan(workload, "cpu").verdict == "fits"
    unchanged(host)
    folder, _ = ullage.run(workload, tmp_path / "run", "cpu")
    unchanged(host)
    ullage.verify(folder)
    ullage.survey(folder)
    ullage.check(workload, "cpu")
    unchanged(host)


def test_nor_does_a_run_that_fails(host, tmp_path, model_folder):
    workload = extraction(tmp_path, "\n")
    with pytest.raises(InputError, match="holds no records"):
        ullage.run(workload, tmp_path / "run", "cpu")
    unchanged(host)
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    (broken / "tokenizer.json").write_text("{")
    workload = extraction(tmp_path, "one\n")
    role = workload.roles["model"].model_copy(update={"model": str(broken)})
    with pytest.raises(FormatError, match=r"tokenizer\.json"):
        ullage.run(workload.model_copy(update={"roles": {"model": role}}), tmp_path / "run", "cpu")
    unchanged(host)


def test_this_check_can_fail(host):
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    with pytest.raises(AssertionError):
        unchanged(host)
